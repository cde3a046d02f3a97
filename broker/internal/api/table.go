package api

import (
	"fmt"
	"slices"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// handler begins a request. A nil Pending with a nil error is a request without a response.
type handler func(*request) (listen.Pending, error)

// row is what the broker does with one key.
type row struct {
	handle   handler
	min, max int16 // advertised, both included
}

// table is what is served, and what ApiVersions says is (A5). Package wire speaks more: a version belongs here when everything
// that it promises is kept.
//
// The ranges answer to what real clients check (KAFKA-18659, KAFKA-18648, KAFKA-19444): librdkafka before 2.11.1 turns
// compression off unless Produce 0 is in range, so 0 to 2 are advertised, but nothing sends them and wire does not decode them.
// Fetch 18 is for followers alone.
var table = map[wire.Key]row{
	wire.KeyProduce:                      {produce, 0, 13},
	wire.KeyFetch:                        {fetch, 4, 17},
	wire.KeyListOffsets:                  {listOffsets, 1, 11},
	wire.KeyMetadata:                     {metadata, 0, 13},
	wire.KeyOffsetCommit:                 {offsetCommit, 2, 10},
	wire.KeyOffsetFetch:                  {offsetFetch, 1, 10},
	wire.KeyFindCoordinator:              {findCoordinator, 0, 6},
	wire.KeyJoinGroup:                    {joinGroup, 0, 9},
	wire.KeyHeartbeat:                    {heartbeat, 0, 4},
	wire.KeyLeaveGroup:                   {leaveGroup, 0, 5},
	wire.KeySyncGroup:                    {syncGroup, 0, 5},
	wire.KeyDescribeGroups:               {describeGroups, 0, 6},
	wire.KeyListGroups:                   {listGroups, 0, 5},
	wire.KeySASLHandshake:                {saslHandshake, 0, 1},
	wire.KeyAPIVersions:                  {apiVersions, 0, 4},
	wire.KeyCreateTopics:                 {createTopics, 2, 7},
	wire.KeyDeleteTopics:                 {deleteTopics, 1, 6},
	wire.KeyDeleteRecords:                {deleteRecords, 0, 2},
	wire.KeyInitProducerID:               {initProducerID, 0, 5},
	wire.KeyOffsetForLeaderEpoch:         {offsetForLeaderEpoch, 2, 4},
	wire.KeyAddPartitionsToTxn:           {addPartitionsToTxn, 0, 5},
	wire.KeyAddOffsetsToTxn:              {addOffsetsToTxn, 0, 4},
	wire.KeyEndTxn:                       {endTxn, 0, 5},
	wire.KeyWriteTxnMarkers:              {writeTxnMarkers, 1, 2},
	wire.KeyTxnOffsetCommit:              {txnOffsetCommit, 0, 5},
	wire.KeyDescribeACLs:                 {describeACLs, 1, 3},
	wire.KeyCreateACLs:                   {createACLs, 1, 3},
	wire.KeyDeleteACLs:                   {deleteACLs, 1, 3},
	wire.KeyDescribeConfigs:              {describeConfigs, 1, 4},
	wire.KeyAlterConfigs:                 {alterConfigs, 0, 2},
	wire.KeyDescribeLogDirs:              {describeLogDirs, 1, 5},
	wire.KeySASLAuthenticate:             {saslAuthenticate, 0, 2},
	wire.KeyCreatePartitions:             {createPartitions, 0, 3},
	wire.KeyDeleteGroups:                 {deleteGroups, 0, 2},
	wire.KeyElectLeaders:                 {electLeaders, 0, 2},
	wire.KeyIncrementalAlterConfigs:      {incrementalAlterConfigs, 0, 1},
	wire.KeyAlterPartitionReassignments:  {alterPartitionReassignments, 0, 1},
	wire.KeyListPartitionReassignments:   {listPartitionReassignments, 0, 0},
	wire.KeyOffsetDelete:                 {offsetDelete, 0, 0},
	wire.KeyDescribeClientQuotas:         {describeClientQuotas, 0, 1},
	wire.KeyAlterClientQuotas:            {alterClientQuotas, 0, 1},
	wire.KeyDescribeUserSCRAMCredentials: {describeUserScramCredentials, 0, 0},
	wire.KeyAlterUserSCRAMCredentials:    {alterUserScramCredentials, 0, 0},
	wire.KeyDescribeQuorum:               {describeQuorum, 0, 2},
	wire.KeyUpdateFeatures:               {updateFeatures, 0, 2},
	wire.KeyDescribeCluster:              {describeCluster, 0, 2},
	wire.KeyDescribeProducers:            {describeProducers, 0, 0},
	wire.KeyDescribeTransactions:         {describeTransactions, 0, 0},
	wire.KeyListTransactions:             {listTransactions, 0, 2},
	wire.KeyConsumerGroupHeartbeat:       {consumerGroupHeartbeat, 0, 1},
	wire.KeyConsumerGroupDescribe:        {consumerGroupDescribe, 0, 1},
	wire.KeyListConfigResources:          {listConfigResources, 0, 1},
	wire.KeyDescribeTopicPartitions:      {describeTopicPartitions, 0, 0},
}

// Served returns what is advertised, sorted by key. The slice is the caller's.
func Served() []wire.Range {
	served := make([]wire.Range, 0, len(table))
	for k, r := range table {
		served = append(served, wire.Range{Key: k, Min: r.min, Max: r.max})
	}
	slices.SortFunc(served, func(a, b wire.Range) int { return int(a.Key) - int(b.Key) })
	return served
}

// find returns the row for a request. What wire speaks and the table does not name is refused like what wire does not speak: the
// error wraps wire.ErrUnknownKey or wire.ErrUnsupportedVersion.
func find(k wire.Key, version int16) (row, error) {
	r, ok := table[k]
	switch {
	case !ok:
		return row{}, fmt.Errorf("api: %w %d (%v), version %d: not served", wire.ErrUnknownKey, int16(k), k, version)
	case version < r.min || version > r.max:
		return row{}, fmt.Errorf("api: %w %v %d, serving %d to %d", wire.ErrUnsupportedVersion, k, version, r.min, r.max)
	}
	return r, nil
}
