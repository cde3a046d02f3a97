package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/streambus/streambus/wire"
)

// featuresOf is what ApiVersions says of features.
func (c *rawConn) featuresOf(version int16) (supported, finalized string, epoch int64) {
	c.t.Helper()
	var resp wire.APIVersionsResponse
	c.call(version, &wire.APIVersionsRequest{ClientSoftwareName: []byte("raw"), ClientSoftwareVersion: []byte("1")}, &resp)
	if resp.ErrorCode != wire.CodeNone {
		c.t.Fatal(resp.ErrorCode)
	}
	var s, f strings.Builder
	for _, x := range resp.SupportedFeatures {
		fmt.Fprintf(&s, "%s %d-%d ", x.Name, x.MinVersion, x.MaxVersion)
	}
	for _, x := range resp.FinalizedFeatures {
		fmt.Fprintf(&f, "%s %d-%d ", x.Name, x.MinVersionLevel, x.MaxVersionLevel)
	}
	return s.String(), f.String(), resp.FinalizedFeaturesEpoch
}

// groups is what is said of group.version, which is there when the requests that it promises are.
func (c *rawConn) groups(supported, finalized string) (string, string) {
	var resp wire.APIVersionsResponse
	c.call(0, &wire.APIVersionsRequest{}, &resp)
	for _, k := range resp.APIKeys {
		if k.Key == wire.KeyConsumerGroupHeartbeat {
			return "group.version 0-1 " + supported, "group.version 1-1 " + finalized
		}
	}
	return supported, finalized
}

// TestFeatures: what a level is set to shows, and is there after a restart; what a level promises is never above what the broker began with.
func TestFeatures(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	c := dial(t, b.addr)
	is := func(version int16, wantSupported, wantFinalized string) {
		t.Helper()
		wantSupported, wantFinalized = c.groups(wantSupported, wantFinalized)
		if s, f, _ := c.featuresOf(version); s != wantSupported && version == 4 || f != wantFinalized {
			t.Errorf("supported %q, want %q; finalized %q, want %q", s, wantSupported, f, wantFinalized)
		}
	}
	const supported, fresh = "metadata.version 7-25 transaction.version 0-2 ", "metadata.version 25-25 transaction.version 2-2 "
	is(4, supported, fresh)
	is(3, "", fresh)
	if s, _, _ := c.featuresOf(3); s != "metadata.version 7-25 " { // older clients take a least level of 0 for a fault, KAFKA-17011
		t.Errorf("version 3: %q", s)
	}
	if s, f, epoch := c.featuresOf(2); s != "" || f != "" || epoch != -1 {
		t.Errorf("version 2: %q, %q, %d", s, f, epoch)
	}
	type update = wire.UpdateFeaturesRequestUpdate
	ask := func(version int16, validateOnly bool, u ...update) wire.UpdateFeaturesResponse {
		var resp wire.UpdateFeaturesResponse
		c.call(version, &wire.UpdateFeaturesRequest{FeatureUpdates: u, ValidateOnly: validateOnly}, &resp)
		if resp.ErrorCode != wire.CodeNone && (resp.ErrorMessage == nil || len(resp.Results) > 0) {
			t.Errorf("%+v", resp)
		}
		return resp
	}
	for what, bad := range map[string]struct {
		version int16
		updates []update
		want    wire.ErrorCode
	}{
		"unknown":      {1, []update{{Feature: "no.such", MaxVersionLevel: 1, UpgradeType: 1}}, wire.CodeInvalidUpdateVersion},
		"too high":     {1, []update{{Feature: "transaction.version", MaxVersionLevel: 3, UpgradeType: 1}}, wire.CodeInvalidUpdateVersion},
		"too low":      {1, []update{{Feature: "metadata.version", MaxVersionLevel: 6, UpgradeType: 2}}, wire.CodeInvalidUpdateVersion},
		"down unasked": {1, []update{{Feature: "transaction.version", MaxVersionLevel: 1, UpgradeType: 1}}, wire.CodeInvalidUpdateVersion},
		"down, v0":     {0, []update{{Feature: "transaction.version", MaxVersionLevel: 1}}, wire.CodeInvalidUpdateVersion},
		"unknown way":  {2, []update{{Feature: "transaction.version", MaxVersionLevel: 1, UpgradeType: 9}}, wire.CodeInvalidRequest},
		"twice":        {2, []update{{Feature: "transaction.version", MaxVersionLevel: 1, UpgradeType: 2}, {Feature: "transaction.version", MaxVersionLevel: 1, UpgradeType: 2}}, wire.CodeInvalidRequest},
		"one is wrong": {2, []update{{Feature: "transaction.version", MaxVersionLevel: 1, UpgradeType: 2}, {Feature: "no.such", MaxVersionLevel: 1, UpgradeType: 1}}, wire.CodeInvalidUpdateVersion},
	} {
		if resp := ask(bad.version, false, bad.updates...); resp.ErrorCode != bad.want {
			t.Errorf("%s: %v, want %v", what, resp.ErrorCode, bad.want)
		}
	}
	if resp := ask(1, true, update{Feature: "transaction.version", MaxVersionLevel: 1, UpgradeType: 2}); resp.ErrorCode != wire.CodeNone || len(resp.Results) != 1 {
		t.Errorf("%+v", resp)
	}
	is(4, supported, fresh) // nothing has changed so far
	if resp := ask(0, false, update{Feature: "transaction.version", MaxVersionLevel: 1, AllowDowngrade: true}); resp.ErrorCode != wire.CodeNone || len(resp.Results) != 1 {
		t.Errorf("%+v", resp)
	}
	const down = "metadata.version 25-25 transaction.version 1-1 "
	is(4, supported, down)
	_, _, before := c.featuresOf(4)
	b.stop()
	b = start(t, dir)
	c = dial(t, b.addr)
	is(4, supported, down)
	if resp := ask(2, false, update{Feature: "transaction.version", MaxVersionLevel: 2, UpgradeType: 1}); resp.ErrorCode != wire.CodeNone || len(resp.Results) != 0 {
		t.Errorf("%+v", resp)
	}
	is(4, supported, down) // the coordinator began with 1
	if _, _, after := c.featuresOf(4); before <= 0 || after != before+1 {
		t.Errorf("the epoch goes from %d to %d", before, after)
	}
	b.stop()
	b = start(t, dir)
	c = dial(t, b.addr)
	is(4, supported, fresh)
}

func TestDescribeQuorum(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	ask := func(version int16, topic string, partition int32) (wire.DescribeQuorumResponse, wire.DescribeQuorumResponsePartition) {
		var resp wire.DescribeQuorumResponse
		c.call(version, &wire.DescribeQuorumRequest{Topics: []wire.DescribeQuorumRequestTopic{{Name: topic, Partitions: []wire.DescribeQuorumRequestPartition{{PartitionIndex: partition}}}}}, &resp)
		return resp, resp.Topics[0].Partitions[0]
	}
	_, first := ask(0, "__cluster_metadata", 0)
	c.create("t", 1)
	for v := int16(0); v <= 2; v++ {
		resp, p := ask(v, "__cluster_metadata", 0)
		if p.ErrorCode != wire.CodeNone || p.LeaderID != 1 || len(p.CurrentVoters) != 1 || p.CurrentVoters[0].ReplicaID != 1 || len(p.Observers) != 0 ||
			p.HighWatermark <= first.HighWatermark || p.CurrentVoters[0].LogEndOffset < p.HighWatermark || v > 0 != (p.CurrentVoters[0].LastFetchTimestamp > 0) {
			t.Errorf("version %d: %+v", v, p)
		}
		if v == 2 != (len(resp.Nodes) == 1 && fmt.Sprintf("127.0.0.1:%d", resp.Nodes[0].Listeners[0].Port) == b.addr) {
			t.Errorf("version %d: %+v", v, resp.Nodes)
		}
	}
	if _, p := ask(2, "t", 0); p.ErrorCode != wire.CodeUnknownTopicOrPartition || p.LeaderID != -1 || p.ErrorMessage == nil {
		t.Errorf("%+v", p)
	}
	if _, p := ask(1, "__cluster_metadata", 1); p.ErrorCode != wire.CodeUnknownTopicOrPartition {
		t.Errorf("%+v", p)
	}
}
