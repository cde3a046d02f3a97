package wire

// What an ElectLeadersRequest's ElectionType asks for.
const (
	ElectionPreferred = 0
	ElectionUnclean   = 1
)

// ElectLeadersRequest has partitions elect their leaders anew.
type ElectLeadersRequest struct {
	ElectionType int8                       // 1+; the preferred replica before (KIP-460)
	Topics       []ElectLeadersRequestTopic // nil means all; Kafka's TopicPartitions
	TimeoutMs    int32
}

// ElectLeadersRequestTopic is one topic of an ElectLeadersRequest.
type ElectLeadersRequestTopic struct {
	Name       string
	Partitions []int32
}

// Key returns KeyElectLeaders.
func (*ElectLeadersRequest) Key() Key { return KeyElectLeaders }

// Default sets Kafka's defaults.
func (r *ElectLeadersRequest) Default() { *r = ElectLeadersRequest{TimeoutMs: 60000} }

func (r *ElectLeadersRequest) visit(v *visitor) {
	if v.version >= 1 {
		v.int8(&r.ElectionType)
	}
	nullArray(v, &r.Topics, 3, (*ElectLeadersRequestTopic).visit)
	v.int32(&r.TimeoutMs)
	v.tags()
}

func (t *ElectLeadersRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.int32s(&t.Partitions)
	v.tags()
}

// ElectLeadersResponse answers an ElectLeadersRequest.
type ElectLeadersResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode                   // 1+
	Topics         []ElectLeadersResponseTopic // Kafka's ReplicaElectionResults
}

// ElectLeadersResponseTopic is one topic of an ElectLeadersResponse.
type ElectLeadersResponseTopic struct {
	Name       string
	Partitions []ElectLeadersResponsePartition // Kafka's PartitionResult
}

// ElectLeadersResponsePartition is what became of one partition.
type ElectLeadersResponsePartition struct {
	PartitionIndex int32 // Kafka's PartitionId
	ErrorCode      ErrorCode
	ErrorMessage   *string
}

// Key returns KeyElectLeaders.
func (*ElectLeadersResponse) Key() Key { return KeyElectLeaders }

// Default sets Kafka's defaults.
func (r *ElectLeadersResponse) Default() { *r = ElectLeadersResponse{} }

func (r *ElectLeadersResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	if v.version >= 1 {
		v.code(&r.ErrorCode)
	}
	array(v, &r.Topics, 3, (*ElectLeadersResponseTopic).visit)
	v.tags()
}

func (t *ElectLeadersResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 8, (*ElectLeadersResponsePartition).visit)
	v.tags()
}

func (p *ElectLeadersResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
	v.nullStr(&p.ErrorMessage)
	v.tags()
}
