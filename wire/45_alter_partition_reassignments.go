package wire

// AlterPartitionReassignmentsRequest moves partitions to other brokers (KIP-455).
type AlterPartitionReassignmentsRequest struct {
	TimeoutMs                    int32
	AllowReplicationFactorChange bool // 1+
	Topics                       []AlterPartitionReassignmentsRequestTopic
}

// AlterPartitionReassignmentsRequestTopic is one topic of an
// AlterPartitionReassignmentsRequest.
type AlterPartitionReassignmentsRequestTopic struct {
	Name       string
	Partitions []AlterPartitionReassignmentsRequestPartition
}

// AlterPartitionReassignmentsRequestPartition is one partition of an
// AlterPartitionReassignmentsRequest.
type AlterPartitionReassignmentsRequestPartition struct {
	PartitionIndex int32
	Replicas       []int32 // nil cancels a move under way
}

// Key returns KeyAlterPartitionReassignments.
func (*AlterPartitionReassignmentsRequest) Key() Key { return KeyAlterPartitionReassignments }

// Default sets Kafka's defaults.
func (r *AlterPartitionReassignmentsRequest) Default() {
	*r = AlterPartitionReassignmentsRequest{TimeoutMs: 60000, AllowReplicationFactorChange: true}
}

func (r *AlterPartitionReassignmentsRequest) visit(v *visitor) {
	v.int32(&r.TimeoutMs)
	if v.version >= 1 {
		v.boolean(&r.AllowReplicationFactorChange)
	}
	array(v, &r.Topics, 3, (*AlterPartitionReassignmentsRequestTopic).visit)
	v.tags()
}

func (t *AlterPartitionReassignmentsRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 6, (*AlterPartitionReassignmentsRequestPartition).visit)
	v.tags()
}

func (p *AlterPartitionReassignmentsRequestPartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.nullInt32s(&p.Replicas)
	v.tags()
}

// AlterPartitionReassignmentsResponse answers an
// AlterPartitionReassignmentsRequest.
type AlterPartitionReassignmentsResponse struct {
	ThrottleTimeMs               int32
	AllowReplicationFactorChange bool // 1+
	ErrorCode                    ErrorCode
	ErrorMessage                 *string
	Topics                       []AlterPartitionReassignmentsResponseTopic // Kafka's Responses
}

// AlterPartitionReassignmentsResponseTopic is one topic of an
// AlterPartitionReassignmentsResponse.
type AlterPartitionReassignmentsResponseTopic struct {
	Name       string
	Partitions []AlterPartitionReassignmentsResponsePartition
}

// AlterPartitionReassignmentsResponsePartition is what became of one partition.
type AlterPartitionReassignmentsResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode
	ErrorMessage   *string
}

// Key returns KeyAlterPartitionReassignments.
func (*AlterPartitionReassignmentsResponse) Key() Key { return KeyAlterPartitionReassignments }

// Default sets Kafka's defaults.
func (r *AlterPartitionReassignmentsResponse) Default() {
	*r = AlterPartitionReassignmentsResponse{AllowReplicationFactorChange: true}
}

func (r *AlterPartitionReassignmentsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	if v.version >= 1 {
		v.boolean(&r.AllowReplicationFactorChange)
	}
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	array(v, &r.Topics, 3, (*AlterPartitionReassignmentsResponseTopic).visit)
	v.tags()
}

func (t *AlterPartitionReassignmentsResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 8, (*AlterPartitionReassignmentsResponsePartition).visit)
	v.tags()
}

func (p *AlterPartitionReassignmentsResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
	v.nullStr(&p.ErrorMessage)
	v.tags()
}
