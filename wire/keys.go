package wire

import "fmt"

// Key is a Kafka API key: which request this is.
type Key int16

// The API keys that StreamBus serves. Numbers are Kafka's and never change.
const (
	KeyProduce         Key = 0
	KeyFetch           Key = 1
	KeyListOffsets     Key = 2
	KeyMetadata        Key = 3
	KeyOffsetCommit    Key = 8
	KeyOffsetFetch     Key = 9
	KeyFindCoordinator Key = 10
	KeyJoinGroup       Key = 11
	KeyHeartbeat       Key = 12
	KeyLeaveGroup      Key = 13
	KeySyncGroup       Key = 14
	KeyAPIVersions     Key = 18
	KeyCreateTopics    Key = 19
	KeyDeleteTopics    Key = 20
	KeyInitProducerID  Key = 22
	KeyDescribeCluster Key = 60

	keyEnd = 61
)

// UUID is a topic ID; the zero UUID means none.
type UUID [16]byte

// Range is what ApiVersions says about one key; both ends are included.
type Range struct {
	Key Key
	Min int16
	Max int16
}

// api is what this room knows about a key besides its messages.
type api struct {
	name     string // Kafka's; "" marks a hole in the table
	min, max int16  // advertised
	coded    int16  // lowest version with a codec; min but for Produce
	flexible int16  // first version with compact lengths and tags (KIP-482)
}

// apis is indexed by key.
//
// The ranges answer to what real clients check (KAFKA-18659, KAFKA-18648,
// KAFKA-19444): librdkafka before 2.11.1 turns compression off unless Produce
// 0 is in range, so 0..2 are advertised, but nothing sends them and nothing
// here decodes them. The ends stop where topic IDs on the data path (Produce
// 13, Fetch 13), KIP-848 (OffsetCommit 9) and KIP-890 (Produce 12) begin.
var apis = [keyEnd]api{
	KeyProduce:         {"Produce", 0, 11, 3, 9},
	KeyFetch:           {"Fetch", 4, 12, 4, 12},
	KeyListOffsets:     {"ListOffsets", 1, 10, 1, 6},
	KeyMetadata:        {"Metadata", 0, 13, 0, 9},
	KeyOffsetCommit:    {"OffsetCommit", 2, 8, 2, 8},
	KeyOffsetFetch:     {"OffsetFetch", 1, 8, 1, 6},
	KeyFindCoordinator: {"FindCoordinator", 0, 5, 0, 3},
	KeyJoinGroup:       {"JoinGroup", 0, 9, 0, 6},
	KeyHeartbeat:       {"Heartbeat", 0, 4, 0, 4},
	KeyLeaveGroup:      {"LeaveGroup", 0, 5, 0, 4},
	KeySyncGroup:       {"SyncGroup", 0, 5, 0, 4},
	KeyAPIVersions:     {"ApiVersions", 0, 4, 0, 3},
	KeyCreateTopics:    {"CreateTopics", 2, 7, 2, 5},
	KeyDeleteTopics:    {"DeleteTopics", 1, 6, 1, 4},
	KeyInitProducerID:  {"InitProducerId", 0, 5, 0, 2},
	KeyDescribeCluster: {"DescribeCluster", 0, 2, 0, 0},
}

// find returns the table's row for k, nil if k is not served.
func (k Key) find() *api {
	if k < 0 || k >= keyEnd || apis[k].name == "" {
		return nil
	}
	return &apis[k]
}

// flexible reports whether messages of this version use compact lengths and
// tag sections. The key must be served.
func (k Key) flexible(version int16) bool { return version >= apis[k].flexible }

// String returns Kafka's name of the key, or "key 99".
func (k Key) String() string {
	if a := k.find(); a != nil {
		return a.name
	}
	return fmt.Sprintf("key %d", int16(k))
}

// Served returns what to advertise, sorted by key. The slice is the caller's.
func Served() []Range {
	served := make([]Range, 0, 16)
	for i := range apis {
		if a := &apis[i]; a.name != "" {
			served = append(served, Range{Key(i), a.min, a.max})
		}
	}
	return served
}

// codes reports whether messages of this key and version have a codec.
func (k Key) codes(version int16) bool {
	return uint16(k) < keyEnd && version >= apis[k].coded && version <= apis[k].max && apis[k].name != ""
}

// Supported returns nil if this version of k can be decoded and encoded. Else
// the error wraps ErrUnknownKey or ErrUnsupportedVersion. Produce 0 to 2 are
// advertised and unsupported.
func Supported(k Key, version int16) error {
	if k.codes(version) {
		return nil
	}
	return refused(k, version)
}

func refused(k Key, version int16) error {
	a := k.find()
	if a == nil {
		return fmt.Errorf("wire: %w %d, version %d", ErrUnknownKey, int16(k), version)
	}
	return fmt.Errorf("wire: %w %s %d, serving %d to %d", ErrUnsupportedVersion, a.name, version, a.coded, a.max)
}
