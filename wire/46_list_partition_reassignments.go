package wire

// ListPartitionReassignmentsRequest asks which partitions are being moved
// (KIP-455).
type ListPartitionReassignmentsRequest struct {
	TimeoutMs int32
	Topics    []ListPartitionReassignmentsRequestTopic // nil asks for all
}

// ListPartitionReassignmentsRequestTopic is one topic of a
// ListPartitionReassignmentsRequest.
type ListPartitionReassignmentsRequestTopic struct {
	Name             string
	PartitionIndexes []int32
}

// Key returns KeyListPartitionReassignments.
func (*ListPartitionReassignmentsRequest) Key() Key { return KeyListPartitionReassignments }

// Default sets Kafka's defaults.
func (r *ListPartitionReassignmentsRequest) Default() {
	*r = ListPartitionReassignmentsRequest{TimeoutMs: 60000}
}

func (r *ListPartitionReassignmentsRequest) visit(v *visitor) {
	v.int32(&r.TimeoutMs)
	nullArray(v, &r.Topics, 3, (*ListPartitionReassignmentsRequestTopic).visit)
	v.tags()
}

func (t *ListPartitionReassignmentsRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.int32s(&t.PartitionIndexes)
	v.tags()
}

// ListPartitionReassignmentsResponse answers a ListPartitionReassignmentsRequest.
type ListPartitionReassignmentsResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode
	ErrorMessage   *string
	Topics         []ListPartitionReassignmentsResponseTopic
}

// ListPartitionReassignmentsResponseTopic is one topic of a
// ListPartitionReassignmentsResponse.
type ListPartitionReassignmentsResponseTopic struct {
	Name       string
	Partitions []ListPartitionReassignmentsResponsePartition
}

// ListPartitionReassignmentsResponsePartition is one partition that is being
// moved.
type ListPartitionReassignmentsResponsePartition struct {
	PartitionIndex   int32
	Replicas         []int32 // those that stay, those that come and those that go
	AddingReplicas   []int32
	RemovingReplicas []int32
}

// Key returns KeyListPartitionReassignments.
func (*ListPartitionReassignmentsResponse) Key() Key { return KeyListPartitionReassignments }

// Default sets Kafka's defaults.
func (r *ListPartitionReassignmentsResponse) Default() { *r = ListPartitionReassignmentsResponse{} }

func (r *ListPartitionReassignmentsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	array(v, &r.Topics, 3, (*ListPartitionReassignmentsResponseTopic).visit)
	v.tags()
}

func (t *ListPartitionReassignmentsResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 8, (*ListPartitionReassignmentsResponsePartition).visit)
	v.tags()
}

func (p *ListPartitionReassignmentsResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.int32s(&p.Replicas)
	v.int32s(&p.AddingReplicas)
	v.int32s(&p.RemovingReplicas)
	v.tags()
}
