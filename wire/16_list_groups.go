package wire

// ListGroupsRequest asks a broker for the groups that it coordinates. Empty
// filters let all pass.
type ListGroupsRequest struct {
	StatesFilter []string // 4+; Kafka's words, whatever their case (KIP-518)
	TypesFilter  []string // 5+; "classic", "consumer", "share", whatever their case (KIP-848)
}

// Key returns KeyListGroups.
func (*ListGroupsRequest) Key() Key { return KeyListGroups }

// Default sets Kafka's defaults.
func (r *ListGroupsRequest) Default() { *r = ListGroupsRequest{} }

func (r *ListGroupsRequest) visit(v *visitor) {
	if v.version >= 4 {
		v.strs(&r.StatesFilter)
	}
	if v.version >= 5 {
		v.strs(&r.TypesFilter)
	}
	v.tags()
}

// ListGroupsResponse answers a ListGroupsRequest.
type ListGroupsResponse struct {
	ThrottleTimeMs int32 // 1+
	ErrorCode      ErrorCode
	Groups         []ListGroupsResponseGroup
}

// ListGroupsResponseGroup is one group.
type ListGroupsResponseGroup struct {
	GroupID      string
	ProtocolType string
	GroupState   string // 4+
	GroupType    string // 5+
}

// Key returns KeyListGroups.
func (*ListGroupsResponse) Key() Key { return KeyListGroups }

// Default sets Kafka's defaults.
func (r *ListGroupsResponse) Default() { *r = ListGroupsResponse{} }

func (r *ListGroupsResponse) visit(v *visitor) {
	if v.version >= 1 {
		v.int32(&r.ThrottleTimeMs)
	}
	v.code(&r.ErrorCode)
	array(v, &r.Groups, 3, (*ListGroupsResponseGroup).visit)
	v.tags()
}

func (g *ListGroupsResponseGroup) visit(v *visitor) {
	v.str(&g.GroupID)
	v.str(&g.ProtocolType)
	if v.version >= 4 {
		v.str(&g.GroupState)
	}
	if v.version >= 5 {
		v.str(&g.GroupType)
	}
	v.tags()
}
