package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/admin"
	"github.com/streambus/streambus/wire"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// modern has members of consumer groups send heartbeats as often as a test wants to wait.
var modern = []string{"group.consumer.min.heartbeat.interval.ms=20", "group.consumer.heartbeat.interval.ms=20"}

// modernMember is a member of the group g by KIP-848.
func modernMember(t *testing.T, addr, id string, opts ...kgo.Opt) *kgo.Client {
	return (&inProcess{t: t, addr: addr}).member(id, append([]kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(kgo.CooperativeStickyBalancer())}, opts...)...)
}

// fillT writes n records to topic t of four partitions, in turn.
func fillT(t *testing.T, addr string, n int) {
	t.Helper()
	p := client(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range n {
		if err := p.ProduceSync(within(t, 20*time.Second), &kgo.Record{Topic: "t", Partition: int32(i % 4), Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// until asks again and again until it is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for ctx := within(t, 30*time.Second); !so(); {
		if ctx.Err() != nil {
			t.Fatalf("not %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// settled waits until the consumer group g has n members that all have what they are to have.
func settled(t *testing.T, addr string, n int) (d kadm.DescribedConsumerGroup) {
	t.Helper()
	adm := kadm.NewClient(client(t, addr))
	until(t, fmt.Sprintf("stable with %d members", n), func() bool {
		all, err := adm.DescribeConsumerGroups(within(t, 20*time.Second), "g")
		if err != nil {
			t.Fatal(err)
		}
		d = all["g"]
		return d.State == "Stable" && len(d.Members) == n
	})
	return d
}

func TestConsumerGroupOfTheNewProtocol(t *testing.T) {
	b := start(t, t.TempDir(), append(modern, anyHTTP)...)
	ctx := within(t, 60*time.Second)
	adm := b.admin()
	if _, err := adm.CreateTopic(ctx, 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	one := modernMember(t, b.addr, "one", kgo.InstanceID("first"), kgo.Rack("r1"))
	if d := settled(t, b.addr, 1); len(d.Members[0].Assignment["t"]) != 4 || d.AssignorName != "uniform" || d.Epoch != d.AssignmentEpoch {
		t.Errorf("one member: %+v", d)
	}
	two := modernMember(t, b.addr, "two")
	settled(t, b.addr, 2)
	fillT(t, b.addr, 40)
	seen := 0
	for seen < 40 {
		for _, m := range []*kgo.Client{one, two} {
			seen += len(m.PollFetches(within(t, 50*time.Millisecond)).Records())
			if err := m.CommitUncommittedOffsets(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("%d of 40 records", seen)
		}
	}
	d := settled(t, b.addr, 2)
	all := d.AssignedPartitions()
	if len(all["t"]) != 4 || !slices.ContainsFunc(d.Members, func(m kadm.ConsumerGroupMember) bool {
		return m.InstanceID != nil && *m.InstanceID == "first" && m.RackID != nil && *m.RackID == "r1" && m.ClientID == "one" && m.ClientHost == "/127.0.0.1" &&
			m.MemberType == 1 && len(m.Assignment["t"]) == 2 && slices.Equal(m.SubscribedTopics, []string{"t"})
	}) {
		t.Errorf("two members: %+v", d)
	}
	if len(d.AuthorizedOperations) != 5 {
		t.Errorf("may do %v with the group", d.AuthorizedOperations)
	}
	if old, err := adm.DescribeGroups(ctx, "g"); err != nil || !errors.Is(old["g"].Err, kerr.GroupIDNotFound) {
		t.Errorf("by DescribeGroups: %+v, %v", old, err)
	}
	listed, err := adm.ListGroupsByType(ctx, []string{"Consumer"}, "stable")
	if err != nil || len(listed) != 1 || listed["g"].State != "Stable" || listed["g"].ProtocolType != "consumer" {
		t.Errorf("listed: %+v, %v", listed, err)
	}
	theCommandsSeeIt(t, b.addr)
	_, own := get(t, b.HTTPAddr(), "/metrics")
	if states, members := value(t, own, `streambus_groups{state="Stable"}`), value(t, own, `streambus_group_members`); states != "1" || members != "2" {
		t.Errorf("metrics: %s stable groups, %s members", states, members)
	}
	if resp, err := adm.DeleteGroup(ctx, "g"); !errors.Is(err, kerr.NonEmptyGroup) {
		t.Errorf("deleted with its members: %+v, %v", resp, err)
	}
	two.Close()
	settled(t, b.addr, 1)
}

// theCommandsSeeIt: what the program says of a consumer group with two members that have read all of t.
func theCommandsSeeIt(t *testing.T, addr string) {
	t.Helper()
	c, err := admin.Connect(admin.Options{Brokers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lags, err := c.Lags(t.Context(), "g")
	if err != nil || len(lags) != 4 {
		t.Fatalf("%+v, %v", lags, err)
	}
	for i, l := range lags {
		if l.State != "Stable" || l.Topic != "t" || l.Partition != int32(i) || l.Committed != 10 || l.End != 10 || l.Lag != 0 || l.Member == "" || l.Client == "" {
			t.Errorf("%+v", l)
		}
	}
	members, err := c.Members(t.Context(), "g")
	if err != nil || len(members) != 2 || members[0].Partitions != 2 || len(members[1].Assigned) != 1 || members[0].Strategy != "uniform" {
		t.Errorf("%+v, %v", members, err)
	}
	if _, err := c.Lags(t.Context(), "none"); !errors.Is(err, kerr.GroupIDNotFound) {
		t.Errorf("none: %v", err)
	}
}

func TestGroupsByAdmin(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, modern...)
	ctx := within(t, 60*time.Second)
	adm := b.admin()
	if _, err := adm.CreateTopics(ctx, 2, 1, nil, "t", "u"); err != nil {
		t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset("t", 0, 3, -1)
	offsets.AddOffset("u", 1, 4, -1)
	m := b.member("m", kgo.InstanceID("static")) // of g, which reads t
	until(t, "stable", func() bool {
		all, err := adm.DescribeGroups(ctx, "g")
		return err == nil && all["g"].State == "Stable"
	})
	all, err := adm.DescribeGroups(ctx, "g", "none")
	g := all["g"]
	if err != nil || len(g.Members) != 1 || g.ProtocolType != "consumer" || g.Members[0].ClientID != "m" || g.Members[0].ClientHost != "/127.0.0.1" ||
		*g.Members[0].InstanceID != "static" || len(g.AuthorizedOperations) != 5 {
		t.Errorf("%+v, %v", g, err)
	}
	if a, ok := g.Members[0].Assigned.AsConsumer(); !ok || len(a.Topics) != 1 || len(a.Topics[0].Partitions) != 2 {
		t.Errorf("assigned: %+v", g.Members[0].Assigned)
	}
	if !errors.Is(all["none"].Err, kerr.GroupIDNotFound) {
		t.Errorf("none: %+v", all["none"])
	}
	if err := adm.CommitAllOffsets(ctx, "simple", offsets); err != nil {
		t.Fatal(err)
	}
	if resp, err := adm.DeleteOffsets(ctx, "g", kadm.TopicsSet{"t": {0: {}}, "u": {1: {}}}); err != nil ||
		!errors.Is(resp["t"][0], kerr.GroupSubscribedToTopic) || resp["u"][1] != nil {
		t.Errorf("offsets of what is read, and of what is not: %+v, %v", resp, err)
	}
	if resp, err := adm.DeleteOffsets(ctx, "simple", kadm.TopicsSet{"t": {0: {}, 9: {}}, "no": {0: {}}}); err != nil ||
		resp["t"][0] != nil || resp["t"][9] != nil || !errors.Is(resp["no"][0], kerr.UnknownTopicOrPartition) {
		t.Errorf("offsets: %+v, %v", resp, err)
	}
	if left, err := adm.FetchOffsets(ctx, "simple"); err != nil || len(left) != 1 || left["u"][1].At != 4 {
		t.Errorf("left: %+v, %v", left, err)
	}
	if _, err := adm.DeleteOffsets(ctx, "none", kadm.TopicsSet{"t": {0: {}}}); !errors.Is(err, kerr.GroupIDNotFound) {
		t.Errorf("offsets of no group: %v", err)
	}
	listed, err := adm.ListGroups(ctx)
	if err != nil || len(listed) != 2 || listed["simple"].State != "Empty" {
		t.Errorf("listed: %+v, %v", listed, err)
	}
	for group, want := range map[string]error{"g": kerr.NonEmptyGroup, "none": kerr.GroupIDNotFound, "simple": nil} {
		if _, err := adm.DeleteGroup(ctx, group); !errors.Is(err, want) {
			t.Errorf("delete %s: %v, want %v", group, err, want)
		}
	}
	leave := kadm.LeaveGroup("g").InstanceIDs("static", "stranger")
	if resp, err := adm.LeaveGroup(ctx, leave); err != nil || resp["static"].Err != nil || !errors.Is(resp["stranger"].Err, kerr.UnknownMemberID) {
		t.Errorf("leave: %+v, %v", resp, err)
	}
	m.Close()
	until(t, "deleted", func() bool { // the member may have come back before it closed
		_, err := adm.DeleteGroup(ctx, "g")
		if errors.Is(err, kerr.NonEmptyGroup) {
			_, err = adm.LeaveGroup(ctx, kadm.LeaveGroup("g").InstanceIDs("static"))
			return err != nil
		}
		return err == nil
	})
	b.stop()
	b = start(t, dir, modern...)
	if listed, err := b.admin().ListGroups(ctx); err != nil || len(listed) != 0 {
		t.Errorf("after a restart: %+v, %v", listed, err)
	}
}

// TestOffsetsGoWithTheTopic: with the topic's deletion, and for good: not for the next topic of that name, and not by a restart.
func TestOffsetsGoWithTheTopic(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	ctx := within(t, 30*time.Second)
	offsets := kadm.Offsets{}
	offsets.AddOffset("t", 0, 3, -1)
	offsets.AddOffset("kept", 0, 4, -1)
	if _, err := b.admin().CreateTopics(ctx, 1, 1, nil, "t", "kept"); err != nil {
		t.Fatal(err)
	}
	if err := b.admin().CommitAllOffsets(ctx, "g", offsets); err != nil {
		t.Fatal(err)
	}
	if _, err := b.admin().DeleteTopic(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.admin().CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"at once", "after a restart"} {
		until(t, "gone "+when, func() bool { // when the tombstone is durable
			got, err := b.admin().FetchOffsets(ctx, "g")
			return err == nil && len(got) == 1 && got["kept"][0].At == 4
		})
		b.stop()
		b = start(t, dir)
	}
}

// TestOffsetsExpireOnTime: offsets with a retention of their own are taken out by the check, which the settings say how often comes.
func TestOffsetsExpireOnTime(t *testing.T) {
	b := start(t, t.TempDir(), "offsets.retention.check.interval.ms=10")
	c := dial(t, b.addr)
	c.create("t", 1)
	c.create("kept", 1)
	for topic, retention := range map[string]int64{"t": 1, "kept": -1} {
		req := new(wire.OffsetCommitRequest)
		req.Default()
		req.GroupID, req.RetentionTimeMs = "g", retention
		req.Topics = []wire.OffsetCommitRequestTopic{{Name: topic, Partitions: []wire.OffsetCommitRequestPartition{{CommittedOffset: 5}}}}
		var resp wire.OffsetCommitResponse
		if c.call(2, req, &resp); resp.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("%+v", resp)
		}
	}
	until(t, "expired", func() bool {
		got := c.fetched(8, wire.OffsetFetchRequestGroup{GroupID: "g"})
		return len(got.Topics) == 1 && got.Topics[0].Name == "kept"
	})
}

func TestOffsetMetadataLimitIsASetting(t *testing.T) {
	b := start(t, t.TempDir(), "offset.metadata.max.bytes=10")
	c := dial(t, b.addr)
	c.create("t", 1)
	for n, want := range map[int]wire.ErrorCode{10: wire.CodeNone, 11: wire.CodeOffsetMetadataTooLarge} {
		text := strings.Repeat("m", n)
		req := new(wire.OffsetCommitRequest)
		req.Default()
		req.GroupID, req.Topics = "g", []wire.OffsetCommitRequestTopic{{Name: "t", Partitions: []wire.OffsetCommitRequestPartition{{CommittedMetadata: &text}}}}
		var resp wire.OffsetCommitResponse
		if c.call(8, req, &resp); resp.Topics[0].Partitions[0].ErrorCode != want {
			t.Errorf("%d bytes: %v", n, resp.Topics[0].Partitions[0].ErrorCode)
		}
	}
}

// TestBothProtocolsInOneGroup: a group of consumers moves to the new protocol member by member, and back, while it reads.
func TestBothProtocolsInOneGroup(t *testing.T) {
	b := start(t, t.TempDir(), modern...)
	ctx := within(t, 60*time.Second)
	adm := b.admin()
	if _, err := adm.CreateTopic(ctx, 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	read := func(want int, members ...*kgo.Client) {
		t.Helper()
		fillT(t, b.addr, 8)
		for len(seen) < want {
			for _, m := range members {
				m.PollFetches(within(t, 50*time.Millisecond)).EachRecord(func(r *kgo.Record) { seen[fmt.Sprint(r.Partition, r.Offset)] = true })
			}
			if ctx.Err() != nil {
				t.Fatalf("%d of %d records", len(seen), want)
			}
		}
	}
	old := b.member("old", kgo.Balancers(kgo.CooperativeStickyBalancer()))
	read(8, old)
	if d, err := adm.DescribeConsumerGroups(ctx, "g"); err != nil || !errors.Is(d["g"].Err, kerr.GroupIDNotFound) {
		t.Errorf("a classic group: %+v, %v", d, err)
	}
	fresh := modernMember(t, b.addr, "fresh")
	read(16, old, fresh)
	d := settled(t, b.addr, 2)
	types := map[string]int8{}
	for _, m := range d.Members {
		types[m.ClientID] = m.MemberType
		if len(m.Assignment["t"]) != 2 {
			t.Errorf("%s has %v", m.ClientID, m.Assignment)
		}
	}
	if types["old"] != wire.MemberTypeClassic || types["fresh"] != wire.MemberTypeConsumer {
		t.Errorf("%v", types)
	}
	fresh.Close()
	until(t, "classic again", func() bool {
		all, err := adm.DescribeGroups(ctx, "g")
		return err == nil && all["g"].State == "Stable" && len(all["g"].Members) == 1
	})
	read(24, old)
}

// TestConsumersSeeNewTopics: who subscribes by a regular expression is given the partitions of topics that come, and rid of those that go.
func TestConsumersSeeNewTopics(t *testing.T) {
	b := start(t, t.TempDir(), modern...)
	ctx := within(t, 60*time.Second)
	adm := b.admin()
	if _, err := adm.CreateTopics(ctx, 2, 1, nil, "ta", "other"); err != nil {
		t.Fatal(err)
	}
	m := b.client(kgo.ConsumerGroup("g"), kgo.ConsumeRegex(), kgo.ConsumeTopics("^t.$"), kgo.DisableAutoCommit(), kgo.ServerSideBalancer(),
		kgo.Balancers(kgo.RangeBalancer()), kgo.MetadataMaxAge(50*time.Millisecond))
	defer m.Close()
	assigned := func(want string) {
		t.Helper()
		until(t, "given "+want, func() bool {
			d := settled(t, b.addr, 1)
			got := []string{}
			for topic, partitions := range d.Members[0].Assignment {
				got = append(got, fmt.Sprint(topic, len(partitions)))
			}
			slices.Sort(got)
			return fmt.Sprint(got) == want
		})
	}
	assigned("[ta2]")
	if _, err := adm.CreateTopics(ctx, 3, 1, nil, "tb", "more"); err != nil {
		t.Fatal(err)
	}
	assigned("[ta2 tb3]")
	if _, err := adm.DeleteTopic(ctx, "ta"); err != nil {
		t.Fatal(err)
	}
	assigned("[tb3]")
}
