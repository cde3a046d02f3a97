package wire

// DescribeGroupsRequest asks a coordinator for groups of the classic protocol, with
// their members.
type DescribeGroupsRequest struct {
	Groups                      []string
	IncludeAuthorizedOperations bool // 3+
}

// Key returns KeyDescribeGroups.
func (*DescribeGroupsRequest) Key() Key { return KeyDescribeGroups }

// Default sets Kafka's defaults.
func (r *DescribeGroupsRequest) Default() { *r = DescribeGroupsRequest{} }

func (r *DescribeGroupsRequest) visit(v *visitor) {
	v.strs(&r.Groups)
	if v.version >= 3 {
		v.boolean(&r.IncludeAuthorizedOperations)
	}
	v.tags()
}

// DescribeGroupsResponse answers a DescribeGroupsRequest.
type DescribeGroupsResponse struct {
	ThrottleTimeMs int32 // 1+
	Groups         []DescribeGroupsResponseGroup
}

// DescribeGroupsResponseGroup is one group. GroupState is one of Kafka's words:
// PreparingRebalance, CompletingRebalance, Stable, Dead, Empty.
type DescribeGroupsResponseGroup struct {
	ErrorCode            ErrorCode // from 6 on GROUP_ID_NOT_FOUND for a group that is not there; before, it is Dead (KIP-1043)
	ErrorMessage         *string   // 6+
	GroupID              string
	GroupState           string
	ProtocolType         string // "consumer", "connect", "sr", ...: free text
	ProtocolData         string // the protocol that was agreed on
	Members              []DescribeGroupsResponseMember
	AuthorizedOperations int32 // 3+; a bit field
}

// DescribeGroupsResponseMember is one member of a group.
type DescribeGroupsResponseMember struct {
	MemberID         string
	GroupInstanceID  *string // 4+
	ClientID         string
	ClientHost       string
	MemberMetadata   []byte // of the agreed protocol; opaque; a view when decoded
	MemberAssignment []byte // opaque; a view when decoded
}

// Key returns KeyDescribeGroups.
func (*DescribeGroupsResponse) Key() Key { return KeyDescribeGroups }

// Default sets Kafka's defaults.
func (r *DescribeGroupsResponse) Default() { *r = DescribeGroupsResponse{} }

func (r *DescribeGroupsResponse) visit(v *visitor) {
	if v.version >= 1 {
		v.int32(&r.ThrottleTimeMs)
	}
	array(v, &r.Groups, 12, (*DescribeGroupsResponseGroup).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (g *DescribeGroupsResponseGroup) Default() {
	*g = DescribeGroupsResponseGroup{AuthorizedOperations: NoAuthorizedOperations}
}

func (g *DescribeGroupsResponseGroup) visit(v *visitor) {
	if v.decoding {
		g.Default()
	}
	v.code(&g.ErrorCode)
	if v.version >= 6 {
		v.nullStr(&g.ErrorMessage)
	}
	v.str(&g.GroupID)
	v.str(&g.GroupState)
	v.str(&g.ProtocolType)
	v.str(&g.ProtocolData)
	array(v, &g.Members, 7, (*DescribeGroupsResponseMember).visit)
	if v.version >= 3 {
		v.int32(&g.AuthorizedOperations)
	}
	v.tags()
}

func (m *DescribeGroupsResponseMember) visit(v *visitor) {
	v.str(&m.MemberID)
	if v.version >= 4 {
		v.nullStr(&m.GroupInstanceID)
	}
	v.str(&m.ClientID)
	v.str(&m.ClientHost)
	v.bytes(&m.MemberMetadata)
	v.bytes(&m.MemberAssignment)
	v.tags()
}
