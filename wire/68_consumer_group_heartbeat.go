package wire

// What a ConsumerGroupHeartbeatRequest's MemberEpoch says besides an epoch.
const (
	MemberEpochJoin        = 0
	MemberEpochLeave       = -1
	MemberEpochLeaveStatic = -2 // a static member that means to come back
)

// ConsumerGroupHeartbeatRequest is all that a member of a group of KIP-848 says:
// it joins, stays, leaves, and reports what it has. After the first one, fields
// that have not changed are left out: nil, or -1 for the timeout.
type ConsumerGroupHeartbeatRequest struct {
	GroupID              string
	MemberID             string // the client's own choice from 1 on; "" in 0 when it joins
	MemberEpoch          int32  // the last one that was answered, or MemberEpochJoin and so on
	InstanceID           *string
	RackID               *string
	RebalanceTimeoutMs   int32
	SubscribedTopicNames []string
	SubscribedTopicRegex *string                              // 1+; of RE2; "" is none
	ServerAssignor       *string                              // nil for the group's own choice
	Topics               []ConsumerGroupHeartbeatRequestTopic // owned; Kafka's TopicPartitions
}

// ConsumerGroupHeartbeatRequestTopic is partitions of one topic that the member
// owns.
type ConsumerGroupHeartbeatRequestTopic struct {
	TopicID    UUID
	Partitions []int32
}

// Key returns KeyConsumerGroupHeartbeat.
func (*ConsumerGroupHeartbeatRequest) Key() Key { return KeyConsumerGroupHeartbeat }

// Default sets Kafka's defaults.
func (r *ConsumerGroupHeartbeatRequest) Default() {
	*r = ConsumerGroupHeartbeatRequest{RebalanceTimeoutMs: -1}
}

func (r *ConsumerGroupHeartbeatRequest) visit(v *visitor) {
	v.str(&r.GroupID)
	v.str(&r.MemberID)
	v.int32(&r.MemberEpoch)
	v.nullStr(&r.InstanceID)
	v.nullStr(&r.RackID)
	v.int32(&r.RebalanceTimeoutMs)
	v.nullStrs(&r.SubscribedTopicNames)
	if v.version >= 1 {
		v.nullStr(&r.SubscribedTopicRegex)
	}
	v.nullStr(&r.ServerAssignor)
	nullArray(v, &r.Topics, 18, (*ConsumerGroupHeartbeatRequestTopic).visit)
	v.tags()
}

func (t *ConsumerGroupHeartbeatRequestTopic) visit(v *visitor) {
	v.uuid(&t.TopicID)
	v.int32s(&t.Partitions)
	v.tags()
}

// ConsumerGroupHeartbeatResponse answers a ConsumerGroupHeartbeatRequest.
type ConsumerGroupHeartbeatResponse struct {
	ThrottleTimeMs      int32
	ErrorCode           ErrorCode
	ErrorMessage        *string
	MemberID            *string // if the coordinator chose it
	MemberEpoch         int32
	HeartbeatIntervalMs int32
	Assignment          *ConsumerGroupHeartbeatResponseAssignment // nil if it has not changed
}

// ConsumerGroupHeartbeatResponseAssignment is all that the member may read now.
type ConsumerGroupHeartbeatResponseAssignment struct {
	Topics []ConsumerGroupHeartbeatResponseTopic // Kafka's TopicPartitions
}

// ConsumerGroupHeartbeatResponseTopic is partitions of one topic.
type ConsumerGroupHeartbeatResponseTopic struct {
	TopicID    UUID
	Partitions []int32
}

// Key returns KeyConsumerGroupHeartbeat.
func (*ConsumerGroupHeartbeatResponse) Key() Key { return KeyConsumerGroupHeartbeat }

// Default sets Kafka's defaults.
func (r *ConsumerGroupHeartbeatResponse) Default() { *r = ConsumerGroupHeartbeatResponse{} }

func (r *ConsumerGroupHeartbeatResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	v.nullStr(&r.MemberID)
	v.int32(&r.MemberEpoch)
	v.int32(&r.HeartbeatIntervalMs)
	nullStruct(v, &r.Assignment, (*ConsumerGroupHeartbeatResponseAssignment).visit)
	v.tags()
}

func (a *ConsumerGroupHeartbeatResponseAssignment) visit(v *visitor) {
	array(v, &a.Topics, 18, (*ConsumerGroupHeartbeatResponseTopic).visit)
	v.tags()
}

func (t *ConsumerGroupHeartbeatResponseTopic) visit(v *visitor) {
	v.uuid(&t.TopicID)
	v.int32s(&t.Partitions)
	v.tags()
}
