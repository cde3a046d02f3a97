package wire

import (
	"fmt"
	"math"
)

// Key is a Kafka API key: which request this is.
type Key int16

// The API keys that have a codec. Numbers are Kafka's and never change.
const (
	KeyProduce                      Key = 0
	KeyFetch                        Key = 1
	KeyListOffsets                  Key = 2
	KeyMetadata                     Key = 3
	KeyOffsetCommit                 Key = 8
	KeyOffsetFetch                  Key = 9
	KeyFindCoordinator              Key = 10
	KeyJoinGroup                    Key = 11
	KeyHeartbeat                    Key = 12
	KeyLeaveGroup                   Key = 13
	KeySyncGroup                    Key = 14
	KeyDescribeGroups               Key = 15
	KeyListGroups                   Key = 16
	KeySASLHandshake                Key = 17
	KeyAPIVersions                  Key = 18
	KeyCreateTopics                 Key = 19
	KeyDeleteTopics                 Key = 20
	KeyDeleteRecords                Key = 21
	KeyInitProducerID               Key = 22
	KeyOffsetForLeaderEpoch         Key = 23
	KeyAddPartitionsToTxn           Key = 24
	KeyAddOffsetsToTxn              Key = 25
	KeyEndTxn                       Key = 26
	KeyWriteTxnMarkers              Key = 27
	KeyTxnOffsetCommit              Key = 28
	KeyDescribeACLs                 Key = 29
	KeyCreateACLs                   Key = 30
	KeyDeleteACLs                   Key = 31
	KeyDescribeConfigs              Key = 32
	KeyAlterConfigs                 Key = 33
	KeyDescribeLogDirs              Key = 35
	KeySASLAuthenticate             Key = 36
	KeyCreatePartitions             Key = 37
	KeyDeleteGroups                 Key = 42
	KeyElectLeaders                 Key = 43
	KeyIncrementalAlterConfigs      Key = 44
	KeyAlterPartitionReassignments  Key = 45
	KeyListPartitionReassignments   Key = 46
	KeyOffsetDelete                 Key = 47
	KeyDescribeClientQuotas         Key = 48
	KeyAlterClientQuotas            Key = 49
	KeyDescribeUserSCRAMCredentials Key = 50
	KeyAlterUserSCRAMCredentials    Key = 51
	KeyDescribeQuorum               Key = 55
	KeyUpdateFeatures               Key = 57
	KeyDescribeCluster              Key = 60
	KeyDescribeProducers            Key = 61
	KeyDescribeTransactions         Key = 65
	KeyListTransactions             Key = 66
	KeyConsumerGroupHeartbeat       Key = 68
	KeyConsumerGroupDescribe        Key = 69
	KeyListConfigResources          Key = 74
	KeyDescribeTopicPartitions      Key = 75

	keyEnd = 76
)

// UUID is a topic ID; the zero UUID means none.
type UUID [16]byte

// Range is versions of one key, as ApiVersions says them; both ends are included.
type Range struct {
	Key Key
	Min int16
	Max int16
}

// api is what this room knows about a key besides its messages.
type api struct {
	name     string // Kafka's; "" marks a hole in the table
	min, max int16  // the versions that have a codec, both included
	flexible int16  // first version with compact lengths and tags (KIP-482)
}

// never is the first flexible version of a key that has none.
const never = math.MaxInt16

// apis is indexed by key. It is what can be said, not what a broker serves: what
// it advertises is a table of its own, which has to lie within this one.
//
// Left out at the low end is what Kafka 4.0 has dropped (KIP-896), and at the
// high end what no released client sends to a broker of this kind.
var apis = [keyEnd]api{
	KeyProduce:                      {"Produce", 3, 13, 9},
	KeyFetch:                        {"Fetch", 4, 18, 12},
	KeyListOffsets:                  {"ListOffsets", 1, 11, 6},
	KeyMetadata:                     {"Metadata", 0, 13, 9},
	KeyOffsetCommit:                 {"OffsetCommit", 2, 10, 8},
	KeyOffsetFetch:                  {"OffsetFetch", 1, 10, 6},
	KeyFindCoordinator:              {"FindCoordinator", 0, 6, 3},
	KeyJoinGroup:                    {"JoinGroup", 0, 9, 6},
	KeyHeartbeat:                    {"Heartbeat", 0, 4, 4},
	KeyLeaveGroup:                   {"LeaveGroup", 0, 5, 4},
	KeySyncGroup:                    {"SyncGroup", 0, 5, 4},
	KeyDescribeGroups:               {"DescribeGroups", 0, 6, 5},
	KeyListGroups:                   {"ListGroups", 0, 5, 3},
	KeySASLHandshake:                {"SaslHandshake", 0, 1, never},
	KeyAPIVersions:                  {"ApiVersions", 0, 4, 3},
	KeyCreateTopics:                 {"CreateTopics", 2, 7, 5},
	KeyDeleteTopics:                 {"DeleteTopics", 1, 6, 4},
	KeyDeleteRecords:                {"DeleteRecords", 0, 2, 2},
	KeyInitProducerID:               {"InitProducerId", 0, 5, 2},
	KeyOffsetForLeaderEpoch:         {"OffsetForLeaderEpoch", 2, 4, 4},
	KeyAddPartitionsToTxn:           {"AddPartitionsToTxn", 0, 5, 3},
	KeyAddOffsetsToTxn:              {"AddOffsetsToTxn", 0, 4, 3},
	KeyEndTxn:                       {"EndTxn", 0, 5, 3},
	KeyWriteTxnMarkers:              {"WriteTxnMarkers", 1, 2, 1},
	KeyTxnOffsetCommit:              {"TxnOffsetCommit", 0, 5, 3},
	KeyDescribeACLs:                 {"DescribeAcls", 1, 3, 2},
	KeyCreateACLs:                   {"CreateAcls", 1, 3, 2},
	KeyDeleteACLs:                   {"DeleteAcls", 1, 3, 2},
	KeyDescribeConfigs:              {"DescribeConfigs", 1, 4, 4},
	KeyAlterConfigs:                 {"AlterConfigs", 0, 2, 2},
	KeyDescribeLogDirs:              {"DescribeLogDirs", 1, 5, 2},
	KeySASLAuthenticate:             {"SaslAuthenticate", 0, 2, 2},
	KeyCreatePartitions:             {"CreatePartitions", 0, 3, 2},
	KeyDeleteGroups:                 {"DeleteGroups", 0, 2, 2},
	KeyElectLeaders:                 {"ElectLeaders", 0, 2, 2},
	KeyIncrementalAlterConfigs:      {"IncrementalAlterConfigs", 0, 1, 1},
	KeyAlterPartitionReassignments:  {"AlterPartitionReassignments", 0, 1, 0},
	KeyListPartitionReassignments:   {"ListPartitionReassignments", 0, 0, 0},
	KeyOffsetDelete:                 {"OffsetDelete", 0, 0, never},
	KeyDescribeClientQuotas:         {"DescribeClientQuotas", 0, 1, 1},
	KeyAlterClientQuotas:            {"AlterClientQuotas", 0, 1, 1},
	KeyDescribeUserSCRAMCredentials: {"DescribeUserScramCredentials", 0, 0, 0},
	KeyAlterUserSCRAMCredentials:    {"AlterUserScramCredentials", 0, 0, 0},
	KeyDescribeQuorum:               {"DescribeQuorum", 0, 2, 0},
	KeyUpdateFeatures:               {"UpdateFeatures", 0, 2, 0},
	KeyDescribeCluster:              {"DescribeCluster", 0, 2, 0},
	KeyDescribeProducers:            {"DescribeProducers", 0, 0, 0},
	KeyDescribeTransactions:         {"DescribeTransactions", 0, 0, 0},
	KeyListTransactions:             {"ListTransactions", 0, 2, 0},
	KeyConsumerGroupHeartbeat:       {"ConsumerGroupHeartbeat", 0, 1, 0},
	KeyConsumerGroupDescribe:        {"ConsumerGroupDescribe", 0, 1, 0},
	KeyListConfigResources:          {"ListConfigResources", 0, 1, 0},
	KeyDescribeTopicPartitions:      {"DescribeTopicPartitions", 0, 0, 0},
}

// find returns the table's row for k, nil if k has no codec.
func (k Key) find() *api {
	if k < 0 || k >= keyEnd || apis[k].name == "" {
		return nil
	}
	return &apis[k]
}

// flexible reports whether messages of this version use compact lengths and
// tag sections. The key must have a
// codec.
func (k Key) flexible(version int16) bool { return version >= apis[k].flexible }

// String returns Kafka's name of the key, or "key 99".
func (k Key) String() string {
	if a := k.find(); a != nil {
		return a.name
	}
	return fmt.Sprintf("key %d", int16(k))
}

// Codecs returns every key that has a codec with the versions it has one for,
// sorted by key: all that Supported accepts. The slice is the caller's.
func Codecs() []Range {
	codecs := make([]Range, 0, keyEnd)
	for i := range apis {
		if a := &apis[i]; a.name != "" {
			codecs = append(codecs, Range{Key(i), a.min, a.max})
		}
	}
	return codecs
}

// codes reports whether messages of this key and version have a codec.
func (k Key) codes(version int16) bool {
	return uint16(k) < keyEnd && version >= apis[k].min && version <= apis[k].max && apis[k].name != ""
}

// Supported returns nil if this version of k can be decoded and encoded. Else
// the error wraps ErrUnknownKey or ErrUnsupportedVersion.
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
	return fmt.Errorf("wire: %w %s %d, speaking %d to %d", ErrUnsupportedVersion, a.name, version, a.min, a.max)
}
