package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/streambus/streambus/wire"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestDeleteRecords(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	c := dial(t, b.addr)
	c.create("t", 3)
	var made wire.CreateTopicsResponse
	c.call(7, &wire.CreateTopicsRequest{Topics: []wire.CreateTopicsRequestTopic{{Name: "compact", NumPartitions: 1, ReplicationFactor: 1,
		Configs: []wire.CreateTopicsRequestConfig{{Name: "cleanup.policy", Value: ptr("compact")}}}}}, &made)
	cl := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range 12 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: int32(i % 3), Value: []byte{byte(i)}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(version int16, topic string, parts ...wire.DeleteRecordsRequestPartition) []wire.DeleteRecordsResponsePartition {
		var resp wire.DeleteRecordsResponse
		c.call(version, &wire.DeleteRecordsRequest{Topics: []wire.DeleteRecordsRequestTopic{{Name: topic, Partitions: parts}}, TimeoutMs: 1000}, &resp)
		if len(resp.Topics) != 1 || resp.Topics[0].Name != topic {
			t.Fatalf("%+v", resp)
		}
		return resp.Topics[0].Partitions
	}
	type out = wire.DeleteRecordsResponsePartition
	at := func(i int32, before int64) wire.DeleteRecordsRequestPartition {
		return wire.DeleteRecordsRequestPartition{PartitionIndex: i, Offset: before}
	}
	is := func(i int32, low int64, code wire.ErrorCode) out {
		return out{PartitionIndex: i, LowWatermark: low, ErrorCode: code}
	}
	for v := int16(0); v <= 2; v++ {
		got := ask(v, "t", at(0, 2), at(1, -1), at(2, 5), at(3, 0), at(2, -2))
		want := []out{is(0, 2, 0), is(1, 4, 0), is(2, -1, wire.CodeOffsetOutOfRange), is(3, -1, wire.CodeUnknownTopicOrPartition), is(2, -1, wire.CodeOffsetOutOfRange)}
		if !slices.Equal(got, want) {
			t.Errorf("version %d: %+v", v, got)
		}
	}
	if got := ask(2, "none", at(0, 0))[0]; got != is(0, -1, wire.CodeUnknownTopicOrPartition) {
		t.Errorf("%+v", got)
	}
	if got := ask(2, "compact", at(0, 0))[0]; got != is(0, -1, wire.CodePolicyViolation) {
		t.Errorf("%+v", got)
	}
	b.stop()
	b = start(t, dir)
	c = dial(t, b.addr)
	if got := ask(2, "t", at(0, 1), at(1, -1)); !slices.Equal(got, []out{is(0, 2, 0), is(1, 4, 0)}) {
		t.Errorf("after a restart: %+v", got)
	}
}

func TestCreatePartitions(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	type topic = wire.CreatePartitionsRequestTopic
	type on = wire.CreatePartitionsRequestAssignment
	ask := func(version int16, validateOnly bool, topics ...topic) []wire.CreatePartitionsResponseResult {
		var resp wire.CreatePartitionsResponse
		c.call(version, &wire.CreatePartitionsRequest{Topics: topics, TimeoutMs: 1000, ValidateOnly: validateOnly}, &resp)
		return resp.Results
	}
	for v := int16(0); v <= 3; v++ {
		n := int32(v) + 2
		for _, validateOnly := range []bool{true, false} {
			if got := ask(v, validateOnly, topic{Name: "t", Count: n}); got[0].ErrorCode != wire.CodeNone || got[0].ErrorMessage != nil {
				t.Fatalf("version %d: %+v", v, got)
			}
		}
	}
	if got := ask(3, false, topic{Name: "t", Count: 7, Assignments: []on{{BrokerIDs: []int32{1}}, {BrokerIDs: []int32{1}}}}); got[0].ErrorCode != wire.CodeNone {
		t.Errorf("%+v", got)
	}
	for want, bad := range map[wire.ErrorCode][]topic{
		wire.CodeInvalidPartitions:       {{Name: "t", Count: 7}, {Name: "t", Count: 1}, {Name: "t", Count: -1}, {Name: "t", Count: 1 << 30}},
		wire.CodeUnknownTopicOrPartition: {{Name: "none", Count: 2}},
		wire.CodeInvalidReplicaAssignment: {
			{Name: "t", Count: 8, Assignments: []on{}}, {Name: "t", Count: 8, Assignments: []on{{BrokerIDs: []int32{2}}}},
			{Name: "t", Count: 8, Assignments: []on{{BrokerIDs: []int32{1, 1}}}}, {Name: "t", Count: 8, Assignments: []on{{BrokerIDs: []int32{1}}, {BrokerIDs: []int32{1}}}},
		},
	} {
		for _, one := range bad {
			for _, validateOnly := range []bool{true, false} {
				if got := ask(3, validateOnly, one); got[0].ErrorCode != want || got[0].ErrorMessage == nil {
					t.Errorf("%+v: %+v, want %v", one, got, want)
				}
			}
		}
	}
	if got := ask(3, false, topic{Name: "t", Count: 8}, topic{Name: "t", Count: 9}); len(got) != 2 || got[0].ErrorCode != wire.CodeInvalidRequest || got[1].ErrorCode != wire.CodeInvalidRequest {
		t.Errorf("%+v", got)
	}
	cl := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: 6, Value: []byte("x")}).FirstErr(); err != nil {
		t.Error(err)
	}
}

// TestDescribeTopicPartitionsPages: every page has as much as was asked for, and all of them together have each partition once.
func TestDescribeTopicPartitionsPages(t *testing.T) {
	const most = 9 // whatever is asked for
	b := start(t, t.TempDir(), fmt.Sprint("max.request.partition.size.limit=", most))
	c := dial(t, b.addr)
	for i, name := range []string{"c", "a", "b", "d"} {
		c.create(name, int32(i+1))
	}
	const wantSome = "b0 b1 b2 bad topic! c0 none! "
	for limit := int32(1); limit < 12; limit++ {
		for all, want := range map[bool]string{true: "a0 a1 b0 b1 b2 c0 d0 d1 d2 d3 ", false: wantSome} {
			req := &wire.DescribeTopicPartitionsRequest{ResponsePartitionLimit: limit}
			if !all {
				for _, n := range []string{"none", "c", "b", "b", "bad topic"} {
					req.Topics = append(req.Topics, wire.DescribeTopicPartitionsRequestTopic{Name: n})
				}
			}
			var got strings.Builder
			for pages := 0; ; pages++ {
				var resp wire.DescribeTopicPartitionsResponse
				c.call(0, req, &resp)
				n := int32(0)
				for _, x := range resp.Topics {
					if x.ErrorCode != wire.CodeNone {
						fmt.Fprintf(&got, "%s! ", *x.Name)
					} else if x.TopicID == (wire.UUID{}) || x.TopicAuthorizedOperations == wire.NoAuthorizedOperations {
						t.Errorf("%+v", x)
					}
					for _, p := range x.Partitions {
						n++
						fmt.Fprintf(&got, "%s%d ", *x.Name, p.PartitionIndex)
						if p.LeaderID != 1 || !slices.Equal(p.ReplicaNodes, []int32{1}) || !slices.Equal(p.IsrNodes, []int32{1}) || p.EligibleLeaderReplicas == nil {
							t.Errorf("%+v", p)
						}
					}
				}
				if page := min(limit, most); n > page || n < page && resp.NextCursor != nil || pages > 20 {
					t.Fatalf("limit %d: %d partitions, next %+v", limit, n, resp.NextCursor)
				}
				if req.Cursor = resp.NextCursor; req.Cursor == nil {
					break
				}
			}
			if got.String() != want {
				t.Errorf("limit %d, all %v: %q, want %q", limit, all, got.String(), want)
			}
		}
	}
	var resp wire.DescribeTopicPartitionsResponse
	ask := func(limit int32, at *wire.DescribeTopicPartitionsCursor) {
		c.call(0, &wire.DescribeTopicPartitionsRequest{ResponsePartitionLimit: limit, Cursor: at}, &resp)
	}
	ask(0, nil) // at least one, or nobody gets on
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Errorf("%+v", resp)
	}
	ask(100, &wire.DescribeTopicPartitionsCursor{TopicName: "bb", PartitionIndex: 1}) // a topic that has gone
	if len(resp.Topics) != 2 || *resp.Topics[0].Name != "c" || len(resp.Topics[0].Partitions) != 1 {
		t.Errorf("%+v", resp)
	}
	ask(100, &wire.DescribeTopicPartitionsCursor{TopicName: "d", PartitionIndex: 99})
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 0 || resp.NextCursor != nil {
		t.Errorf("%+v", resp)
	}
	ask(100, &wire.DescribeTopicPartitionsCursor{TopicName: "d", PartitionIndex: -1})
	if len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != wire.CodeInvalidRequest {
		t.Errorf("%+v", resp)
	}
}

func TestDescribeLogDirs(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	c := dial(t, b.addr)
	c.create("t", 2)
	if err := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner())).ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: 1, Value: make([]byte, 1000)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	type topic = wire.DescribeLogDirsRequestTopic
	for v := int16(1); v <= 5; v++ {
		var resp wire.DescribeLogDirsResponse
		c.call(v, &wire.DescribeLogDirsRequest{}, &resp)
		if len(resp.Results) != 1 || len(resp.Results[0].Topics) != 1 || len(resp.Results[0].Topics[0].Partitions) != 2 {
			t.Fatalf("version %d: %+v", v, resp)
		}
		d := resp.Results[0]
		if p := d.Topics[0].Partitions; d.LogDir != dir || d.ErrorCode != wire.CodeNone || p[0].PartitionSize != 0 || p[1].PartitionSize < 1000 || p[1].OffsetLag != 0 {
			t.Errorf("version %d: %+v", v, d)
		}
		if v < 4 && d.TotalBytes != -1 || v >= 4 && (d.TotalBytes <= 0 || d.UsableBytes <= 0 || d.UsableBytes > d.TotalBytes) {
			t.Errorf("version %d: %d of %d bytes", v, d.UsableBytes, d.TotalBytes)
		}
		c.call(v, &wire.DescribeLogDirsRequest{Topics: []topic{{Name: "t", Partitions: []int32{1, 1, 7}}, {Name: "none", Partitions: []int32{0}}}}, &resp)
		if x := resp.Results[0].Topics; len(x) != 1 || len(x[0].Partitions) != 1 || x[0].Partitions[0].PartitionIndex != 1 {
			t.Errorf("version %d: %+v", v, x)
		}
		c.call(v, &wire.DescribeLogDirsRequest{Topics: []topic{}}, &resp)
		if len(resp.Results) != 1 || len(resp.Results[0].Topics) != 0 {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
}

func TestReassignmentsOfOneBroker(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 2)
	for v := int16(0); v <= 1; v++ {
		req := new(wire.AlterPartitionReassignmentsRequest)
		req.Default()
		move := func(i int32, to []int32) wire.AlterPartitionReassignmentsRequestPartition {
			return wire.AlterPartitionReassignmentsRequestPartition{PartitionIndex: i, Replicas: to}
		}
		req.Topics = []wire.AlterPartitionReassignmentsRequestTopic{{Name: "t", Partitions: []wire.AlterPartitionReassignmentsRequestPartition{
			move(0, []int32{1}), move(1, nil), move(1, []int32{2}), move(1, []int32{}), move(1, []int32{1, 1}), move(2, []int32{1}), move(-1, nil)}}}
		var resp wire.AlterPartitionReassignmentsResponse
		c.call(v, req, &resp)
		var got []wire.ErrorCode
		for _, p := range resp.Topics[0].Partitions {
			got = append(got, p.ErrorCode)
		}
		if want := []wire.ErrorCode{0, wire.CodeNoReassignmentInProgress, wire.CodeInvalidReplicaAssignment, wire.CodeInvalidReplicaAssignment, wire.CodeInvalidReplicaAssignment,
			wire.CodeUnknownTopicOrPartition, wire.CodeUnknownTopicOrPartition}; resp.ErrorCode != 0 || !slices.Equal(got, want) {
			t.Errorf("version %d: %v, want %v", v, got, want)
		}
	}
	var resp wire.ListPartitionReassignmentsResponse
	if c.call(0, &wire.ListPartitionReassignmentsRequest{}, &resp); resp.ErrorCode != 0 || len(resp.Topics) > 0 {
		t.Errorf("%+v", resp)
	}
}

func TestElectLeaders(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 1)
	for v := int16(0); v <= 2; v++ {
		for kind := range min(int8(v), 1) + 1 {
			var resp wire.ElectLeadersResponse
			c.call(v, &wire.ElectLeadersRequest{ElectionType: kind, Topics: []wire.ElectLeadersRequestTopic{{Name: "t", Partitions: []int32{0, 1}}, {Name: "none", Partitions: []int32{0}}}}, &resp)
			if resp.ErrorCode != 0 || len(resp.Topics) != 2 || resp.Topics[0].Partitions[0].ErrorCode != wire.CodeElectionNotNeeded ||
				resp.Topics[0].Partitions[1].ErrorCode != wire.CodeUnknownTopicOrPartition || resp.Topics[1].Partitions[0].ErrorCode != wire.CodeUnknownTopicOrPartition {
				t.Errorf("version %d: %+v", v, resp)
			}
			if c.call(v, &wire.ElectLeadersRequest{ElectionType: kind}, &resp); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
				t.Errorf("version %d, all: %+v", v, resp)
			}
		}
	}
	var resp wire.ElectLeadersResponse
	if c.call(2, &wire.ElectLeadersRequest{ElectionType: 7}, &resp); resp.ErrorCode != wire.CodeInvalidRequest {
		t.Errorf("%+v", resp)
	}
}
