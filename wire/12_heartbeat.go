package wire

// HeartbeatRequest keeps a member in its group.
type HeartbeatRequest struct {
	GroupID         string
	GenerationID    int32
	MemberID        string
	GroupInstanceID *string // 3+
}

// Key returns KeyHeartbeat.
func (*HeartbeatRequest) Key() Key { return KeyHeartbeat }

// Default sets Kafka's defaults.
func (r *HeartbeatRequest) Default() { *r = HeartbeatRequest{} }

func (r *HeartbeatRequest) visit(v *visitor) {
	v.str(&r.GroupID)
	v.int32(&r.GenerationID)
	v.str(&r.MemberID)
	if v.version >= 3 {
		v.nullStr(&r.GroupInstanceID)
	}
	v.tags()
}

// HeartbeatResponse answers a HeartbeatRequest.
type HeartbeatResponse struct {
	ThrottleTimeMs int32 // 1+
	ErrorCode      ErrorCode
}

// Key returns KeyHeartbeat.
func (*HeartbeatResponse) Key() Key { return KeyHeartbeat }

// Default sets Kafka's defaults.
func (r *HeartbeatResponse) Default() { *r = HeartbeatResponse{} }

func (r *HeartbeatResponse) visit(v *visitor) {
	if v.version >= 1 {
		v.int32(&r.ThrottleTimeMs)
	}
	v.code(&r.ErrorCode)
	v.tags()
}
