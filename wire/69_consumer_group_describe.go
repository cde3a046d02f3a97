package wire

// What a ConsumerGroupDescribeResponseMember's MemberType says. A member of the
// classic protocol is in a group that is moving from one to the other.
const (
	MemberTypeUnknown  = -1
	MemberTypeClassic  = 0
	MemberTypeConsumer = 1
)

// ConsumerGroupDescribeRequest asks a coordinator for groups of KIP-848, with
// their members. A classic group is answered GROUP_ID_NOT_FOUND, upon which
// clients try DescribeGroups.
type ConsumerGroupDescribeRequest struct {
	GroupIDs                    []string
	IncludeAuthorizedOperations bool
}

// Key returns KeyConsumerGroupDescribe.
func (*ConsumerGroupDescribeRequest) Key() Key { return KeyConsumerGroupDescribe }

// Default sets Kafka's defaults.
func (r *ConsumerGroupDescribeRequest) Default() { *r = ConsumerGroupDescribeRequest{} }

func (r *ConsumerGroupDescribeRequest) visit(v *visitor) {
	v.strs(&r.GroupIDs)
	v.boolean(&r.IncludeAuthorizedOperations)
	v.tags()
}

// ConsumerGroupDescribeResponse answers a ConsumerGroupDescribeRequest.
type ConsumerGroupDescribeResponse struct {
	ThrottleTimeMs int32
	Groups         []ConsumerGroupDescribeResponseGroup
}

// ConsumerGroupDescribeResponseGroup is one group. GroupState is one of Kafka's
// words: Empty, Assigning, Reconciling, Stable, Dead.
type ConsumerGroupDescribeResponseGroup struct {
	ErrorCode            ErrorCode
	ErrorMessage         *string
	GroupID              string
	GroupState           string
	GroupEpoch           int32
	AssignmentEpoch      int32
	AssignorName         string
	Members              []ConsumerGroupDescribeResponseMember
	AuthorizedOperations int32 // a bit field
}

// ConsumerGroupDescribeResponseMember is one member of a group.
type ConsumerGroupDescribeResponseMember struct {
	MemberID             string
	InstanceID           *string
	RackID               *string
	MemberEpoch          int32
	ClientID             string
	ClientHost           string
	SubscribedTopicNames []string
	SubscribedTopicRegex *string
	Assignment           ConsumerGroupDescribeResponseAssignment // what it has
	TargetAssignment     ConsumerGroupDescribeResponseAssignment // what it is to have
	MemberType           int8                                    // 1+
}

// ConsumerGroupDescribeResponseAssignment is partitions given to a member.
type ConsumerGroupDescribeResponseAssignment struct {
	Topics []ConsumerGroupDescribeResponseTopic // Kafka's TopicPartitions
}

// ConsumerGroupDescribeResponseTopic is partitions of one topic. Kafka calls Name
// TopicName.
type ConsumerGroupDescribeResponseTopic struct {
	TopicID    UUID
	Name       string
	Partitions []int32
}

// Key returns KeyConsumerGroupDescribe.
func (*ConsumerGroupDescribeResponse) Key() Key { return KeyConsumerGroupDescribe }

// Default sets Kafka's defaults.
func (r *ConsumerGroupDescribeResponse) Default() { *r = ConsumerGroupDescribeResponse{} }

func (r *ConsumerGroupDescribeResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Groups, 20, (*ConsumerGroupDescribeResponseGroup).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (g *ConsumerGroupDescribeResponseGroup) Default() {
	*g = ConsumerGroupDescribeResponseGroup{AuthorizedOperations: NoAuthorizedOperations}
}

func (g *ConsumerGroupDescribeResponseGroup) visit(v *visitor) {
	if v.decoding {
		g.Default()
	}
	v.code(&g.ErrorCode)
	v.nullStr(&g.ErrorMessage)
	v.str(&g.GroupID)
	v.str(&g.GroupState)
	v.int32(&g.GroupEpoch)
	v.int32(&g.AssignmentEpoch)
	v.str(&g.AssignorName)
	array(v, &g.Members, 16, (*ConsumerGroupDescribeResponseMember).visit)
	v.int32(&g.AuthorizedOperations)
	v.tags()
}

// Default sets Kafka's defaults.
func (m *ConsumerGroupDescribeResponseMember) Default() {
	*m = ConsumerGroupDescribeResponseMember{MemberType: MemberTypeUnknown}
}

func (m *ConsumerGroupDescribeResponseMember) visit(v *visitor) {
	if v.decoding {
		m.Default()
	}
	v.str(&m.MemberID)
	v.nullStr(&m.InstanceID)
	v.nullStr(&m.RackID)
	v.int32(&m.MemberEpoch)
	v.str(&m.ClientID)
	v.str(&m.ClientHost)
	v.strs(&m.SubscribedTopicNames)
	v.nullStr(&m.SubscribedTopicRegex)
	m.Assignment.visit(v)
	m.TargetAssignment.visit(v)
	if v.version >= 1 {
		v.int8(&m.MemberType)
	}
	v.tags()
}

func (a *ConsumerGroupDescribeResponseAssignment) visit(v *visitor) {
	array(v, &a.Topics, 19, (*ConsumerGroupDescribeResponseTopic).visit)
	v.tags()
}

func (t *ConsumerGroupDescribeResponseTopic) visit(v *visitor) {
	v.uuid(&t.TopicID)
	v.str(&t.Name)
	v.int32s(&t.Partitions)
	v.tags()
}
