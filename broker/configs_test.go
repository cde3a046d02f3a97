package broker_test

import (
	"slices"
	"testing"

	"github.com/streambus/streambus/wire"
	"github.com/twmb/franz-go/pkg/kadm"
)

// describe asks for one resource's settings, by name.
func (c *rawConn) describe(version int16, req wire.DescribeConfigsRequest) (map[string]wire.DescribeConfigsResponseConfig, wire.DescribeConfigsResponseResult) {
	c.t.Helper()
	var resp wire.DescribeConfigsResponse
	c.call(version, &req, &resp)
	if len(resp.Results) != 1 {
		c.t.Fatalf("%d results", len(resp.Results))
	}
	by := map[string]wire.DescribeConfigsResponseConfig{}
	for _, e := range resp.Results[0].Configs {
		by[e.Name] = e
	}
	return by, resp.Results[0]
}

func settingsOf(kind int8, name string, keys ...string) wire.DescribeConfigsRequest {
	return wire.DescribeConfigsRequest{Resources: []wire.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigurationKeys: keys}}}
}

func TestDescribeConfigsVersions(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	for v := int16(1); v <= 4; v++ {
		req := settingsOf(wire.ConfigResourceTopic, "t", "retention.ms", "cleanup.policy")
		req.IncludeSynonyms, req.IncludeDocumentation = true, v >= 3
		got, res := c.describe(v, req)
		e := got["cleanup.policy"]
		if res.ErrorCode != wire.CodeNone || len(got) != 2 || e.Value == nil || *e.Value != "delete" || e.ConfigSource != wire.ConfigSourceDefault {
			t.Fatalf("version %d: %+v", v, res)
		}
		if v >= 3 != (e.ConfigType == wire.ConfigTypeList) || v >= 3 != (e.Documentation != nil && *e.Documentation != "") || len(e.Synonyms) == 0 {
			t.Errorf("version %d: %+v", v, e)
		}
	}
	all, _ := c.describe(4, settingsOf(wire.ConfigResourceTopic, "t"))
	if len(all) < 20 || all["retention.ms"].Documentation != nil || len(all["retention.ms"].Synonyms) > 0 {
		t.Errorf("%d settings, %+v", len(all), all["retention.ms"])
	}
	for _, bad := range []struct {
		kind int8
		name string
		want wire.ErrorCode
	}{
		{wire.ConfigResourceTopic, "none", wire.CodeUnknownTopicOrPartition},
		{wire.ConfigResourceTopic, "a b", wire.CodeInvalidTopicException},
		{wire.ConfigResourceBroker, "77", wire.CodeInvalidRequest},
		{wire.ConfigResourceBroker, "x", wire.CodeInvalidRequest},
		{wire.ConfigResourceBrokerLogger, "1", wire.CodeInvalidRequest},
		{wire.ConfigResourceClientMetrics, "m", wire.CodeInvalidRequest},
		{wire.ConfigResourceGroup, "", wire.CodeInvalidRequest},
		{0, "", wire.CodeInvalidRequest},
		{99, "t", wire.CodeInvalidRequest},
	} {
		if _, res := c.describe(4, settingsOf(bad.kind, bad.name)); res.ErrorCode != bad.want || res.ErrorMessage == nil || len(res.Configs) > 0 ||
			res.ResourceName != bad.name || res.ResourceType != bad.kind {
			t.Errorf("%d %q: %+v, want %v", bad.kind, bad.name, res, bad.want)
		}
	}
}

// TestSettingsLast: what is altered shows, counts, and is there after a restart.
func TestSettingsLast(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	c := dial(t, b.addr)
	c.create("t", 1)
	for v := int16(0); v <= 1; v++ {
		var resp wire.IncrementalAlterConfigsResponse
		c.call(v, &wire.IncrementalAlterConfigsRequest{Resources: []wire.IncrementalAlterConfigsRequestResource{
			{ResourceType: wire.ConfigResourceTopic, ResourceName: "t", Configs: []wire.IncrementalAlterConfigsRequestConfig{
				{Name: "retention.ms", Value: ptr("60000")}, {Name: "cleanup.policy", ConfigOperation: wire.ConfigOperationAppend, Value: ptr("compact")}}},
			{ResourceType: wire.ConfigResourceBroker, ResourceName: "", Configs: []wire.IncrementalAlterConfigsRequestConfig{{Name: "log.retention.ms", Value: ptr("7000")}}},
			{ResourceType: wire.ConfigResourceGroup, ResourceName: "g", Configs: []wire.IncrementalAlterConfigsRequestConfig{{Name: "consumer.session.timeout.ms", Value: ptr("46000")}}},
		}}, &resp)
		if len(resp.Responses) != 3 {
			t.Fatalf("%+v", resp)
		}
		for _, r := range resp.Responses {
			if r.ErrorCode != wire.CodeNone || r.ErrorMessage != nil {
				t.Errorf("version %d: %+v: %s", v, r, *r.ErrorMessage)
			}
		}
	}
	for range 2 {
		got, _ := c.describe(4, settingsOf(wire.ConfigResourceTopic, "t", "retention.ms", "cleanup.policy"))
		if e := got["retention.ms"]; *e.Value != "60000" || e.ConfigSource != wire.ConfigSourceTopic || *got["cleanup.policy"].Value != "delete,compact" {
			t.Errorf("%+v, %s", e, *got["cleanup.policy"].Value)
		}
		got, _ = c.describe(4, settingsOf(wire.ConfigResourceBroker, "", "log.retention.ms"))
		if e := got["log.retention.ms"]; *e.Value != "7000" || e.ConfigSource != wire.ConfigSourceCluster {
			t.Errorf("%+v", e)
		}
		got, _ = c.describe(4, settingsOf(wire.ConfigResourceGroup, "g", "consumer.session.timeout.ms"))
		if e := got["consumer.session.timeout.ms"]; *e.Value != "46000" || e.ConfigSource != wire.ConfigSourceGroup {
			t.Errorf("%+v", e)
		}
		b.stop()
		b = start(t, dir)
		c = dial(t, b.addr)
	}
	// AlterConfigs takes back what it does not name.
	for v := int16(0); v <= 2; v++ {
		var resp wire.AlterConfigsResponse
		c.call(v, &wire.AlterConfigsRequest{Resources: []wire.AlterConfigsRequestResource{{ResourceType: wire.ConfigResourceTopic, ResourceName: "t",
			Configs: []wire.AlterConfigsRequestConfig{{Name: "max.message.bytes", Value: ptr("5000")}}}}}, &resp)
		if resp.Responses[0].ErrorCode != wire.CodeNone {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
	got, _ := c.describe(4, settingsOf(wire.ConfigResourceTopic, "t", "retention.ms", "max.message.bytes"))
	if *got["retention.ms"].Value != "7000" || *got["max.message.bytes"].Value != "5000" {
		t.Errorf("%+v", got)
	}
}

func TestAlterConfigsRefuses(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	type set = wire.IncrementalAlterConfigsRequestConfig
	for what, bad := range map[string]struct {
		kind int8
		name string
		sets []set
		want wire.ErrorCode
	}{
		"no topic":       {2, "none", []set{{Name: "retention.ms", Value: ptr("1")}}, wire.CodeUnknownTopicOrPartition},
		"no such key":    {2, "t", []set{{Name: "no.such", Value: ptr("1")}}, wire.CodeInvalidConfig},
		"bad value":      {2, "t", []set{{Name: "retention.ms", Value: ptr("soon")}}, wire.CodeInvalidConfig},
		"null":           {2, "t", []set{{Name: "retention.ms"}}, wire.CodeInvalidRequest},
		"twice":          {2, "t", []set{{Name: "retention.ms", Value: ptr("1")}, {Name: "retention.ms", Value: ptr("2")}}, wire.CodeInvalidRequest},
		"unknown op":     {2, "t", []set{{Name: "retention.ms", ConfigOperation: 9, Value: ptr("1")}}, wire.CodeInvalidRequest},
		"append number":  {2, "t", []set{{Name: "retention.ms", ConfigOperation: 2, Value: ptr("1")}}, wire.CodeInvalidConfig},
		"other broker":   {4, "77", []set{{Name: "log.retention.ms", Value: ptr("1")}}, wire.CodeInvalidRequest},
		"static key":     {4, "", []set{{Name: "node.id", Value: ptr("9")}}, wire.CodeInvalidConfig},
		"logger":         {8, "1", []set{{Name: "root", Value: ptr("DEBUG")}}, wire.CodeInvalidRequest},
		"client metrics": {16, "m", []set{{Name: "interval.ms", Value: ptr("1")}}, wire.CodeInvalidRequest},
	} {
		var resp wire.IncrementalAlterConfigsResponse
		c.call(1, &wire.IncrementalAlterConfigsRequest{Resources: []wire.IncrementalAlterConfigsRequestResource{{ResourceType: bad.kind, ResourceName: bad.name, Configs: bad.sets}}}, &resp)
		if r := resp.Responses[0]; r.ErrorCode != bad.want || r.ErrorMessage == nil {
			t.Errorf("%s: %v, want %v", what, r.ErrorCode, bad.want)
		}
	}
	one := wire.IncrementalAlterConfigsRequestResource{ResourceType: 2, ResourceName: "t", Configs: []set{{Name: "retention.ms", Value: ptr("1234")}}}
	var resp wire.IncrementalAlterConfigsResponse
	c.call(1, &wire.IncrementalAlterConfigsRequest{Resources: []wire.IncrementalAlterConfigsRequestResource{one, one}}, &resp)
	if len(resp.Responses) != 2 || resp.Responses[0].ErrorCode != wire.CodeInvalidRequest || resp.Responses[1].ErrorCode != wire.CodeInvalidRequest {
		t.Errorf("one resource twice: %+v", resp)
	}
	c.call(1, &wire.IncrementalAlterConfigsRequest{ValidateOnly: true, Resources: []wire.IncrementalAlterConfigsRequestResource{one}}, &resp)
	if resp.Responses[0].ErrorCode != wire.CodeNone {
		t.Errorf("%+v", resp)
	}
	two := wire.AlterConfigsRequestResource{ResourceType: 2, ResourceName: "t", Configs: []wire.AlterConfigsRequestConfig{{Name: "retention.ms", Value: ptr("1234")}}}
	var old wire.AlterConfigsResponse
	c.call(2, &wire.AlterConfigsRequest{Resources: []wire.AlterConfigsRequestResource{two, two}}, &old)
	if len(old.Responses) != 2 || old.Responses[0].ErrorCode != wire.CodeInvalidRequest {
		t.Errorf("one resource twice: %+v", old)
	}
	c.call(2, &wire.AlterConfigsRequest{ValidateOnly: true, Resources: []wire.AlterConfigsRequestResource{two}}, &old)
	two.Configs = append(two.Configs, two.Configs[0])
	var twice wire.AlterConfigsResponse
	c.call(2, &wire.AlterConfigsRequest{Resources: []wire.AlterConfigsRequestResource{two}}, &twice)
	if old.Responses[0].ErrorCode != wire.CodeNone || twice.Responses[0].ErrorCode != wire.CodeInvalidRequest {
		t.Errorf("%+v; %+v", old, twice)
	}
	if got, _ := c.describe(1, settingsOf(2, "t", "retention.ms")); got["retention.ms"].ConfigSource == wire.ConfigSourceTopic {
		t.Errorf("something was set: %+v", got)
	}
}

func TestListConfigResources(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	ask := func(version int16, kinds ...int8) (out []string, code wire.ErrorCode) {
		var resp wire.ListConfigResourcesResponse
		c.call(version, &wire.ListConfigResourcesRequest{ResourceTypes: kinds}, &resp)
		for _, r := range resp.ConfigResources {
			out = append(out, r.ResourceName)
		}
		return out, resp.ErrorCode
	}
	for _, x := range []struct {
		version int16
		kinds   []int8
		want    []string
		code    wire.ErrorCode
	}{
		{0, nil, nil, 0}, {1, nil, []string{"t", "1"}, 0}, {1, []int8{2}, []string{"t"}, 0}, {1, []int8{4, 8, 16}, []string{"1"}, 0},
		{1, []int8{16}, nil, 0}, {1, []int8{2, 3}, nil, wire.CodeUnsupportedVersion},
	} {
		if got, code := ask(x.version, x.kinds...); !slices.Equal(got, x.want) || code != x.code {
			t.Errorf("version %d, %v: %q, %v; want %q, %v", x.version, x.kinds, got, code, x.want, x.code)
		}
	}
}

// TestAdminClientAltersSettings: as franz-go's tools do it.
func TestAdminClientAltersSettings(t *testing.T) {
	b := start(t, t.TempDir())
	adm, ctx := b.admin(), t.Context()
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": ptr("5")}, "t"); err != nil {
		t.Fatal(err)
	}
	res, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "retention.ms"}, {Op: kadm.SetConfig, Name: "segment.ms", Value: ptr("99999")}}, "t")
	if err != nil || res[0].Err != nil {
		t.Fatal(err, res)
	}
	got, err := adm.DescribeTopicConfigs(ctx, "t")
	if err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
	for _, e := range got[0].Configs {
		if e.Key == "retention.ms" && e.MaybeValue() != "604800000" || e.Key == "segment.ms" && e.MaybeValue() != "99999" {
			t.Errorf("%+v", e)
		}
	}
}
