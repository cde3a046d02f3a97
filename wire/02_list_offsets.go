package wire

// ListOffsetsRequest asks for the offset at a timestamp, or at one of the
// special timestamps: -1 latest, -2 earliest, -3 the largest timestamp (7+),
// -4 earliest on local disk (8+), -5 latest tiered (9+), -6 earliest that is
// not tiered yet (11+, KIP-1023).
type ListOffsetsRequest struct {
	ReplicaID      int32 // -1 for a client
	IsolationLevel int8  // 2+; 0 read uncommitted, 1 read committed
	Topics         []ListOffsetsRequestTopic
	TimeoutMs      int32 // 10+
}

// ListOffsetsRequestTopic is one topic of a ListOffsetsRequest.
type ListOffsetsRequestTopic struct {
	Name       string
	Partitions []ListOffsetsRequestPartition
}

// ListOffsetsRequestPartition is one partition of a ListOffsetsRequest.
type ListOffsetsRequestPartition struct {
	PartitionIndex     int32
	CurrentLeaderEpoch int32 // 4+; -1 unknown
	Timestamp          int64 // ms, or a special one
}

// Key returns KeyListOffsets.
func (*ListOffsetsRequest) Key() Key { return KeyListOffsets }

// Default sets Kafka's defaults.
func (r *ListOffsetsRequest) Default() { *r = ListOffsetsRequest{} }

// Default sets Kafka's defaults.
func (p *ListOffsetsRequestPartition) Default() {
	*p = ListOffsetsRequestPartition{CurrentLeaderEpoch: -1}
}

func (r *ListOffsetsRequest) visit(v *visitor) {
	v.int32(&r.ReplicaID)
	if v.version >= 2 {
		v.int8(&r.IsolationLevel)
	}
	array(v, &r.Topics, 3, (*ListOffsetsRequestTopic).visit)
	if v.version >= 10 {
		v.int32(&r.TimeoutMs)
	}
	v.tags()
}

func (t *ListOffsetsRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 12, (*ListOffsetsRequestPartition).visit)
	v.tags()
}

func (p *ListOffsetsRequestPartition) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.int32(&p.PartitionIndex)
	if v.version >= 4 {
		v.int32(&p.CurrentLeaderEpoch)
	}
	v.int64(&p.Timestamp)
	v.tags()
}

// ListOffsetsResponse answers a ListOffsetsRequest.
type ListOffsetsResponse struct {
	ThrottleTimeMs int32 // 2+
	Topics         []ListOffsetsResponseTopic
}

// ListOffsetsResponseTopic is one topic of a ListOffsetsResponse.
type ListOffsetsResponseTopic struct {
	Name       string
	Partitions []ListOffsetsResponsePartition
}

// ListOffsetsResponsePartition is one partition of a ListOffsetsResponse.
type ListOffsetsResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode
	Timestamp      int64 // of the record at Offset, ms; -1 unknown
	Offset         int64 // -1 if there is none
	LeaderEpoch    int32 // 4+; -1 unknown
}

// Key returns KeyListOffsets.
func (*ListOffsetsResponse) Key() Key { return KeyListOffsets }

// Default sets Kafka's defaults.
func (r *ListOffsetsResponse) Default() { *r = ListOffsetsResponse{} }

// Default sets Kafka's defaults.
func (p *ListOffsetsResponsePartition) Default() {
	*p = ListOffsetsResponsePartition{Timestamp: -1, Offset: -1, LeaderEpoch: -1}
}

func (r *ListOffsetsResponse) visit(v *visitor) {
	if v.version >= 2 {
		v.int32(&r.ThrottleTimeMs)
	}
	array(v, &r.Topics, 3, (*ListOffsetsResponseTopic).visit)
	v.tags()
}

func (t *ListOffsetsResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 22, (*ListOffsetsResponsePartition).visit)
	v.tags()
}

func (p *ListOffsetsResponsePartition) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
	v.int64(&p.Timestamp)
	v.int64(&p.Offset)
	if v.version >= 4 {
		v.int32(&p.LeaderEpoch)
	}
	v.tags()
}
