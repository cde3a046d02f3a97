//go:build clients

package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaHome is where broker/clients/install.sh puts Kafka's jars, or KAFKA_HOME.
func kafkaHome(t *testing.T) string {
	home := os.Getenv("KAFKA_HOME")
	if home == "" {
		home = "../../../bin/clients/kafka-4"
	}
	if _, _, err := findKafka(home); errors.Is(err, ErrNoKafka) {
		t.Skipf("%v: `make test-clients` fetches it", err)
	}
	return home
}

// Three nodes come up, know each other, and talk to each other through the links and in no other way.
func TestKafkaCluster(t *testing.T) {
	c, err := Start(t.Context(), Options{Kind: Kafka, Nodes: 3, KafkaHome: kafkaHome(t), Links: true, Log: filepath.Join(t.TempDir(), "broker.log")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "orders", 6, 3
	create.Topics, create.TimeoutMillis = append(create.Topics, topic), 20_000
	if r, err := create.RequestWith(t.Context(), client); err != nil || r.Topics[0].ErrorCode != 0 {
		t.Fatalf("%v, %+v", err, r)
	}
	for i := range int32(6) {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: i, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	links := c.Peers().Links()
	if len(links) != 12 {
		t.Fatalf("%d links, want two for each direction of each pair", len(links))
	}
	pairs := map[[2]int32]int64{}
	for _, l := range links {
		pairs[[2]int32{l.From, l.To}] += l.Passed().Bytes
	}
	if len(pairs) != 6 {
		t.Errorf("links of %d pairs, want 6", len(pairs))
	}
	for pair, bytes := range pairs {
		if bytes == 0 {
			t.Errorf("nothing went from node %d to node %d: each fetches from the other, which leads partitions", pair[0], pair[1])
		}
	}
}
