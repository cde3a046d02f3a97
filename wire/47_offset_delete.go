package wire

// OffsetDeleteRequest deletes a group's offsets of partitions that it does not
// read (KIP-496).
type OffsetDeleteRequest struct {
	GroupID string
	Topics  []OffsetDeleteRequestTopic
}

// OffsetDeleteRequestTopic is one topic of an OffsetDeleteRequest.
type OffsetDeleteRequestTopic struct {
	Name       string
	Partitions []OffsetDeleteRequestPartition
}

// OffsetDeleteRequestPartition is one partition of an OffsetDeleteRequest.
type OffsetDeleteRequestPartition struct {
	PartitionIndex int32
}

// Key returns KeyOffsetDelete.
func (*OffsetDeleteRequest) Key() Key { return KeyOffsetDelete }

// Default sets Kafka's defaults.
func (r *OffsetDeleteRequest) Default() { *r = OffsetDeleteRequest{} }

func (r *OffsetDeleteRequest) visit(v *visitor) {
	v.str(&r.GroupID)
	array(v, &r.Topics, 6, (*OffsetDeleteRequestTopic).visit)
}

func (t *OffsetDeleteRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 4, (*OffsetDeleteRequestPartition).visit)
}

func (p *OffsetDeleteRequestPartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
}

// OffsetDeleteResponse answers an OffsetDeleteRequest.
type OffsetDeleteResponse struct {
	ErrorCode      ErrorCode
	ThrottleTimeMs int32
	Topics         []OffsetDeleteResponseTopic
}

// OffsetDeleteResponseTopic is one topic of an OffsetDeleteResponse.
type OffsetDeleteResponseTopic struct {
	Name       string
	Partitions []OffsetDeleteResponsePartition
}

// OffsetDeleteResponsePartition is what became of one partition.
type OffsetDeleteResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode // GROUP_SUBSCRIBED_TO_TOPIC if a member reads it
}

// Key returns KeyOffsetDelete.
func (*OffsetDeleteResponse) Key() Key { return KeyOffsetDelete }

// Default sets Kafka's defaults.
func (r *OffsetDeleteResponse) Default() { *r = OffsetDeleteResponse{} }

func (r *OffsetDeleteResponse) visit(v *visitor) {
	v.code(&r.ErrorCode)
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Topics, 6, (*OffsetDeleteResponseTopic).visit)
}

func (t *OffsetDeleteResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 6, (*OffsetDeleteResponsePartition).visit)
}

func (p *OffsetDeleteResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
}
