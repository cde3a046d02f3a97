package wire

// DescribeTopicPartitionsRequest asks for topics page by page (KIP-966).
type DescribeTopicPartitionsRequest struct {
	Topics                 []DescribeTopicPartitionsRequestTopic // empty asks for all; sorted by name by the broker
	ResponsePartitionLimit int32
	Cursor                 *DescribeTopicPartitionsCursor // where to go on; nil at first
}

// DescribeTopicPartitionsRequestTopic names one topic.
type DescribeTopicPartitionsRequestTopic struct {
	Name string
}

// DescribeTopicPartitionsCursor is the first partition of the next page.
type DescribeTopicPartitionsCursor struct {
	TopicName      string
	PartitionIndex int32
}

// Key returns KeyDescribeTopicPartitions.
func (*DescribeTopicPartitionsRequest) Key() Key { return KeyDescribeTopicPartitions }

// Default sets Kafka's defaults.
func (r *DescribeTopicPartitionsRequest) Default() {
	*r = DescribeTopicPartitionsRequest{ResponsePartitionLimit: 2000}
}

func (r *DescribeTopicPartitionsRequest) visit(v *visitor) {
	array(v, &r.Topics, 2, (*DescribeTopicPartitionsRequestTopic).visit)
	v.int32(&r.ResponsePartitionLimit)
	nullStruct(v, &r.Cursor, (*DescribeTopicPartitionsCursor).visit)
	v.tags()
}

func (t *DescribeTopicPartitionsRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.tags()
}

func (d *DescribeTopicPartitionsCursor) visit(v *visitor) {
	v.str(&d.TopicName)
	v.int32(&d.PartitionIndex)
	v.tags()
}

// DescribeTopicPartitionsResponse answers a DescribeTopicPartitionsRequest.
type DescribeTopicPartitionsResponse struct {
	ThrottleTimeMs int32
	Topics         []DescribeTopicPartitionsResponseTopic
	NextCursor     *DescribeTopicPartitionsCursor // nil after the last page
}

// DescribeTopicPartitionsResponseTopic is one topic, or the part of it that the
// page has.
type DescribeTopicPartitionsResponseTopic struct {
	ErrorCode                 ErrorCode
	Name                      *string
	TopicID                   UUID
	IsInternal                bool
	Partitions                []DescribeTopicPartitionsResponsePartition
	TopicAuthorizedOperations int32 // a bit field
}

// DescribeTopicPartitionsResponsePartition is one partition.
type DescribeTopicPartitionsResponsePartition struct {
	ErrorCode              ErrorCode
	PartitionIndex         int32
	LeaderID               int32 // -1 if there is none
	LeaderEpoch            int32 // -1 unknown
	ReplicaNodes           []int32
	IsrNodes               []int32
	EligibleLeaderReplicas []int32 // nil unknown
	LastKnownElr           []int32 // nil unknown
	OfflineReplicas        []int32
}

// Key returns KeyDescribeTopicPartitions.
func (*DescribeTopicPartitionsResponse) Key() Key { return KeyDescribeTopicPartitions }

// Default sets Kafka's defaults.
func (r *DescribeTopicPartitionsResponse) Default() { *r = DescribeTopicPartitionsResponse{} }

func (r *DescribeTopicPartitionsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Topics, 26, (*DescribeTopicPartitionsResponseTopic).visit)
	nullStruct(v, &r.NextCursor, (*DescribeTopicPartitionsCursor).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (t *DescribeTopicPartitionsResponseTopic) Default() {
	*t = DescribeTopicPartitionsResponseTopic{TopicAuthorizedOperations: NoAuthorizedOperations}
}

func (t *DescribeTopicPartitionsResponseTopic) visit(v *visitor) {
	if v.decoding {
		t.Default()
	}
	v.code(&t.ErrorCode)
	v.nullStr(&t.Name)
	v.uuid(&t.TopicID)
	v.boolean(&t.IsInternal)
	array(v, &t.Partitions, 20, (*DescribeTopicPartitionsResponsePartition).visit)
	v.int32(&t.TopicAuthorizedOperations)
	v.tags()
}

// Default sets Kafka's defaults.
func (p *DescribeTopicPartitionsResponsePartition) Default() {
	*p = DescribeTopicPartitionsResponsePartition{LeaderEpoch: -1}
}

func (p *DescribeTopicPartitionsResponsePartition) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.code(&p.ErrorCode)
	v.int32(&p.PartitionIndex)
	v.int32(&p.LeaderID)
	v.int32(&p.LeaderEpoch)
	v.int32s(&p.ReplicaNodes)
	v.int32s(&p.IsrNodes)
	v.nullInt32s(&p.EligibleLeaderReplicas)
	v.nullInt32s(&p.LastKnownElr)
	v.int32s(&p.OfflineReplicas)
	v.tags()
}
