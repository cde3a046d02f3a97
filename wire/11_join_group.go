package wire

// JoinGroupRequest enters a group. In 4+ a first join with an empty MemberID is
// answered MEMBER_ID_REQUIRED (KIP-394).
type JoinGroupRequest struct {
	GroupID            string
	SessionTimeoutMs   int32
	RebalanceTimeoutMs int32 // 1+; -1 means SessionTimeoutMs
	MemberID           string
	GroupInstanceID    *string // 5+
	ProtocolType       string  // "consumer", "connect", "sr", ...: free text
	Protocols          []JoinGroupRequestProtocol
	Reason             *string // 8+
}

// JoinGroupRequestProtocol is one protocol that the member can do.
type JoinGroupRequestProtocol struct {
	Name     string
	Metadata []byte // opaque; a view when decoded
}

// Key returns KeyJoinGroup.
func (*JoinGroupRequest) Key() Key { return KeyJoinGroup }

// Default sets Kafka's defaults.
func (r *JoinGroupRequest) Default() { *r = JoinGroupRequest{RebalanceTimeoutMs: -1} }

func (r *JoinGroupRequest) visit(v *visitor) {
	v.str(&r.GroupID)
	v.int32(&r.SessionTimeoutMs)
	if v.version >= 1 {
		v.int32(&r.RebalanceTimeoutMs)
	}
	v.str(&r.MemberID)
	if v.version >= 5 {
		v.nullStr(&r.GroupInstanceID)
	}
	v.str(&r.ProtocolType)
	array(v, &r.Protocols, 3, (*JoinGroupRequestProtocol).visit)
	if v.version >= 8 {
		v.nullStr(&r.Reason)
	}
	v.tags()
}

func (p *JoinGroupRequestProtocol) visit(v *visitor) {
	v.str(&p.Name)
	v.bytes(&p.Metadata)
	v.tags()
}

// JoinGroupResponse answers a JoinGroupRequest; only the leader gets Members.
type JoinGroupResponse struct {
	ThrottleTimeMs int32 // 2+
	ErrorCode      ErrorCode
	GenerationID   int32   // -1 on error
	ProtocolType   *string // 7+
	ProtocolName   *string // nil is sent as "" before 7
	Leader         string
	SkipAssignment bool // 9+ (KIP-814)
	MemberID       string
	Members        []JoinGroupResponseMember
}

// JoinGroupResponseMember is one member, as the leader sees it.
type JoinGroupResponseMember struct {
	MemberID        string
	GroupInstanceID *string // 5+
	Metadata        []byte  // opaque; a view when decoded
}

// Key returns KeyJoinGroup.
func (*JoinGroupResponse) Key() Key { return KeyJoinGroup }

// Default sets Kafka's defaults.
func (r *JoinGroupResponse) Default() { *r = JoinGroupResponse{GenerationID: -1} }

func (r *JoinGroupResponse) visit(v *visitor) {
	if v.version >= 2 {
		v.int32(&r.ThrottleTimeMs)
	}
	v.code(&r.ErrorCode)
	v.int32(&r.GenerationID)
	if v.version >= 7 {
		v.nullStr(&r.ProtocolType)
	}
	v.nullStrSince(7, &r.ProtocolName)
	v.str(&r.Leader)
	if v.version >= 9 {
		v.boolean(&r.SkipAssignment)
	}
	v.str(&r.MemberID)
	array(v, &r.Members, 4, (*JoinGroupResponseMember).visit)
	v.tags()
}

func (m *JoinGroupResponseMember) visit(v *visitor) {
	v.str(&m.MemberID)
	if v.version >= 5 {
		v.nullStr(&m.GroupInstanceID)
	}
	v.bytes(&m.Metadata)
	v.tags()
}
