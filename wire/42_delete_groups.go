package wire

// DeleteGroupsRequest deletes groups that have no members, with their offsets.
type DeleteGroupsRequest struct {
	GroupIDs []string // Kafka's GroupsNames
}

// Key returns KeyDeleteGroups.
func (*DeleteGroupsRequest) Key() Key { return KeyDeleteGroups }

// Default sets Kafka's defaults.
func (r *DeleteGroupsRequest) Default() { *r = DeleteGroupsRequest{} }

func (r *DeleteGroupsRequest) visit(v *visitor) {
	v.strs(&r.GroupIDs)
	v.tags()
}

// DeleteGroupsResponse answers a DeleteGroupsRequest.
type DeleteGroupsResponse struct {
	ThrottleTimeMs int32
	Results        []DeleteGroupsResponseResult
}

// DeleteGroupsResponseResult is what became of one group.
type DeleteGroupsResponseResult struct {
	GroupID   string
	ErrorCode ErrorCode
}

// Key returns KeyDeleteGroups.
func (*DeleteGroupsResponse) Key() Key { return KeyDeleteGroups }

// Default sets Kafka's defaults.
func (r *DeleteGroupsResponse) Default() { *r = DeleteGroupsResponse{} }

func (r *DeleteGroupsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Results, 4, (*DeleteGroupsResponseResult).visit)
	v.tags()
}

func (r *DeleteGroupsResponseResult) visit(v *visitor) {
	v.str(&r.GroupID)
	v.code(&r.ErrorCode)
	v.tags()
}
