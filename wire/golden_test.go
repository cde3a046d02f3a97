package wire

import (
	"bytes"
	"fmt"
	"math"
	"testing"
)

func stringp(s string) *string { return &s }

var countingID = UUID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// Whole frames written by hand from Kafka's schemas, not by any codec: the
// anchor for the case that we and kmsg should ever be wrong together.
var goldenRequests = []struct {
	name   string
	frame  string
	header RequestHeader
	body   Message
}{
	{
		"ApiVersions 3 of a Java client",
		`0012 0003 00000001 000a 636f6e73756d65722d31 00
		 12 6170616368652d6b61666b612d6a617661 06 342e322e30 00`,
		RequestHeader{KeyAPIVersions, 3, 1, "consumer-1", true},
		&APIVersionsRequest{[]byte("apache-kafka-java"), []byte("4.2.0")},
	},
	{
		"ApiVersions 0",
		`0012 0000 00000002 0003 6b6174`,
		RequestHeader{KeyAPIVersions, 0, 2, "kat", true},
		&APIVersionsRequest{},
	},
	{
		"Produce 3, classic",
		`0000 0003 00000003 ffff
		 ffff ffff 00007530
		 00000001 0001 74 00000001 00000002 00000003 616263`,
		RequestHeader{KeyProduce, 3, 3, "", false},
		&ProduceRequest{TransactionalID: nil, Acks: -1, TimeoutMs: 30000, Topics: []ProduceRequestTopic{
			{Name: []byte("t"), Partitions: []ProduceRequestPartition{{2, []byte("abc")}}},
		}},
	},
	{
		"Produce 9, flexible, transactional",
		`0000 0009 00000004 ffff 00
		 03 7478 0001 00007530
		 02 02 74 02 00000002 04 616263 00 00 00`,
		RequestHeader{KeyProduce, 9, 4, "", false},
		&ProduceRequest{TransactionalID: []byte("tx"), Acks: 1, TimeoutMs: 30000, Topics: []ProduceRequestTopic{
			{Name: []byte("t"), Partitions: []ProduceRequestPartition{{2, []byte("abc")}}},
		}},
	},
	{
		"Fetch 4",
		`0001 0004 00000005 ffff
		 ffffffff 000001f4 00000001 03200000 00
		 00000001 0001 74 00000001 00000000 0000000000000010 00100000`,
		RequestHeader{KeyFetch, 4, 5, "", false},
		&FetchRequest{
			ReplicaID: -1, ReplicaEpoch: -1, MaxWaitMs: 500, MinBytes: 1, MaxBytes: 0x3200000, SessionEpoch: -1,
			Topics: []FetchRequestTopic{{Name: []byte("t"), Partitions: []FetchRequestPartition{{
				CurrentLeaderEpoch: -1, FetchOffset: 16, LastFetchedEpoch: -1, PartitionMaxBytes: 1 << 20, LogStartOffset: -1, HighWatermark: math.MaxInt64,
			}}}},
		},
	},
	{
		"Fetch 12 with session, forgotten topic, rack and cluster ID",
		`0001 000c 00000006 ffff 00
		 00000003 000001f4 00000001 03200000 01 0000000a 0000000b
		 02 02 74 02 00000001 00000002 0000000000000010 00000004 0000000000000005 00100000 00 00
		 02 02 75 02 00000007 00
		 02 72
		 01 00 02 02 63`,
		RequestHeader{KeyFetch, 12, 6, "", false},
		&FetchRequest{
			ClusterID: []byte("c"), ReplicaID: 3, ReplicaEpoch: -1, MaxWaitMs: 500, MinBytes: 1, MaxBytes: 0x3200000,
			IsolationLevel: 1, SessionID: 10, SessionEpoch: 11, RackID: []byte("r"),
			Topics: []FetchRequestTopic{{Name: []byte("t"), Partitions: []FetchRequestPartition{{
				PartitionIndex: 1, CurrentLeaderEpoch: 2, FetchOffset: 16, LastFetchedEpoch: 4,
				PartitionMaxBytes: 1 << 20, LogStartOffset: 5, HighWatermark: math.MaxInt64,
			}}}},
			ForgottenTopics: []FetchRequestForgottenTopic{{Name: []byte("u"), Partitions: []int32{7}}},
		},
	},
	{
		"Produce 13 by topic ID",
		`0000 000d 00000004 ffff 00
		 00 ffff 00007530
		 02 000102030405060708090a0b0c0d0e0f 02 00000002 04 616263 00 00 00`,
		RequestHeader{KeyProduce, 13, 4, "", false},
		&ProduceRequest{Acks: -1, TimeoutMs: 30000, Topics: []ProduceRequestTopic{
			{TopicID: countingID, Partitions: []ProduceRequestPartition{{2, []byte("abc")}}},
		}},
	},
	{
		"Fetch 18 of a follower, by topic ID",
		`0001 0012 00000006 ffff 00
		 000001f4 00000001 03200000 00 0000000a 0000000b
		 02 000102030405060708090a0b0c0d0e0f
		    02 00000001 00000002 0000000000000010 00000004 0000000000000005 00100000
		       02 00 10 000102030405060708090a0b0c0d0e0f 01 08 0000000000000011 00
		 02 000102030405060708090a0b0c0d0e0f 02 00000007 00
		 01
		 02 00 02 02 63 01 0d 00000003 0000000000000009 00`,
		RequestHeader{KeyFetch, 18, 6, "", false},
		&FetchRequest{
			ClusterID: []byte("c"), ReplicaID: 3, ReplicaEpoch: 9, MaxWaitMs: 500, MinBytes: 1, MaxBytes: 0x3200000,
			SessionID: 10, SessionEpoch: 11, RackID: []byte{},
			Topics: []FetchRequestTopic{{TopicID: countingID, Partitions: []FetchRequestPartition{{
				PartitionIndex: 1, CurrentLeaderEpoch: 2, FetchOffset: 16, LastFetchedEpoch: 4,
				PartitionMaxBytes: 1 << 20, LogStartOffset: 5, ReplicaDirectoryID: countingID, HighWatermark: 17,
			}}}},
			ForgottenTopics: []FetchRequestForgottenTopic{{TopicID: countingID, Partitions: []int32{7}}},
		},
	},
	{
		"EndTxn 5, commit",
		`001a 0005 00000001 ffff 00  03 7478 0000000000000007 0002 01 00`,
		RequestHeader{KeyEndTxn, 5, 1, "", false},
		&EndTxnRequest{TransactionalID: "tx", ProducerID: 7, ProducerEpoch: 2, Committed: true},
	},
	{
		"SaslHandshake 1, which has no tags in any version",
		`0011 0001 00000001 0001 63  0005 504c41494e`,
		RequestHeader{KeySASLHandshake, 1, 1, "c", true},
		&SASLHandshakeRequest{Mechanism: []byte("PLAIN")},
	},
	{
		"OffsetFetch 10 of a member of a consumer group",
		`0009 000a 00000001 ffff 00
		 02 02 67 02 6d 00000003 02 000102030405060708090a0b0c0d0e0f 02 00000007 00 00
		 01 00`,
		RequestHeader{KeyOffsetFetch, 10, 1, "", false},
		&OffsetFetchRequest{Groups: []OffsetFetchRequestGroup{{
			GroupID: "g", MemberID: stringp("m"), MemberEpoch: 3,
			Topics: []OffsetFetchRequestTopic{{TopicID: countingID, PartitionIndexes: []int32{7}}},
		}}, RequireStable: true},
	},
	{
		"ConsumerGroupHeartbeat 1 that joins",
		`0044 0001 00000001 ffff 00
		 02 67 02 6d 00000000 00 00 00002710 02 02 74 00 00 01 00`,
		RequestHeader{KeyConsumerGroupHeartbeat, 1, 1, "", false},
		&ConsumerGroupHeartbeatRequest{
			GroupID: "g", MemberID: "m", MemberEpoch: MemberEpochJoin, RebalanceTimeoutMs: 10000,
			SubscribedTopicNames: []string{"t"}, Topics: []ConsumerGroupHeartbeatRequestTopic{},
		},
	},
	{
		"AlterClientQuotas 0, classic",
		`0031 0000 00000001 ffff
		 00000001 00000001 0004 75736572 ffff 00000001 0001 6b 3ff8000000000000 00 01`,
		RequestHeader{KeyAlterClientQuotas, 0, 1, "", false},
		&AlterClientQuotasRequest{Entries: []AlterClientQuotasRequestEntry{{
			Entity: []AlterClientQuotasRequestEntity{{EntityType: "user"}},
			Ops:    []AlterClientQuotasRequestOp{{Key: "k", Value: 1.5}},
		}}, ValidateOnly: true},
	},
	{
		"DescribeTopicPartitions 0, the next page",
		`004b 0000 00000001 ffff 00  01 000007d0 01 02 74 00000005 00 00`,
		RequestHeader{KeyDescribeTopicPartitions, 0, 1, "", false},
		&DescribeTopicPartitionsRequest{
			Topics: []DescribeTopicPartitionsRequestTopic{}, ResponsePartitionLimit: 2000,
			Cursor: &DescribeTopicPartitionsCursor{"t", 5},
		},
	},
	{
		"Metadata 0 of an old Python client, all topics",
		`0003 0000 00000007 0001 70  00000000`,
		RequestHeader{KeyMetadata, 0, 7, "p", true},
		&MetadataRequest{Topics: []MetadataRequestTopic{}, AllowAutoTopicCreation: true},
	},
	{
		"Metadata 1, all topics",
		`0003 0001 00000007 0001 70  ffffffff`,
		RequestHeader{KeyMetadata, 1, 7, "p", true},
		&MetadataRequest{AllowAutoTopicCreation: true},
	},
	{
		"JoinGroup 0",
		`000b 0000 00000008 0000
		 0001 67 00002710 0000 0008 636f6e73756d6572 00000001 0005 72616e6765 00000002 0001`,
		RequestHeader{KeyJoinGroup, 0, 8, "", true},
		&JoinGroupRequest{
			GroupID: "g", SessionTimeoutMs: 10000, RebalanceTimeoutMs: -1, ProtocolType: "consumer",
			Protocols: []JoinGroupRequestProtocol{{"range", []byte{0, 1}}},
		},
	},
}

func TestGoldenRequests(t *testing.T) {
	for _, c := range goldenRequests {
		frame := unhex(c.frame)
		h, body, err := DecodeRequestHeader(frame)
		if err != nil || h != c.header {
			t.Errorf("%s: header %+v, %v", c.name, h, err)
			continue
		}
		m := NewRequest(h.Key)
		if err := Decode(m, h.Version, body); err != nil || dump(m) != dump(c.body) {
			t.Errorf("%s: %v\n got %s\nwant %s", c.name, err, dump(m), dump(c.body))
		}
		again := AppendRequestFrame(nil, h, c.body)
		if !bytes.Equal(again[SizePrefixBytes:], frame) || !bytes.Equal(again[:4], unhex(fmt.Sprintf("%08x", len(frame)))) {
			t.Errorf("%s: encoded\n%x, want\n%x", c.name, again, frame)
		}
	}
}

// TestMetadataAllTopics: what "all" looks like by version.
func TestMetadataAllTopics(t *testing.T) {
	for _, c := range []struct {
		version int16
		body    string
		all     bool
	}{
		{0, "00000000", true}, {0, "00000001 0001 74", false}, {1, "00000000", false}, {1, "ffffffff", true},
		{9, "01 01 00 00 00", false}, {9, "00 01 00 00 00", true}, {13, "00 01 00 00", true}, {13, "01 01 00 00", false},
	} {
		var r MetadataRequest
		if err := Decode(&r, c.version, unhex(c.body)); err != nil || r.AllTopics(c.version) != c.all {
			t.Errorf("version %d, %s: all %v, %v", c.version, c.body, r.AllTopics(c.version), err)
		}
	}
	if Decode(new(MetadataRequest), 0, unhex("ffffffff")) == nil {
		t.Error("version 0 has no null")
	}
}

// TestUnsupportedAPIVersions freezes the answer to an ApiVersions request of the
// future: format 0, error 35, every range.
func TestUnsupportedAPIVersions(t *testing.T) {
	frame := AppendResponseFrame(nil, 77, UnsupportedAPIVersions([]Range{{KeyProduce, 0, 11}, {KeyDescribeCluster, 0, 2}}), 0)
	if want := unhex("00000016 0000004d 0023 00000002 0000 0000 000b 003c 0000 0002"); !bytes.Equal(frame, want) {
		t.Errorf("%x, want\n%x", frame, want)
	}
}

// TestAPIVersionsFeatures: up to version 3 a supported feature with minimum 0 is
// left out (KAFKA-17011); the caller's response is not touched.
func TestAPIVersionsFeatures(t *testing.T) {
	r := &APIVersionsResponse{
		APIKeys:                []Range{{KeyFetch, 4, 12}},
		SupportedFeatures:      []APIVersionsSupportedFeature{{"group.version", 0, 1}, {"metadata.version", 7, 25}},
		FinalizedFeaturesEpoch: 5,
		FinalizedFeatures:      []APIVersionsFinalizedFeature{{"metadata.version", 25, 25}},
	}
	for version, want := range map[int16]int{2: 0, 3: 1, 4: 2} {
		var back APIVersionsResponse
		if err := Decode(&back, version, Append(nil, r, version)); err != nil || len(back.SupportedFeatures) != want {
			t.Errorf("version %d: %v, %v", version, back.SupportedFeatures, err)
		}
		if version < 3 && (back.FinalizedFeaturesEpoch != -1 || back.FinalizedFeatures != nil) {
			t.Errorf("version %d has features: %+v", version, back)
		}
	}
	if len(r.SupportedFeatures) != 2 {
		t.Error("the response was changed by encoding it")
	}
	r.SupportedFeatures = r.SupportedFeatures[:1]
	r.FinalizedFeatures, r.FinalizedFeaturesEpoch = nil, -1
	if got, want := Append(nil, r, 3), unhex("0000 02 0001 0004 000c 00 00000000 00"); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}
