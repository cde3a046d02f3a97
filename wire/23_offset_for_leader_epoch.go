package wire

// OffsetForLeaderEpochRequest asks where leader epochs end, by which a consumer
// notices that what it has read was truncated, and a follower where to truncate
// to (KIP-101, KIP-320).
type OffsetForLeaderEpochRequest struct {
	ReplicaID int32 // 3+; -1 a consumer, -2 a consumer that debugs, else a follower
	Topics    []OffsetForLeaderEpochRequestTopic
}

// OffsetForLeaderEpochRequestTopic is one topic of an
// OffsetForLeaderEpochRequest.
type OffsetForLeaderEpochRequestTopic struct {
	Name       string
	Partitions []OffsetForLeaderEpochRequestPartition
}

// OffsetForLeaderEpochRequestPartition is one partition of an
// OffsetForLeaderEpochRequest.
type OffsetForLeaderEpochRequestPartition struct {
	PartitionIndex     int32
	CurrentLeaderEpoch int32 // -1 unknown; else a leader of another epoch refuses
	LeaderEpoch        int32 // the epoch whose end is asked for
}

// Key returns KeyOffsetForLeaderEpoch.
func (*OffsetForLeaderEpochRequest) Key() Key { return KeyOffsetForLeaderEpoch }

// Default sets Kafka's defaults.
func (r *OffsetForLeaderEpochRequest) Default() { *r = OffsetForLeaderEpochRequest{ReplicaID: -2} }

func (r *OffsetForLeaderEpochRequest) visit(v *visitor) {
	if v.version >= 3 {
		v.int32(&r.ReplicaID)
	}
	array(v, &r.Topics, 3, (*OffsetForLeaderEpochRequestTopic).visit)
	v.tags()
}

func (t *OffsetForLeaderEpochRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 12, (*OffsetForLeaderEpochRequestPartition).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (p *OffsetForLeaderEpochRequestPartition) Default() {
	*p = OffsetForLeaderEpochRequestPartition{CurrentLeaderEpoch: -1}
}

func (p *OffsetForLeaderEpochRequestPartition) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.int32(&p.PartitionIndex)
	v.int32(&p.CurrentLeaderEpoch)
	v.int32(&p.LeaderEpoch)
	v.tags()
}

// OffsetForLeaderEpochResponse answers an OffsetForLeaderEpochRequest.
type OffsetForLeaderEpochResponse struct {
	ThrottleTimeMs int32
	Topics         []OffsetForLeaderEpochResponseTopic
}

// OffsetForLeaderEpochResponseTopic is one topic of an
// OffsetForLeaderEpochResponse.
type OffsetForLeaderEpochResponseTopic struct {
	Name       string
	Partitions []OffsetForLeaderEpochResponsePartition
}

// OffsetForLeaderEpochResponsePartition is one partition of an
// OffsetForLeaderEpochResponse.
type OffsetForLeaderEpochResponsePartition struct {
	ErrorCode      ErrorCode
	PartitionIndex int32
	LeaderEpoch    int32 // the largest epoch up to the asked one; -1 if there is none
	EndOffset      int64 // past the last record of LeaderEpoch; -1 unknown
}

// Key returns KeyOffsetForLeaderEpoch.
func (*OffsetForLeaderEpochResponse) Key() Key { return KeyOffsetForLeaderEpoch }

// Default sets Kafka's defaults.
func (r *OffsetForLeaderEpochResponse) Default() { *r = OffsetForLeaderEpochResponse{} }

func (r *OffsetForLeaderEpochResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Topics, 3, (*OffsetForLeaderEpochResponseTopic).visit)
	v.tags()
}

func (t *OffsetForLeaderEpochResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 18, (*OffsetForLeaderEpochResponsePartition).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (p *OffsetForLeaderEpochResponsePartition) Default() {
	*p = OffsetForLeaderEpochResponsePartition{LeaderEpoch: -1, EndOffset: -1}
}

func (p *OffsetForLeaderEpochResponsePartition) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.code(&p.ErrorCode)
	v.int32(&p.PartitionIndex)
	v.int32(&p.LeaderEpoch)
	v.int64(&p.EndOffset)
	v.tags()
}
