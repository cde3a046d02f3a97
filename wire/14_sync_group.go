package wire

// SyncGroupRequest asks for the member's assignment; the leader's carries
// everybody's.
type SyncGroupRequest struct {
	GroupID         string
	GenerationID    int32
	MemberID        string
	GroupInstanceID *string // 3+
	ProtocolType    *string // 5+
	ProtocolName    *string // 5+
	Assignments     []SyncGroupRequestAssignment
}

// SyncGroupRequestAssignment is what the leader gave to one member.
type SyncGroupRequestAssignment struct {
	MemberID   string
	Assignment []byte // opaque; a view when decoded
}

// Key returns KeySyncGroup.
func (*SyncGroupRequest) Key() Key { return KeySyncGroup }

// Default sets Kafka's defaults.
func (r *SyncGroupRequest) Default() { *r = SyncGroupRequest{} }

func (r *SyncGroupRequest) visit(v *visitor) {
	v.str(&r.GroupID)
	v.int32(&r.GenerationID)
	v.str(&r.MemberID)
	if v.version >= 3 {
		v.nullStr(&r.GroupInstanceID)
	}
	if v.version >= 5 {
		v.nullStr(&r.ProtocolType)
		v.nullStr(&r.ProtocolName)
	}
	array(v, &r.Assignments, 3, (*SyncGroupRequestAssignment).visit)
	v.tags()
}

func (a *SyncGroupRequestAssignment) visit(v *visitor) {
	v.str(&a.MemberID)
	v.bytes(&a.Assignment)
	v.tags()
}

// SyncGroupResponse answers a SyncGroupRequest.
type SyncGroupResponse struct {
	ThrottleTimeMs int32 // 1+
	ErrorCode      ErrorCode
	ProtocolType   *string // 5+
	ProtocolName   *string // 5+
	Assignment     []byte  // opaque; a view when decoded
}

// Key returns KeySyncGroup.
func (*SyncGroupResponse) Key() Key { return KeySyncGroup }

// Default sets Kafka's defaults.
func (r *SyncGroupResponse) Default() { *r = SyncGroupResponse{} }

func (r *SyncGroupResponse) visit(v *visitor) {
	if v.version >= 1 {
		v.int32(&r.ThrottleTimeMs)
	}
	v.code(&r.ErrorCode)
	if v.version >= 5 {
		v.nullStr(&r.ProtocolType)
		v.nullStr(&r.ProtocolName)
	}
	v.bytes(&r.Assignment)
	v.tags()
}
