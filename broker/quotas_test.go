package broker_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/admin"
	"github.com/streambus/streambus/wire"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestMutationsHaveAQuota is KIP-599: what exceeds it is refused in versions that know the error, and only held up in older ones. Each
// request has a connection of its own, for one that is held up is not read from.
func TestMutationsHaveAQuota(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("t", 2)
	var set wire.AlterClientQuotasResponse
	c.call(1, &wire.AlterClientQuotasRequest{Entries: []wire.AlterClientQuotasRequestEntry{{
		Entity: []wire.AlterClientQuotasRequestEntity{{EntityType: "client-id", EntityName: ptr("raw")}},
		Ops:    []wire.AlterClientQuotasRequestOp{{Key: "controller_mutation_rate", Value: 0.01}},
	}}}, &set)
	if set.Entries[0].ErrorCode != wire.CodeNone {
		t.Fatal(set)
	}
	create := func(version int16, name string, validateOnly bool) wire.CreateTopicsResponse {
		var resp wire.CreateTopicsResponse
		dial(t, b.addr).call(version, &wire.CreateTopicsRequest{ValidateOnly: validateOnly, Topics: []wire.CreateTopicsRequestTopic{{Name: name, NumPartitions: 3, ReplicationFactor: 1}}}, &resp)
		return resp
	}
	if r := create(7, "checked", true); r.Topics[0].ErrorCode != wire.CodeNone || r.ThrottleTimeMs != 0 {
		t.Errorf("only checked: %+v", r)
	}
	if r := create(7, "first", false); r.Topics[0].ErrorCode != wire.CodeNone || r.ThrottleTimeMs <= 0 {
		t.Errorf("the first: %v, %d ms", r.Topics[0].ErrorCode, r.ThrottleTimeMs)
	}
	if r := create(7, "second", false); r.Topics[0].ErrorCode != wire.CodeThrottlingQuotaExceeded || r.ThrottleTimeMs <= 0 || r.Topics[0].ErrorMessage == nil {
		t.Errorf("the second: %v, %d ms", r.Topics[0].ErrorCode, r.ThrottleTimeMs)
	}
	if r := create(5, "old", false); r.Topics[0].ErrorCode != wire.CodeNone || r.ThrottleTimeMs <= 0 {
		t.Errorf("an old version: %v, %d ms", r.Topics[0].ErrorCode, r.ThrottleTimeMs)
	}
	grow := func(version int16, n int32) wire.CreatePartitionsResponse {
		var resp wire.CreatePartitionsResponse
		dial(t, b.addr).call(version, &wire.CreatePartitionsRequest{Topics: []wire.CreatePartitionsRequestTopic{{Name: "t", Count: n}}}, &resp)
		return resp
	}
	if r := grow(3, 3); r.Results[0].ErrorCode != wire.CodeThrottlingQuotaExceeded || r.ThrottleTimeMs <= 0 {
		t.Errorf("%+v", r)
	}
	if r := grow(2, 3); r.Results[0].ErrorCode != wire.CodeNone || r.ThrottleTimeMs <= 0 {
		t.Errorf("%+v", r)
	}
	remove := func(version int16, name string) wire.DeleteTopicsResponse {
		req := &wire.DeleteTopicsRequest{TopicNames: []string{name}}
		if version >= 6 {
			req = &wire.DeleteTopicsRequest{Topics: []wire.DeleteTopicsRequestTopic{{Name: &name}}}
		}
		var resp wire.DeleteTopicsResponse
		dial(t, b.addr).call(version, req, &resp)
		return resp
	}
	for v := int16(5); v <= 6; v++ {
		if r := remove(v, "t"); r.Topics[0].ErrorCode != wire.CodeThrottlingQuotaExceeded || r.ThrottleTimeMs <= 0 {
			t.Errorf("%+v", r)
		}
	}
	if r := remove(4, "t"); r.Topics[0].ErrorCode != wire.CodeNone || r.ThrottleTimeMs <= 0 {
		t.Errorf("%+v", r)
	}
	var all wire.MetadataResponse
	if dial(t, b.addr).call(12, &wire.MetadataRequest{}, &all); len(all.Topics) != 2 {
		t.Errorf("%d topics, want first and old", len(all.Topics))
	}
}

func TestDeleteTopicsRules(t *testing.T) {
	b := start(t, t.TempDir())
	c := dial(t, b.addr)
	c.create("a", 1)
	c.create("b", 1)
	var all wire.MetadataResponse
	c.call(12, &wire.MetadataRequest{}, &all)
	a, id := "a", all.Topics[1].TopicID
	type in = wire.DeleteTopicsRequestTopic
	var resp wire.DeleteTopicsResponse
	ask := func(topics ...in) {
		resp = wire.DeleteTopicsResponse{}
		c.call(6, &wire.DeleteTopicsRequest{Topics: topics}, &resp)
	}
	ask(in{Name: &a}, in{TopicID: all.Topics[0].TopicID}, in{}, in{Name: &a, TopicID: id}, in{TopicID: wire.UUID{9}}, in{TopicID: id})
	for i, want := range []wire.ErrorCode{wire.CodeInvalidRequest, wire.CodeInvalidRequest, wire.CodeInvalidRequest, wire.CodeInvalidRequest, wire.CodeUnknownTopicID, wire.CodeNone} {
		if got := resp.Topics[i].ErrorCode; got != want {
			t.Errorf("%d: %v, want %v", i, got, want)
		}
	}
	if *resp.Topics[5].Name != "b" || resp.Topics[5].TopicID != id {
		t.Errorf("%+v", resp.Topics[5])
	}
	if ask(in{Name: &a}); resp.Topics[0].ErrorCode != wire.CodeNone {
		t.Errorf("%+v", resp)
	}
}

// TestBytesHaveAQuota is KIP-13: what was produced or fetched is answered as ever, and the response says how long the client is to wait. What it
// fetches before is empty, on whatever connection.
func TestBytesHaveAQuota(t *testing.T) {
	b := start(t, t.TempDir())
	dial(t, b.addr).create("t", 1)
	var set wire.AlterClientQuotasResponse
	dial(t, b.addr).call(1, &wire.AlterClientQuotasRequest{Entries: []wire.AlterClientQuotasRequestEntry{{
		Entity: []wire.AlterClientQuotasRequestEntity{{EntityType: "client-id", EntityName: ptr("raw")}},
		Ops:    []wire.AlterClientQuotasRequestOp{{Key: "producer_byte_rate", Value: 1000}, {Key: "consumer_byte_rate", Value: 1000}},
	}}}, &set)
	if set.Entries[0].ErrorCode != wire.CodeNone {
		t.Fatalf("%+v", set)
	}
	records := built(-1, 0, 0, strings.Repeat("x", 100_000))
	var produced wire.ProduceResponse
	dial(t, b.addr).call(9, produceRequest("t", 0, records), &produced)
	if produced.ThrottleTimeMs <= 0 || produced.Topics[0].Partitions[0].ErrorCode != wire.CodeNone {
		t.Errorf("produced: %+v", produced)
	}
	var fetched wire.FetchResponse
	dial(t, b.addr).call(11, fetchRequest("t", 0, 0), &fetched)
	if fetched.ThrottleTimeMs <= 0 || len(fetched.Topics[0].Partitions[0].Records) != len(records) {
		t.Errorf("fetched: held up for %d ms, %d topics", fetched.ThrottleTimeMs, len(fetched.Topics))
	}
	fetched.Reset()
	dial(t, b.addr).call(11, fetchRequest("t", 0, 0), &fetched)
	if fetched.ThrottleTimeMs <= 0 || len(fetched.Topics) != 0 {
		t.Errorf("fetched again: held up for %d ms, %d topics", fetched.ThrottleTimeMs, len(fetched.Topics))
	}
}

// throttles counts how often a client of franz-go's is held up.
type throttles struct{ n atomic.Int32 }

func (h *throttles) OnBrokerThrottle(_ kgo.BrokerMetadata, d time.Duration, _ bool) {
	if d > 0 {
		h.n.Add(1)
	}
}

// TestAQuotaHoldsAProducerBack is an operator who sets a quota and removes it again, and a producer of franz-go's that is told so.
func TestAQuotaHoldsAProducerBack(t *testing.T) {
	b, ctx := start(t, t.TempDir()), within(t, time.Minute)
	dial(t, b.addr).create("t", 1)
	a, err := admin.Connect(admin.Options{Brokers: []string{b.addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	produce := func(client string) int32 {
		h := &throttles{}
		c := b.client(kgo.ClientID(client), kgo.WithHooks(h), kgo.DefaultProduceTopic("t"))
		if err := c.ProduceSync(ctx, kgo.SliceRecord([]byte(strings.Repeat("x", 100_000)))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return h.n.Load()
	}
	backfill := admin.Entity{"client-id": "backfill"}
	if rows, err := a.AlterQuotas(ctx, backfill, map[string]float64{"producer_byte_rate": 5000}, nil, true); err != nil || rows[0].Done != "could_be_set" || produce("backfill") != 0 {
		t.Errorf("only asked: %+v, %v, or it held", rows, err)
	}
	if _, err := a.AlterQuotas(ctx, backfill, map[string]float64{"producer_byte_rate": 5000}, nil, false); err != nil {
		t.Fatal(err)
	}
	if produce("backfill") == 0 {
		t.Error("twenty seconds' worth at once, and it was not held up")
	}
	if produce("other") != 0 {
		t.Error("another client was held up")
	}
	if rows, err := a.AlterQuotas(ctx, backfill, nil, []string{"producer_byte_rate"}, false); err != nil || rows[0].Done != "removed" || rows[0].Value != 5000 {
		t.Errorf("%+v, %v", rows, err)
	}
	if produce("backfill") != 0 {
		t.Error("it is held up without a quota")
	}
}
