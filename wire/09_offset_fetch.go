package wire

// OffsetFetchRequest asks for a group's stored offsets. Versions 1 to 7 ask for
// one group (GroupID, Topics), 8 on for many (Groups).
type OffsetFetchRequest struct {
	GroupID       string                    // 1 to 7
	Topics        []OffsetFetchRequestTopic // 1 to 7; in 2+ nil means all
	Groups        []OffsetFetchRequestGroup // 8+
	RequireStable bool                      // 7+ (KIP-447)
}

// OffsetFetchRequestTopic is one topic, of the request or of one group of it.
type OffsetFetchRequestTopic struct {
	Name             string // 1 to 9
	TopicID          UUID   // 10+ (KIP-848)
	PartitionIndexes []int32
}

// OffsetFetchRequestGroup is one group of an OffsetFetchRequest.
type OffsetFetchRequestGroup struct {
	GroupID     string
	MemberID    *string                   // 9+; nil outside the protocol of KIP-848
	MemberEpoch int32                     // 9+; -1 outside the protocol of KIP-848
	Topics      []OffsetFetchRequestTopic // nil means all
}

// Key returns KeyOffsetFetch.
func (*OffsetFetchRequest) Key() Key { return KeyOffsetFetch }

// Default sets Kafka's defaults.
func (r *OffsetFetchRequest) Default() { *r = OffsetFetchRequest{} }

// Default sets Kafka's defaults.
func (g *OffsetFetchRequestGroup) Default() { *g = OffsetFetchRequestGroup{MemberEpoch: -1} }

func (r *OffsetFetchRequest) visit(v *visitor) {
	if v.version <= 7 {
		v.str(&r.GroupID)
		arrayOf(v, &r.Topics, 3, v.version >= 2, (*OffsetFetchRequestTopic).visit)
	} else {
		array(v, &r.Groups, 3, (*OffsetFetchRequestGroup).visit)
	}
	if v.version >= 7 {
		v.boolean(&r.RequireStable)
	}
	v.tags()
}

func (t *OffsetFetchRequestTopic) visit(v *visitor) {
	v.topic(&t.Name, &t.TopicID, 10)
	v.int32s(&t.PartitionIndexes)
	v.tags()
}

func (g *OffsetFetchRequestGroup) visit(v *visitor) {
	if v.decoding {
		g.Default()
	}
	v.str(&g.GroupID)
	if v.version >= 9 {
		v.nullStr(&g.MemberID)
		v.int32(&g.MemberEpoch)
	}
	nullArray(v, &g.Topics, 3, (*OffsetFetchRequestTopic).visit)
	v.tags()
}

// OffsetFetchResponse answers an OffsetFetchRequest, in the shape of its
// version.
type OffsetFetchResponse struct {
	ThrottleTimeMs int32                      // 3+
	Topics         []OffsetFetchResponseTopic // 1 to 7
	ErrorCode      ErrorCode                  // 2 to 7
	Groups         []OffsetFetchResponseGroup // 8+
}

// OffsetFetchResponseTopic is one topic, of the response or of one group of it.
type OffsetFetchResponseTopic struct {
	Name       string // 1 to 9
	TopicID    UUID   // 10+
	Partitions []OffsetFetchResponsePartition
}

// OffsetFetchResponsePartition is one partition of an OffsetFetchResponse.
type OffsetFetchResponsePartition struct {
	PartitionIndex       int32
	CommittedOffset      int64 // -1 if there is none
	CommittedLeaderEpoch int32 // 5+; -1 unknown
	Metadata             *string
	ErrorCode            ErrorCode
}

// OffsetFetchResponseGroup is one group of an OffsetFetchResponse.
type OffsetFetchResponseGroup struct {
	GroupID   string
	Topics    []OffsetFetchResponseTopic
	ErrorCode ErrorCode
}

// Key returns KeyOffsetFetch.
func (*OffsetFetchResponse) Key() Key { return KeyOffsetFetch }

// Default sets Kafka's defaults.
func (r *OffsetFetchResponse) Default() { *r = OffsetFetchResponse{} }

// Default sets Kafka's defaults.
func (p *OffsetFetchResponsePartition) Default() {
	*p = OffsetFetchResponsePartition{CommittedLeaderEpoch: -1}
}

func (r *OffsetFetchResponse) visit(v *visitor) {
	if v.version >= 3 {
		v.int32(&r.ThrottleTimeMs)
	}
	if v.version <= 7 {
		array(v, &r.Topics, 3, (*OffsetFetchResponseTopic).visit)
	}
	if v.version >= 2 && v.version <= 7 {
		v.code(&r.ErrorCode)
	}
	if v.version >= 8 {
		array(v, &r.Groups, 5, (*OffsetFetchResponseGroup).visit)
	}
	v.tags()
}

func (t *OffsetFetchResponseTopic) visit(v *visitor) {
	v.topic(&t.Name, &t.TopicID, 10)
	array(v, &t.Partitions, 16, (*OffsetFetchResponsePartition).visit)
	v.tags()
}

func (p *OffsetFetchResponsePartition) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.int32(&p.PartitionIndex)
	v.int64(&p.CommittedOffset)
	if v.version >= 5 {
		v.int32(&p.CommittedLeaderEpoch)
	}
	v.nullStr(&p.Metadata)
	v.code(&p.ErrorCode)
	v.tags()
}

func (g *OffsetFetchResponseGroup) visit(v *visitor) {
	v.str(&g.GroupID)
	array(v, &g.Topics, 3, (*OffsetFetchResponseTopic).visit)
	v.code(&g.ErrorCode)
	v.tags()
}
