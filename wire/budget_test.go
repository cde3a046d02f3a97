package wire

import (
	"fmt"
	"strings"
	"testing"
)

// TestBudgetFitsRealTraffic: the largest messages that real clusters exchange
// decode within the budget, though their names are short and their counts high.
func TestBudgetFitsRealTraffic(t *testing.T) {
	for _, m := range []Message{
		bigMetadataRequest(20000 / slowdown), bigMetadataResponse(5000/slowdown, 10),
		bigOffsetCommit(2000 / slowdown), bigOffsetFetchResponse(2000 / slowdown),
		bigJoinGroupResponse(2000 / slowdown), bigCreateTopics(2000 / slowdown),
		bigDeleteTopics(20000 / slowdown), bigListOffsets(5000 / slowdown),
		bigLeaveGroup(5000 / slowdown), bigFindCoordinator(5000 / slowdown),
		bigDescribeGroupsRequest(5000 / slowdown), bigDescribeGroupsResponse(2000 / slowdown),
		bigListGroupsResponse(5000 / slowdown), bigDeleteRecords(2000 / slowdown),
		bigOffsetForLeaderEpoch(2000 / slowdown), bigAddPartitionsToTxn(2000 / slowdown),
		bigWriteTxnMarkers(2000 / slowdown), bigTxnOffsetCommit(2000 / slowdown),
		bigCreateACLs(2000 / slowdown), bigDescribeACLsResponse(2000 / slowdown),
		bigDescribeConfigsRequest(2000 / slowdown), bigDescribeConfigsResponse(200/slowdown, 40),
		bigIncrementalAlterConfigs(2000 / slowdown), bigAlterConfigs(2000 / slowdown),
		bigDescribeLogDirsRequest(2000 / slowdown), bigDescribeLogDirsResponse(2000 / slowdown),
		bigCreatePartitions(2000 / slowdown), bigDeleteGroups(5000 / slowdown),
		bigElectLeaders(2000 / slowdown), bigAlterPartitionReassignments(2000 / slowdown),
		bigListPartitionReassignments(2000 / slowdown), bigOffsetDelete(2000 / slowdown),
		bigAlterClientQuotas(2000 / slowdown), bigDescribeUserSCRAMCredentials(5000 / slowdown),
		bigAlterUserSCRAMCredentials(2000 / slowdown), bigDescribeProducersResponse(2000 / slowdown),
		bigDescribeTransactions(5000 / slowdown), bigListTransactionsResponse(2000 / slowdown),
		bigConsumerGroupHeartbeat(2000 / slowdown), bigConsumerGroupHeartbeatResponse(2000 / slowdown),
		bigConsumerGroupDescribeResponse(2000 / slowdown), bigDescribeTopicPartitions(5000 / slowdown),
		bigDescribeTopicPartitionsResponse(500/slowdown, 10),
	} {
		s := sides[0]
		if strings.HasSuffix(fmt.Sprintf("%T", m), "Response") {
			s = sides[1]
		}
		for version := int16(0); version <= apis[m.Key()].max; version++ {
			if Supported(m.Key(), version) != nil {
				continue
			}
			if _, err := decodeBounded(t, s, m.Key(), version, Append(nil, m, version)); err != nil {
				t.Errorf("%s: %v", label(s, m.Key(), version), err)
			}
		}
	}
}

func name(i int) string { return fmt.Sprintf("t%05d", i) }

func namep(i int) *string { s := name(i); return &s }

func bigMetadataRequest(n int) Message {
	r := new(MetadataRequest)
	for i := range n {
		r.Topics = append(r.Topics, MetadataRequestTopic{Name: namep(i)})
	}
	return r
}

func bigMetadataResponse(topics, partitions int) Message {
	r := new(MetadataResponse)
	for i := range topics {
		t := MetadataResponseTopic{Name: namep(i)}
		for j := range partitions {
			t.Partitions = append(t.Partitions, MetadataResponsePartition{
				PartitionIndex: int32(j), ReplicaNodes: []int32{1}, IsrNodes: []int32{1}, OfflineReplicas: []int32{},
			})
		}
		r.Topics = append(r.Topics, t)
	}
	return r
}

func bigOffsetCommit(n int) Message {
	r := &OffsetCommitRequest{GroupID: "g", MemberID: "m"}
	for i := range n {
		r.Topics = append(r.Topics, OffsetCommitRequestTopic{name(i), UUID{}, []OffsetCommitRequestPartition{{CommittedOffset: 7}}})
	}
	return r
}

func bigOffsetFetchResponse(n int) Message {
	r := new(OffsetFetchResponse)
	for i := range n {
		r.Topics = append(r.Topics, OffsetFetchResponseTopic{name(i), UUID{}, []OffsetFetchResponsePartition{{CommittedOffset: 7}}})
	}
	r.Groups = []OffsetFetchResponseGroup{{GroupID: "g", Topics: r.Topics}}
	return r
}

func bigJoinGroupResponse(n int) Message {
	r := new(JoinGroupResponse)
	for i := range n {
		r.Members = append(r.Members, JoinGroupResponseMember{MemberID: "consumer-" + name(i), Metadata: make([]byte, 20)})
	}
	return r
}

func bigCreateTopics(n int) Message {
	r := new(CreateTopicsRequest)
	for i := range n {
		r.Topics = append(r.Topics, CreateTopicsRequestTopic{
			Name: name(i), NumPartitions: 1, ReplicationFactor: 1,
			Configs: []CreateTopicsRequestConfig{{"cleanup.policy", namep(i)}},
		})
	}
	return r
}

func bigDeleteTopics(n int) Message {
	r := new(DeleteTopicsRequest)
	for i := range n {
		r.TopicNames = append(r.TopicNames, name(i))
		r.Topics = append(r.Topics, DeleteTopicsRequestTopic{Name: namep(i)})
	}
	return r
}

func bigListOffsets(n int) Message {
	r := new(ListOffsetsRequest)
	for i := range n {
		r.Topics = append(r.Topics, ListOffsetsRequestTopic{name(i), []ListOffsetsRequestPartition{{Timestamp: -1}}})
	}
	return r
}

func bigLeaveGroup(n int) Message {
	r := new(LeaveGroupRequest)
	for i := range n {
		r.Members = append(r.Members, LeaveGroupRequestMember{MemberID: "consumer-" + name(i)})
	}
	return r
}

func bigFindCoordinator(n int) Message {
	r := new(FindCoordinatorRequest)
	for i := range n {
		r.CoordinatorKeys = append(r.CoordinatorKeys, name(i))
	}
	return r
}

func bigDescribeGroupsRequest(n int) Message {
	r := new(DescribeGroupsRequest)
	for i := range n {
		r.Groups = append(r.Groups, name(i))
	}
	return r
}

func bigDescribeGroupsResponse(n int) Message {
	g := DescribeGroupsResponseGroup{GroupID: "g", GroupState: "Stable", ProtocolType: "consumer", ProtocolData: "range"}
	for i := range n {
		g.Members = append(g.Members, DescribeGroupsResponseMember{
			MemberID: "consumer-" + name(i), ClientID: name(i), ClientHost: "/127.0.0.1", MemberMetadata: make([]byte, 20),
		})
	}
	return &DescribeGroupsResponse{Groups: []DescribeGroupsResponseGroup{g}}
}

func bigListGroupsResponse(n int) Message {
	r := new(ListGroupsResponse)
	for i := range n {
		r.Groups = append(r.Groups, ListGroupsResponseGroup{name(i), "consumer", "Stable", "classic"})
	}
	return r
}

func bigDeleteRecords(n int) Message {
	r := new(DeleteRecordsRequest)
	for i := range n {
		r.Topics = append(r.Topics, DeleteRecordsRequestTopic{name(i), []DeleteRecordsRequestPartition{{0, -1}}})
	}
	return r
}

func bigOffsetForLeaderEpoch(n int) Message {
	r := new(OffsetForLeaderEpochRequest)
	for i := range n {
		r.Topics = append(r.Topics, OffsetForLeaderEpochRequestTopic{name(i), []OffsetForLeaderEpochRequestPartition{{0, 1, 1}}})
	}
	return r
}

func bigAddPartitionsToTxn(n int) Message {
	r := &AddPartitionsToTxnRequest{TransactionalID: "tx"}
	for i := range n {
		topics := []AddPartitionsToTxnRequestTopic{{name(i), []int32{0}}}
		r.Topics = append(r.Topics, topics...)
		r.Transactions = append(r.Transactions, AddPartitionsToTxnRequestTransaction{TransactionalID: name(i), Topics: topics})
	}
	return r
}

func bigWriteTxnMarkers(n int) Message {
	r := new(WriteTxnMarkersRequest)
	for i := range n {
		topics := []WriteTxnMarkersRequestTopic{{name(i), []int32{0}}}
		r.Markers = append(r.Markers, WriteTxnMarkersRequestMarker{ProducerID: int64(i), Topics: topics})
	}
	return r
}

func bigTxnOffsetCommit(n int) Message {
	r := &TxnOffsetCommitRequest{TransactionalID: "tx", GroupID: "g"}
	for i := range n {
		r.Topics = append(r.Topics, TxnOffsetCommitRequestTopic{name(i), []TxnOffsetCommitRequestPartition{{CommittedOffset: 7}}})
	}
	return r
}

func bigDescribeProducersResponse(n int) Message {
	var p DescribeProducersResponsePartition
	for i := range n {
		p.ActiveProducers = append(p.ActiveProducers, DescribeProducersResponseProducer{ProducerID: int64(i)})
	}
	topic := DescribeProducersResponseTopic{"t", []DescribeProducersResponsePartition{p}}
	return &DescribeProducersResponse{Topics: []DescribeProducersResponseTopic{topic}}
}

func bigDescribeTransactions(n int) Message {
	r := new(DescribeTransactionsRequest)
	for i := range n {
		r.TransactionalIDs = append(r.TransactionalIDs, name(i))
	}
	return r
}

func bigListTransactionsResponse(n int) Message {
	r := new(ListTransactionsResponse)
	for i := range n {
		r.TransactionStates = append(r.TransactionStates, ListTransactionsResponseTransaction{name(i), int64(i), "Ongoing"})
	}
	return r
}

func bigConsumerGroupHeartbeat(n int) Message {
	r := &ConsumerGroupHeartbeatRequest{GroupID: "g", MemberID: "m"}
	for i := range n {
		r.SubscribedTopicNames = append(r.SubscribedTopicNames, name(i))
		r.Topics = append(r.Topics, ConsumerGroupHeartbeatRequestTopic{UUID{1}, []int32{0}})
	}
	return r
}

func bigConsumerGroupHeartbeatResponse(n int) Message {
	r := &ConsumerGroupHeartbeatResponse{Assignment: new(ConsumerGroupHeartbeatResponseAssignment)}
	for range n {
		r.Assignment.Topics = append(r.Assignment.Topics, ConsumerGroupHeartbeatResponseTopic{UUID{1}, []int32{0}})
	}
	return r
}

func bigConsumerGroupDescribeResponse(n int) Message {
	g := ConsumerGroupDescribeResponseGroup{GroupID: "g", GroupState: "Stable", AssignorName: "uniform"}
	for i := range n {
		has := ConsumerGroupDescribeResponseAssignment{[]ConsumerGroupDescribeResponseTopic{{UUID{1}, "t", []int32{int32(i)}}}}
		g.Members = append(g.Members, ConsumerGroupDescribeResponseMember{
			MemberID: "consumer-" + name(i), ClientID: name(i), ClientHost: "/127.0.0.1",
			SubscribedTopicNames: []string{"t"}, Assignment: has, TargetAssignment: has,
		})
	}
	return &ConsumerGroupDescribeResponse{Groups: []ConsumerGroupDescribeResponseGroup{g}}
}

func bigDescribeTopicPartitions(n int) Message {
	r := new(DescribeTopicPartitionsRequest)
	for i := range n {
		r.Topics = append(r.Topics, DescribeTopicPartitionsRequestTopic{name(i)})
	}
	return r
}

func bigDescribeTopicPartitionsResponse(topics, partitions int) Message {
	r := new(DescribeTopicPartitionsResponse)
	for i := range topics {
		t := DescribeTopicPartitionsResponseTopic{Name: namep(i)}
		for j := range partitions {
			t.Partitions = append(t.Partitions, DescribeTopicPartitionsResponsePartition{
				PartitionIndex: int32(j), ReplicaNodes: []int32{1}, IsrNodes: []int32{1},
			})
		}
		r.Topics = append(r.Topics, t)
	}
	return r
}
