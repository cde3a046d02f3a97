package broker_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What a topic is set to counts for what clients send: keys, times, replicas, the broker's own time, its compression.
func TestProduceIsHeldToTheTopicsSettings(t *testing.T) {
	b := start(t, t.TempDir())
	ctx := within(t, 60*time.Second)
	adm := b.admin()
	for name, configs := range map[string]map[string]*string{
		"keys":     {"cleanup.policy": ptr("compact")},
		"replicas": {"min.insync.replicas": ptr("2")},
		"times":    {"message.timestamp.before.max.ms": ptr("1000")},
		"stamped":  {"message.timestamp.type": ptr("LogAppendTime"), "compression.type": ptr("zstd")},
	} {
		if _, err := adm.CreateTopic(ctx, 1, 1, configs, name); err != nil {
			t.Fatal(err)
		}
	}
	old := time.UnixMilli(1_000_000_000_000)
	for _, c := range []struct {
		r    kgo.Record
		acks kgo.Acks
		want error
	}{
		{kgo.Record{Topic: "keys", Value: []byte("v")}, kgo.AllISRAcks(), kerr.InvalidRecord},
		{kgo.Record{Topic: "keys", Key: []byte("k"), Value: []byte("v")}, kgo.AllISRAcks(), nil},
		{kgo.Record{Topic: "replicas", Value: []byte("v")}, kgo.AllISRAcks(), kerr.NotEnoughReplicas},
		{kgo.Record{Topic: "replicas", Value: []byte("v")}, kgo.LeaderAck(), nil},
		{kgo.Record{Topic: "times", Value: []byte("v"), Timestamp: old}, kgo.AllISRAcks(), kerr.InvalidTimestamp},
		{kgo.Record{Topic: "times", Value: []byte("v")}, kgo.AllISRAcks(), nil},
		{kgo.Record{Topic: "stamped", Value: []byte(strings.Repeat("v", 10_000)), Timestamp: old}, kgo.AllISRAcks(), nil},
	} {
		p := b.client(kgo.RequiredAcks(c.acks), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.ProducerBatchCompression(kgo.GzipCompression()))
		if err := p.ProduceSync(ctx, &c.r).FirstErr(); !errors.Is(err, c.want) {
			t.Errorf("%s, acks %v: %v, want %v", c.r.Topic, c.acks, err, c.want)
		}
	}
	got := b.client(kgo.ConsumeTopics("stamped")).PollFetches(ctx).Records()
	if len(got) != 1 || len(got[0].Value) != 10_000 || got[0].Attrs.CompressionType() != 4 || got[0].Attrs.TimestampType() != 1 || time.Since(got[0].Timestamp) > time.Hour {
		t.Errorf("%+v", got)
	}
}
