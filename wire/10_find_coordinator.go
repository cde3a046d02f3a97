package wire

// What a FindCoordinatorRequest's KeyType says its keys are.
const (
	CoordinatorGroup       = 0
	CoordinatorTransaction = 1
	CoordinatorShare       = 2 // 6+ (KIP-932)
)

// FindCoordinatorRequest asks which broker coordinates a group or transaction.
// Versions 0 to 3 ask for one key, 4 on for many (KIP-699).
type FindCoordinatorRequest struct {
	CoordinatorKey  string   // 0 to 3; Kafka's Key
	KeyType         int8     // 1+; a group before
	CoordinatorKeys []string // 4+
}

// Key returns KeyFindCoordinator.
func (*FindCoordinatorRequest) Key() Key { return KeyFindCoordinator }

// Default sets Kafka's defaults.
func (r *FindCoordinatorRequest) Default() { *r = FindCoordinatorRequest{} }

func (r *FindCoordinatorRequest) visit(v *visitor) {
	if v.version <= 3 {
		v.str(&r.CoordinatorKey)
	}
	if v.version >= 1 {
		v.int8(&r.KeyType)
	}
	if v.version >= 4 {
		v.strs(&r.CoordinatorKeys)
	}
	v.tags()
}

// FindCoordinatorResponse answers a FindCoordinatorRequest, in the shape of its
// version.
type FindCoordinatorResponse struct {
	ThrottleTimeMs int32     // 1+
	ErrorCode      ErrorCode // 0 to 3
	ErrorMessage   *string   // 1 to 3
	NodeID         int32     // 0 to 3
	Host           string    // 0 to 3
	Port           int32     // 0 to 3
	Coordinators   []FindCoordinatorResponseCoordinator
}

// FindCoordinatorResponseCoordinator answers for one key, 4+.
type FindCoordinatorResponseCoordinator struct {
	Key          string
	NodeID       int32
	Host         string
	Port         int32
	ErrorCode    ErrorCode
	ErrorMessage *string
}

// Key returns KeyFindCoordinator.
func (*FindCoordinatorResponse) Key() Key { return KeyFindCoordinator }

// Default sets Kafka's defaults.
func (r *FindCoordinatorResponse) Default() { *r = FindCoordinatorResponse{} }

func (r *FindCoordinatorResponse) visit(v *visitor) {
	if v.version >= 1 {
		v.int32(&r.ThrottleTimeMs)
	}
	if v.version >= 4 {
		array(v, &r.Coordinators, 14, (*FindCoordinatorResponseCoordinator).visit)
		v.tags()
		return
	}
	v.code(&r.ErrorCode)
	if v.version >= 1 {
		v.nullStr(&r.ErrorMessage)
	}
	v.int32(&r.NodeID)
	v.str(&r.Host)
	v.int32(&r.Port)
	v.tags()
}

func (c *FindCoordinatorResponseCoordinator) visit(v *visitor) {
	v.str(&c.Key)
	v.int32(&c.NodeID)
	v.str(&c.Host)
	v.int32(&c.Port)
	v.code(&c.ErrorCode)
	v.nullStr(&c.ErrorMessage)
	v.tags()
}
