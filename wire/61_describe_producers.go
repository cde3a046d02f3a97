package wire

// DescribeProducersRequest asks a partition's leader which producers it knows
// (KIP-664).
type DescribeProducersRequest struct {
	Topics []DescribeProducersRequestTopic
}

// DescribeProducersRequestTopic is one topic of a DescribeProducersRequest.
type DescribeProducersRequestTopic struct {
	Name             string
	PartitionIndexes []int32
}

// Key returns KeyDescribeProducers.
func (*DescribeProducersRequest) Key() Key { return KeyDescribeProducers }

// Default sets Kafka's defaults.
func (r *DescribeProducersRequest) Default() { *r = DescribeProducersRequest{} }

func (r *DescribeProducersRequest) visit(v *visitor) {
	array(v, &r.Topics, 3, (*DescribeProducersRequestTopic).visit)
	v.tags()
}

func (t *DescribeProducersRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.int32s(&t.PartitionIndexes)
	v.tags()
}

// DescribeProducersResponse answers a DescribeProducersRequest.
type DescribeProducersResponse struct {
	ThrottleTimeMs int32
	Topics         []DescribeProducersResponseTopic
}

// DescribeProducersResponseTopic is one topic of a DescribeProducersResponse.
type DescribeProducersResponseTopic struct {
	Name       string
	Partitions []DescribeProducersResponsePartition
}

// DescribeProducersResponsePartition is one partition of a
// DescribeProducersResponse.
type DescribeProducersResponsePartition struct {
	PartitionIndex  int32
	ErrorCode       ErrorCode
	ErrorMessage    *string
	ActiveProducers []DescribeProducersResponseProducer
}

// DescribeProducersResponseProducer is one producer of a partition. Kafka's schema
// has an int32 for the epoch here and an int16 everywhere else.
type DescribeProducersResponseProducer struct {
	ProducerID            int64
	ProducerEpoch         int32
	LastSequence          int32 // -1 none
	LastTimestamp         int64 // ms; -1 none
	CoordinatorEpoch      int32 // of the last marker; -1 none
	CurrentTxnStartOffset int64 // -1 if none is open
}

// Key returns KeyDescribeProducers.
func (*DescribeProducersResponse) Key() Key { return KeyDescribeProducers }

// Default sets Kafka's defaults.
func (r *DescribeProducersResponse) Default() { *r = DescribeProducersResponse{} }

func (r *DescribeProducersResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Topics, 3, (*DescribeProducersResponseTopic).visit)
	v.tags()
}

func (t *DescribeProducersResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 9, (*DescribeProducersResponsePartition).visit)
	v.tags()
}

func (p *DescribeProducersResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
	v.nullStr(&p.ErrorMessage)
	array(v, &p.ActiveProducers, 37, (*DescribeProducersResponseProducer).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (p *DescribeProducersResponseProducer) Default() {
	*p = DescribeProducersResponseProducer{LastSequence: -1, LastTimestamp: -1, CurrentTxnStartOffset: -1}
}

func (p *DescribeProducersResponseProducer) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.int64(&p.ProducerID)
	v.int32(&p.ProducerEpoch)
	v.int32(&p.LastSequence)
	v.int64(&p.LastTimestamp)
	v.int32(&p.CoordinatorEpoch)
	v.int64(&p.CurrentTxnStartOffset)
	v.tags()
}
