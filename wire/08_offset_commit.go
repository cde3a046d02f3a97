package wire

// OffsetCommitRequest stores a group's offsets. GenerationID -1 with an empty
// MemberID is a commit from outside the group protocol. From 9 on it may be a
// member epoch of the group protocol of KIP-848.
type OffsetCommitRequest struct {
	GroupID         string
	GenerationID    int32 // Kafka's GenerationIdOrMemberEpoch
	MemberID        string
	GroupInstanceID *string // 7+
	RetentionTimeMs int64   // 2 to 4; -1 for the broker's default
	Topics          []OffsetCommitRequestTopic
}

// OffsetCommitRequestTopic is one topic of an OffsetCommitRequest.
type OffsetCommitRequestTopic struct {
	Name       string // 2 to 9
	TopicID    UUID   // 10+ (KIP-848)
	Partitions []OffsetCommitRequestPartition
}

// OffsetCommitRequestPartition is one partition of an OffsetCommitRequest.
type OffsetCommitRequestPartition struct {
	PartitionIndex       int32
	CommittedOffset      int64
	CommittedLeaderEpoch int32 // 6+; -1 unknown
	CommittedMetadata    *string
}

// Key returns KeyOffsetCommit.
func (*OffsetCommitRequest) Key() Key { return KeyOffsetCommit }

// Default sets Kafka's defaults.
func (r *OffsetCommitRequest) Default() {
	*r = OffsetCommitRequest{GenerationID: -1, RetentionTimeMs: -1}
}

// Default sets Kafka's defaults.
func (p *OffsetCommitRequestPartition) Default() {
	*p = OffsetCommitRequestPartition{CommittedLeaderEpoch: -1}
}

func (r *OffsetCommitRequest) visit(v *visitor) {
	v.str(&r.GroupID)
	v.int32(&r.GenerationID)
	v.str(&r.MemberID)
	if v.version >= 7 {
		v.nullStr(&r.GroupInstanceID)
	}
	if v.version <= 4 {
		v.int64(&r.RetentionTimeMs)
	}
	array(v, &r.Topics, 3, (*OffsetCommitRequestTopic).visit)
	v.tags()
}

func (t *OffsetCommitRequestTopic) visit(v *visitor) {
	v.topic(&t.Name, &t.TopicID, 10)
	array(v, &t.Partitions, 14, (*OffsetCommitRequestPartition).visit)
	v.tags()
}

func (p *OffsetCommitRequestPartition) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.int32(&p.PartitionIndex)
	v.int64(&p.CommittedOffset)
	if v.version >= 6 {
		v.int32(&p.CommittedLeaderEpoch)
	}
	v.nullStr(&p.CommittedMetadata)
	v.tags()
}

// OffsetCommitResponse answers an OffsetCommitRequest.
type OffsetCommitResponse struct {
	ThrottleTimeMs int32 // 3+
	Topics         []OffsetCommitResponseTopic
}

// OffsetCommitResponseTopic is one topic of an OffsetCommitResponse.
type OffsetCommitResponseTopic struct {
	Name       string // 2 to 9
	TopicID    UUID   // 10+
	Partitions []OffsetCommitResponsePartition
}

// OffsetCommitResponsePartition is one partition of an OffsetCommitResponse.
type OffsetCommitResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode
}

// Key returns KeyOffsetCommit.
func (*OffsetCommitResponse) Key() Key { return KeyOffsetCommit }

// Default sets Kafka's defaults.
func (r *OffsetCommitResponse) Default() { *r = OffsetCommitResponse{} }

func (r *OffsetCommitResponse) visit(v *visitor) {
	if v.version >= 3 {
		v.int32(&r.ThrottleTimeMs)
	}
	array(v, &r.Topics, 3, (*OffsetCommitResponseTopic).visit)
	v.tags()
}

func (t *OffsetCommitResponseTopic) visit(v *visitor) {
	v.topic(&t.Name, &t.TopicID, 10)
	array(v, &t.Partitions, 6, (*OffsetCommitResponsePartition).visit)
	v.tags()
}

func (p *OffsetCommitResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
	v.tags()
}
