//go:build clients

package clients

import (
	"fmt"
	"strings"
)

const kafkaVersion = "4.3.1" // of java/kafka-4.xml

// cell is one thing that a client does.
type cell struct {
	name string
	what string
	keys []int16 // API keys without which it cannot work
}

// features are the cells of every client.
var features = []cell{
	{"produce", "1,000 records to three partitions, all acknowledged, each at an offset of its own", nil},
	{"consume", "read back, complete and in order in each partition", nil},
	{"headers", "two headers of one name, one empty and one binary, as they were", nil},
	{"gzip", "100 records of 1 KiB, read back; the batches really have that codec", nil},
	{"snappy", "the same", nil},
	{"lz4", "the same", nil},
	{"zstd", "the same", nil},
	{"idempotent", "enable.idempotence: 500 records, there once; the batches really have a producer ID", nil},
	{"group", "classic group, four partitions: a member joins, one leaves, records keep coming; each is consumed and committed once", nil},
	{"group-848", "the same with KIP-848 (group.protocol=consumer)", []int16{68}},
	{"txn-commit", "ten records in a transaction; read_committed reads them", []int16{24, 26}},
	{"txn-abort", "ten that are aborted, then five committed: read_committed reads five, read_uncommitted 15", []int16{24, 26}},
	{"txn-offsets", "consume, produce and send offsets in a transaction; aborted ones move no offset", []int16{24, 25, 26, 28}},
	{"create-topic", "three partitions and a setting; a second time is refused with TOPIC_ALREADY_EXISTS", nil},
	{"describe-topic", "three partitions, each with a leader", nil},
	{"add-partitions", "three become five, and the new ones take records", []int16{37}},
	{"configs", "retention.ms is changed and described", []int16{32}},
	{"delete-records", "the first five of ten; the earliest offset is then five", []int16{21}},
	{"groups", "a group is listed, and described as having nobody", []int16{15, 16}},
	{"offsets", "a group's offsets are listed, set to three, and listed", nil},
	{"delete-group", "deleted, and gone from the list", []int16{16, 42}},
	{"delete-topic", "deleted, and gone from the list", nil},
}

// notServed are the keys that StreamBus does not serve yet. Cells that need one are expected to fail with it as the reason. When
// a key comes to be served, the test says so: take it out.
var notServed = map[int16]string{}

// exception says that a row's cell fails, and why. With kafka it does so against Apache Kafka, too: then it is the client's own.
type exception struct {
	row, cell string
	kafka     bool
	reason    string
}

var exceptions = []exception{}

// expected gives "" where a cell must pass, else why it must fail.
func expected(peer, row string, c cell) string {
	for _, e := range exceptions {
		if e.row == row && e.cell == c.name && (e.kafka || peer == "streambus") {
			return e.reason
		}
	}
	if peer != "streambus" {
		return ""
	}
	var missing []string
	for _, key := range c.keys {
		if name := notServed[key]; name != "" {
			missing = append(missing, fmt.Sprintf("%d %s", key, name))
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "not served yet: " + strings.Join(missing, ", ")
}
