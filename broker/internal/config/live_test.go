package config

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func live(t *testing.T, set ...string) *Live {
	t.Helper()
	c, err := Load(Sources{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return NewLive(c)
}

func TestEveryKeyOfTopicsAndGroupsFollowsABroker(t *testing.T) {
	v := live(t).View()
	for _, table := range [][]Def{TopicDefs, GroupDefs} {
		for i := range table {
			d := &table[i]
			if d.Doc == "" || d.Dynamic {
				t.Errorf("%s: no doc, or marked as dynamic", d.Name)
			}
			if d.Broker == "" {
				if _, fault := d.parse(d.Default, ""); fault != "" {
					t.Errorf("the default of %s: %s", d.Name, fault)
				}
				continue
			}
			b := Find(d.Broker)
			if b == nil || b.Kind != d.Kind {
				t.Fatalf("%s follows %s, which is not there or of another type", d.Name, d.Broker)
			}
			if _, fault := d.parse(v.Value(d.Broker).Raw, ""); fault != "" {
				t.Errorf("%s does not take the broker's default: %s", d.Name, fault)
			}
		}
	}
}

func TestLayers(t *testing.T) {
	l := live(t, "log.retention.ms=1000")
	var seen []int64
	cancel := l.Watch(func(v *View) { seen = append(seen, v.Long("log.retention.ms")) })
	l.Set(nil, map[string]string{"log.retention.ms": "2000"})
	if over := l.Set(map[string]string{"log.retention.ms": "3000", "node.id": "9", "max.connections": "no"}, map[string]string{"log.retention.ms": "2000"}); len(over) != 2 {
		t.Errorf("passed over: %q", over)
	}
	v := l.View()
	if v.Int("node.id") != 1 || v.Int("max.connections") != 10000 {
		t.Error("what cannot be set has been set")
	}
	text := func(e Entry) string {
		var out []string
		for _, s := range e.Synonyms {
			out = append(out, s.Name+"="+*s.Value+"@"+string('0'+rune(s.Origin)))
		}
		return strings.Join(out, " ")
	}
	const chain = "log.retention.ms=3000@2 log.retention.ms=2000@3 log.retention.ms=1000@4 log.retention.ms=604800000@5"
	if got := v.Describe([]string{"log.retention.ms"}); len(got) != 1 || text(got[0]) != chain || got[0].ReadOnly || got[0].Origin != FromBroker {
		t.Errorf("%+v", got)
	}
	if got := v.DescribeTopic(map[string]string{"retention.ms": "4000"}, []string{"retention.ms"}); text(got[0]) != "retention.ms=4000@1 "+chain {
		t.Errorf("%+v", got)
	}
	if got := v.DescribeTopic(nil, nil); len(got) != len(TopicDefs) || text(got[len(got)-6]) != chain || *got[len(got)-6].Value != "3000" {
		t.Errorf("%+v", got)
	}
	if got := v.DescribeCluster(nil); len(got) != 1 || text(got[0]) != "log.retention.ms=2000@3" {
		t.Errorf("%+v", got)
	}
	if got := v.Describe([]string{"node.id"}); !got[0].ReadOnly || got[0].WireType() != 3 {
		t.Errorf("%+v", got)
	}
	if n := v.Topic(nil, "retention.ms").Num; n != 3000 {
		t.Errorf("a topic without a setting of its own has %d", n)
	}
	if n := v.Topic(map[string]string{"retention.ms": "-7"}, "retention.ms").Num; n != 3000 {
		t.Errorf("a stored setting that is not taken counts: %d", n)
	}
	cancel()
	l.Set(nil, nil)
	if diff := cmp.Diff([]int64{1000, 2000, 3000}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestSensitiveIsNotDescribed(t *testing.T) {
	d := &Def{Name: "x", Sensitive: true}
	if e := entryOf(d, []Synonym{{"x", d.hide("secret"), FromStatic}}, true); e.Value != nil || e.WireType() != 9 {
		t.Errorf("%+v", e)
	}
}

func TestChecks(t *testing.T) {
	v := live(t).View()
	m := func(kv ...string) map[string]string {
		out := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i]] = kv[i+1]
		}
		return out
	}
	for _, c := range []struct{ got, want string }{
		{v.CheckTopic(m("cleanup.policy", "compact,delete", "min.insync.replicas", "2", "preallocate", "true")), ""},
		{v.CheckTopic(m("cleanup.policy", "shred")), `cleanup.policy = "shred": it must be delete, compact, or both`},
		{v.CheckTopic(m("compression.type", "brotli")), `compression.type = "brotli": it must be producer, uncompressed, gzip, snappy, lz4 or zstd`},
		{v.CheckTopic(m("compression.zstd.level", "19")), `compression.zstd.level = "19": it must be 3, the only value served yet`},
		{v.CheckTopic(m("min.cleanable.dirty.ratio", "NaN")), `min.cleanable.dirty.ratio = "NaN": it must be a number`},
		{v.CheckTopic(m("min.compaction.lag.ms", "2", "max.compaction.lag.ms", "1")), "min.compaction.lag.ms = 2 is above max.compaction.lag.ms = 1"},
		{v.CheckTopic(m("max.message.bytes", "2000000000")), "max.message.bytes = 2000000000 does not fit a commit-log file: the broker's commit.log.file.bytes = 268435456"},
		{v.CheckTopic(m("leader.replication.throttled.replicas", "0:1,x")), `leader.replication.throttled.replicas = "0:1,x": it must be *, or a list of PARTITION:BROKER`},
		{v.CheckTopic(m("a.b", "1")), "unknown setting a.b"},
		{v.CheckGroup(m("consumer.session.timeout.ms", "45000")), ""},
		{v.CheckGroup(m("consumer.session.timeout.ms", "1")), "consumer.session.timeout.ms = 1: it must be from 45000 (group.consumer.min.session.timeout.ms) to 60000 (group.consumer.max.session.timeout.ms)"},
		{v.CheckBroker(nil, m("max.connections.per.ip.overrides", "127.0.0.1:5,::1:6")), ""},
		{v.CheckBroker(nil, m("max.connections.per.ip.overrides", "localhost:5")), `max.connections.per.ip.overrides = "localhost:5": "localhost:5" must be ADDRESS:COUNT`},
		{v.CheckBroker(m("node.id", "2"), nil), "node.id: it cannot be set while the broker runs"},
		{v.CheckBroker(m("message.max.bytes", "200000000"), nil), "message.max.bytes = 200000000 (set for this broker) is above socket.request.max.bytes = 104857600 (default): such a batch could never arrive"},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

func TestApply(t *testing.T) {
	l := live(t)
	s := func(s string) *string { return &s }
	before := map[string]string{"retention.ms": "5", "cleanup.policy": "delete", "from.the.future": "1"}
	kept := maps.Clone(before)
	now := func(name string) Value { return l.View().Topic(before, name) }
	got, err := Apply(TopicDefs, before, now, []Change{
		{"retention.ms", OpDelete, nil}, {"cleanup.policy", OpAppend, s("compact,delete")}, {"segment.ms", OpSet, s(" 7 ")},
		{"leader.replication.throttled.replicas", OpAppend, s("0:1")}, {"from.the.future", OpDelete, nil},
	})
	want := map[string]string{"cleanup.policy": "delete,compact", "segment.ms": "7", "leader.replication.throttled.replicas": "0:1"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || !maps.Equal(before, kept) {
		t.Errorf("%v, %v: %s", err, before, diff)
	}
	if got, err := Apply(TopicDefs, nil, func(string) Value { return l.View().Topic(nil, "cleanup.policy") }, []Change{{"cleanup.policy", OpAppend, s("compact")}}); err != nil || got["cleanup.policy"] != "delete,compact" {
		t.Errorf("append to a default: %v, %v", got, err)
	}
	if got, err := Apply(TopicDefs, want, now, []Change{{"cleanup.policy", OpSubtract, s("delete")}}); err != nil || got["cleanup.policy"] != "compact" {
		t.Errorf("subtract: %v, %v", got, err)
	}
	for name, c := range map[string]struct {
		changes []Change
		want    error
	}{
		"twice":           {[]Change{{"segment.ms", OpDelete, nil}, {"segment.ms", OpDelete, nil}}, ErrChange},
		"no value":        {[]Change{{"segment.ms", OpSet, nil}}, ErrChange},
		"no operation":    {[]Change{{"segment.ms", 4, s("1")}}, ErrChange},
		"unknown":         {[]Change{{"x", OpSet, s("1")}}, ErrSetting},
		"append a number": {[]Change{{"segment.ms", OpAppend, s("1")}}, ErrSetting},
	} {
		if _, err := Apply(TopicDefs, nil, now, c.changes); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestOtherUnits(t *testing.T) {
	for name, c := range map[string]struct {
		set  []string
		want int64
	}{
		"hours":              {[]string{"log.retention.hours=2"}, 7_200_000},
		"minutes win":        {[]string{"log.retention.hours=2", "log.retention.minutes=3"}, 180_000},
		"the key itself":     {[]string{"log.retention.minutes=3", "log.retention.ms=4"}, 4},
		"for ever":           {[]string{"log.retention.hours=-1"}, -1},
		"none of them given": {nil, 604_800_000},
	} {
		if got := live(t, c.set...).View().Long("log.retention.ms"); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if _, err := Load(Sources{Set: []string{"log.retention.hours=x"}}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}
