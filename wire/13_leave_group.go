package wire

// LeaveGroupRequest takes members out of a group: one in versions 0 to 2
// (MemberID), many in 3+ (Members).
type LeaveGroupRequest struct {
	GroupID  string
	MemberID string                    // 0 to 2
	Members  []LeaveGroupRequestMember // 3+
}

// LeaveGroupRequestMember is one leaving member, by either ID.
type LeaveGroupRequestMember struct {
	MemberID        string
	GroupInstanceID *string
	Reason          *string // 5+
}

// Key returns KeyLeaveGroup.
func (*LeaveGroupRequest) Key() Key { return KeyLeaveGroup }

// Default sets Kafka's defaults.
func (r *LeaveGroupRequest) Default() { *r = LeaveGroupRequest{} }

func (r *LeaveGroupRequest) visit(v *visitor) {
	v.str(&r.GroupID)
	if v.version <= 2 {
		v.str(&r.MemberID)
	} else {
		array(v, &r.Members, 3, (*LeaveGroupRequestMember).visit)
	}
	v.tags()
}

func (m *LeaveGroupRequestMember) visit(v *visitor) {
	v.str(&m.MemberID)
	v.nullStr(&m.GroupInstanceID)
	if v.version >= 5 {
		v.nullStr(&m.Reason)
	}
	v.tags()
}

// LeaveGroupResponse answers a LeaveGroupRequest.
type LeaveGroupResponse struct {
	ThrottleTimeMs int32 // 1+
	ErrorCode      ErrorCode
	Members        []LeaveGroupResponseMember // 3+
}

// LeaveGroupResponseMember is what became of one member.
type LeaveGroupResponseMember struct {
	MemberID        string
	GroupInstanceID *string
	ErrorCode       ErrorCode
}

// Key returns KeyLeaveGroup.
func (*LeaveGroupResponse) Key() Key { return KeyLeaveGroup }

// Default sets Kafka's defaults.
func (r *LeaveGroupResponse) Default() { *r = LeaveGroupResponse{} }

func (r *LeaveGroupResponse) visit(v *visitor) {
	if v.version >= 1 {
		v.int32(&r.ThrottleTimeMs)
	}
	v.code(&r.ErrorCode)
	if v.version >= 3 {
		array(v, &r.Members, 5, (*LeaveGroupResponseMember).visit)
	}
	v.tags()
}

func (m *LeaveGroupResponseMember) visit(v *visitor) {
	v.str(&m.MemberID)
	v.nullStr(&m.GroupInstanceID)
	v.code(&m.ErrorCode)
	v.tags()
}
