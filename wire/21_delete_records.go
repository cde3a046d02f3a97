package wire

// DeleteRecordsRequest moves the start of partitions up.
type DeleteRecordsRequest struct {
	Topics    []DeleteRecordsRequestTopic
	TimeoutMs int32
}

// DeleteRecordsRequestTopic is one topic of a DeleteRecordsRequest.
type DeleteRecordsRequestTopic struct {
	Name       string
	Partitions []DeleteRecordsRequestPartition
}

// DeleteRecordsRequestPartition is one partition of a DeleteRecordsRequest.
type DeleteRecordsRequestPartition struct {
	PartitionIndex int32
	Offset         int64 // the first to keep; -1 for the high watermark
}

// Key returns KeyDeleteRecords.
func (*DeleteRecordsRequest) Key() Key { return KeyDeleteRecords }

// Default sets Kafka's defaults.
func (r *DeleteRecordsRequest) Default() { *r = DeleteRecordsRequest{} }

func (r *DeleteRecordsRequest) visit(v *visitor) {
	array(v, &r.Topics, 3, (*DeleteRecordsRequestTopic).visit)
	v.int32(&r.TimeoutMs)
	v.tags()
}

func (t *DeleteRecordsRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 12, (*DeleteRecordsRequestPartition).visit)
	v.tags()
}

func (p *DeleteRecordsRequestPartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.int64(&p.Offset)
	v.tags()
}

// DeleteRecordsResponse answers a DeleteRecordsRequest.
type DeleteRecordsResponse struct {
	ThrottleTimeMs int32
	Topics         []DeleteRecordsResponseTopic
}

// DeleteRecordsResponseTopic is one topic of a DeleteRecordsResponse.
type DeleteRecordsResponseTopic struct {
	Name       string
	Partitions []DeleteRecordsResponsePartition
}

// DeleteRecordsResponsePartition is what became of one partition.
type DeleteRecordsResponsePartition struct {
	PartitionIndex int32
	LowWatermark   int64 // where it starts now; -1 on error
	ErrorCode      ErrorCode
}

// Key returns KeyDeleteRecords.
func (*DeleteRecordsResponse) Key() Key { return KeyDeleteRecords }

// Default sets Kafka's defaults.
func (r *DeleteRecordsResponse) Default() { *r = DeleteRecordsResponse{} }

func (r *DeleteRecordsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Topics, 3, (*DeleteRecordsResponseTopic).visit)
	v.tags()
}

func (t *DeleteRecordsResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 14, (*DeleteRecordsResponsePartition).visit)
	v.tags()
}

func (p *DeleteRecordsResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.int64(&p.LowWatermark)
	v.code(&p.ErrorCode)
	v.tags()
}
