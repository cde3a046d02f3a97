package wire

import (
	"fmt"
	"sync"

	"github.com/streambus/streambus/wire/prim"
)

// Message is a request or a response of one key, all versions in one struct:
// pointers to the XRequest and XResponse types of this package and nothing
// else. A field that a version does not carry is dropped when encoding and set
// to Kafka's default when decoding.
type Message interface {
	// Key returns the API key, the same for a request and its response.
	Key() Key

	// Default sets every field to Kafka's default, which is not always zero.
	// Start from it (or from NewRequest, NewResponse) when building a message.
	Default()

	// visit describes the message once for both directions (W4).
	visit(v *visitor)
}

// visitors keeps Decode and Append from allocating the visitor, which escapes
// through Message.visit.
var visitors = sync.Pool{New: func() any { return new(visitor) }}

// Decode reads body, which must be consumed to its end, into m. It overwrites
// every field of m.
//
// Strings are copies. Fields of type []byte are views into body: they are valid
// as long as the caller leaves that buffer alone. An array is nil only if the
// schema lets it be null and it was.
//
// Errors wrap ErrUnknownKey, ErrUnsupportedVersion, ErrMalformed or ErrBudget;
// m then holds nothing of use.
func Decode(m Message, version int16, body []byte) error {
	left, err := DecodePrefix(m, version, body)
	if err == nil && left > 0 {
		err = decodeError(m.Key(), version, fmt.Errorf("%w at byte %d: %d bytes left over", ErrMalformed, len(body)-left, left))
	}
	return err
}

// DecodePrefix is Decode for a body that may go on: left is how many bytes were not looked at. Kafka's brokers pass over them, and a client
// that is popular sends some: librdkafka 2.16 asks Metadata 13 for all topics with a null of four bytes where one is due.
func DecodePrefix(m Message, version int16, body []byte) (left int, err error) {
	if err := Supported(m.Key(), version); err != nil {
		return 0, err
	}
	v := visitors.Get().(*visitor)
	v.version, v.flexible = version, m.Key().flexible(version)
	v.decoding, v.r = true, prim.NewReader(body)
	m.Default()
	m.visit(v)
	left, err = v.r.Len(), v.r.Err()
	*v = visitor{}
	visitors.Put(v)
	if err != nil {
		return 0, decodeError(m.Key(), version, err)
	}
	return left, nil
}

// Append appends the encoding of m to dst and returns it. The version must be
// supported; anything else is a bug of the caller and panics, as does a string
// longer than 32,767 bytes, which the protocol cannot say.
func Append(dst []byte, m Message, version int16) []byte {
	mustSupport(m.Key(), version)
	v := visitors.Get().(*visitor)
	v.version, v.flexible = version, m.Key().flexible(version)
	v.dst = dst
	m.visit(v)
	dst = v.dst
	*v = visitor{}
	visitors.Put(v)
	return dst
}

func mustSupport(k Key, version int16) {
	if !k.codes(version) {
		panic(Supported(k, version))
	}
}

func decodeError(k Key, version int16, err error) error {
	return fmt.Errorf("wire: decode %s %d: %w", k, version, err)
}

// NewRequest returns an empty request for k with Kafka's defaults, or nil if k
// has no codec.
func NewRequest(k Key) Message { return defaulted(newRequest(k)) }

// NewResponse returns an empty response for k with Kafka's defaults, or nil if
// k has no codec.
func NewResponse(k Key) Message { return defaulted(newResponse(k)) }

func defaulted(m Message) Message {
	if m != nil {
		m.Default()
	}
	return m
}

func newRequest(k Key) Message {
	switch k {
	case KeyProduce:
		return new(ProduceRequest)
	case KeyFetch:
		return new(FetchRequest)
	case KeyListOffsets:
		return new(ListOffsetsRequest)
	case KeyMetadata:
		return new(MetadataRequest)
	case KeyOffsetCommit:
		return new(OffsetCommitRequest)
	case KeyOffsetFetch:
		return new(OffsetFetchRequest)
	case KeyFindCoordinator:
		return new(FindCoordinatorRequest)
	case KeyJoinGroup:
		return new(JoinGroupRequest)
	case KeyHeartbeat:
		return new(HeartbeatRequest)
	case KeyLeaveGroup:
		return new(LeaveGroupRequest)
	case KeySyncGroup:
		return new(SyncGroupRequest)
	case KeyDescribeGroups:
		return new(DescribeGroupsRequest)
	case KeyListGroups:
		return new(ListGroupsRequest)
	case KeySASLHandshake:
		return new(SASLHandshakeRequest)
	case KeyAPIVersions:
		return new(APIVersionsRequest)
	case KeyCreateTopics:
		return new(CreateTopicsRequest)
	case KeyDeleteTopics:
		return new(DeleteTopicsRequest)
	case KeyDeleteRecords:
		return new(DeleteRecordsRequest)
	case KeyInitProducerID:
		return new(InitProducerIDRequest)
	case KeyOffsetForLeaderEpoch:
		return new(OffsetForLeaderEpochRequest)
	case KeyAddPartitionsToTxn:
		return new(AddPartitionsToTxnRequest)
	case KeyAddOffsetsToTxn:
		return new(AddOffsetsToTxnRequest)
	case KeyEndTxn:
		return new(EndTxnRequest)
	case KeyWriteTxnMarkers:
		return new(WriteTxnMarkersRequest)
	case KeyTxnOffsetCommit:
		return new(TxnOffsetCommitRequest)
	case KeyDescribeACLs:
		return new(DescribeACLsRequest)
	case KeyCreateACLs:
		return new(CreateACLsRequest)
	case KeyDeleteACLs:
		return new(DeleteACLsRequest)
	case KeyDescribeConfigs:
		return new(DescribeConfigsRequest)
	case KeyAlterConfigs:
		return new(AlterConfigsRequest)
	case KeyDescribeLogDirs:
		return new(DescribeLogDirsRequest)
	case KeySASLAuthenticate:
		return new(SASLAuthenticateRequest)
	case KeyCreatePartitions:
		return new(CreatePartitionsRequest)
	case KeyDeleteGroups:
		return new(DeleteGroupsRequest)
	case KeyElectLeaders:
		return new(ElectLeadersRequest)
	case KeyIncrementalAlterConfigs:
		return new(IncrementalAlterConfigsRequest)
	case KeyAlterPartitionReassignments:
		return new(AlterPartitionReassignmentsRequest)
	case KeyListPartitionReassignments:
		return new(ListPartitionReassignmentsRequest)
	case KeyOffsetDelete:
		return new(OffsetDeleteRequest)
	case KeyDescribeClientQuotas:
		return new(DescribeClientQuotasRequest)
	case KeyAlterClientQuotas:
		return new(AlterClientQuotasRequest)
	case KeyDescribeUserSCRAMCredentials:
		return new(DescribeUserSCRAMCredentialsRequest)
	case KeyAlterUserSCRAMCredentials:
		return new(AlterUserSCRAMCredentialsRequest)
	case KeyDescribeQuorum:
		return new(DescribeQuorumRequest)
	case KeyUpdateFeatures:
		return new(UpdateFeaturesRequest)
	case KeyDescribeCluster:
		return new(DescribeClusterRequest)
	case KeyDescribeProducers:
		return new(DescribeProducersRequest)
	case KeyDescribeTransactions:
		return new(DescribeTransactionsRequest)
	case KeyListTransactions:
		return new(ListTransactionsRequest)
	case KeyConsumerGroupHeartbeat:
		return new(ConsumerGroupHeartbeatRequest)
	case KeyConsumerGroupDescribe:
		return new(ConsumerGroupDescribeRequest)
	case KeyListConfigResources:
		return new(ListConfigResourcesRequest)
	case KeyDescribeTopicPartitions:
		return new(DescribeTopicPartitionsRequest)
	}
	return nil
}

func newResponse(k Key) Message {
	switch k {
	case KeyProduce:
		return new(ProduceResponse)
	case KeyFetch:
		return new(FetchResponse)
	case KeyListOffsets:
		return new(ListOffsetsResponse)
	case KeyMetadata:
		return new(MetadataResponse)
	case KeyOffsetCommit:
		return new(OffsetCommitResponse)
	case KeyOffsetFetch:
		return new(OffsetFetchResponse)
	case KeyFindCoordinator:
		return new(FindCoordinatorResponse)
	case KeyJoinGroup:
		return new(JoinGroupResponse)
	case KeyHeartbeat:
		return new(HeartbeatResponse)
	case KeyLeaveGroup:
		return new(LeaveGroupResponse)
	case KeySyncGroup:
		return new(SyncGroupResponse)
	case KeyDescribeGroups:
		return new(DescribeGroupsResponse)
	case KeyListGroups:
		return new(ListGroupsResponse)
	case KeySASLHandshake:
		return new(SASLHandshakeResponse)
	case KeyAPIVersions:
		return new(APIVersionsResponse)
	case KeyCreateTopics:
		return new(CreateTopicsResponse)
	case KeyDeleteTopics:
		return new(DeleteTopicsResponse)
	case KeyDeleteRecords:
		return new(DeleteRecordsResponse)
	case KeyInitProducerID:
		return new(InitProducerIDResponse)
	case KeyOffsetForLeaderEpoch:
		return new(OffsetForLeaderEpochResponse)
	case KeyAddPartitionsToTxn:
		return new(AddPartitionsToTxnResponse)
	case KeyAddOffsetsToTxn:
		return new(AddOffsetsToTxnResponse)
	case KeyEndTxn:
		return new(EndTxnResponse)
	case KeyWriteTxnMarkers:
		return new(WriteTxnMarkersResponse)
	case KeyTxnOffsetCommit:
		return new(TxnOffsetCommitResponse)
	case KeyDescribeACLs:
		return new(DescribeACLsResponse)
	case KeyCreateACLs:
		return new(CreateACLsResponse)
	case KeyDeleteACLs:
		return new(DeleteACLsResponse)
	case KeyDescribeConfigs:
		return new(DescribeConfigsResponse)
	case KeyAlterConfigs:
		return new(AlterConfigsResponse)
	case KeyDescribeLogDirs:
		return new(DescribeLogDirsResponse)
	case KeySASLAuthenticate:
		return new(SASLAuthenticateResponse)
	case KeyCreatePartitions:
		return new(CreatePartitionsResponse)
	case KeyDeleteGroups:
		return new(DeleteGroupsResponse)
	case KeyElectLeaders:
		return new(ElectLeadersResponse)
	case KeyIncrementalAlterConfigs:
		return new(IncrementalAlterConfigsResponse)
	case KeyAlterPartitionReassignments:
		return new(AlterPartitionReassignmentsResponse)
	case KeyListPartitionReassignments:
		return new(ListPartitionReassignmentsResponse)
	case KeyOffsetDelete:
		return new(OffsetDeleteResponse)
	case KeyDescribeClientQuotas:
		return new(DescribeClientQuotasResponse)
	case KeyAlterClientQuotas:
		return new(AlterClientQuotasResponse)
	case KeyDescribeUserSCRAMCredentials:
		return new(DescribeUserSCRAMCredentialsResponse)
	case KeyAlterUserSCRAMCredentials:
		return new(AlterUserSCRAMCredentialsResponse)
	case KeyDescribeQuorum:
		return new(DescribeQuorumResponse)
	case KeyUpdateFeatures:
		return new(UpdateFeaturesResponse)
	case KeyDescribeCluster:
		return new(DescribeClusterResponse)
	case KeyDescribeProducers:
		return new(DescribeProducersResponse)
	case KeyDescribeTransactions:
		return new(DescribeTransactionsResponse)
	case KeyListTransactions:
		return new(ListTransactionsResponse)
	case KeyConsumerGroupHeartbeat:
		return new(ConsumerGroupHeartbeatResponse)
	case KeyConsumerGroupDescribe:
		return new(ConsumerGroupDescribeResponse)
	case KeyListConfigResources:
		return new(ListConfigResourcesResponse)
	case KeyDescribeTopicPartitions:
		return new(DescribeTopicPartitionsResponse)
	}
	return nil
}
