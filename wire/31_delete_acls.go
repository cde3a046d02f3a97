package wire

// DeleteACLsRequest deletes the ACLs that filters match.
type DeleteACLsRequest struct {
	Filters []DeleteACLsRequestFilter
}

// DeleteACLsRequestFilter is one filter, with the fields of a DescribeACLsRequest.
type DeleteACLsRequestFilter struct {
	ResourceType   int8
	ResourceName   *string
	PatternType    int8
	Principal      *string
	Host           *string
	Operation      int8
	PermissionType int8
}

// Key returns KeyDeleteACLs.
func (*DeleteACLsRequest) Key() Key { return KeyDeleteACLs }

// Default sets Kafka's defaults.
func (r *DeleteACLsRequest) Default() { *r = DeleteACLsRequest{} }

func (r *DeleteACLsRequest) visit(v *visitor) {
	array(v, &r.Filters, 8, (*DeleteACLsRequestFilter).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (f *DeleteACLsRequestFilter) Default() {
	*f = DeleteACLsRequestFilter{PatternType: ACLPatternLiteral}
}

func (f *DeleteACLsRequestFilter) visit(v *visitor) {
	if v.decoding {
		f.Default()
	}
	v.int8(&f.ResourceType)
	v.nullStr(&f.ResourceName)
	v.int8(&f.PatternType)
	v.nullStr(&f.Principal)
	v.nullStr(&f.Host)
	v.int8(&f.Operation)
	v.int8(&f.PermissionType)
	v.tags()
}

// DeleteACLsResponse answers a DeleteACLsRequest.
type DeleteACLsResponse struct {
	ThrottleTimeMs int32
	Results        []DeleteACLsResponseResult // in the order of Filters; Kafka's FilterResults
}

// DeleteACLsResponseResult is what became of one filter.
type DeleteACLsResponseResult struct {
	ErrorCode    ErrorCode
	ErrorMessage *string
	MatchingACLs []DeleteACLsResponseACL
}

// DeleteACLsResponseACL is one ACL that was deleted, or could not be.
type DeleteACLsResponseACL struct {
	ErrorCode      ErrorCode
	ErrorMessage   *string
	ResourceType   int8
	ResourceName   string
	PatternType    int8
	Principal      string
	Host           string
	Operation      int8
	PermissionType int8
}

// Key returns KeyDeleteACLs.
func (*DeleteACLsResponse) Key() Key { return KeyDeleteACLs }

// Default sets Kafka's defaults.
func (r *DeleteACLsResponse) Default() { *r = DeleteACLsResponse{} }

func (r *DeleteACLsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Results, 5, (*DeleteACLsResponseResult).visit)
	v.tags()
}

func (r *DeleteACLsResponseResult) visit(v *visitor) {
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	array(v, &r.MatchingACLs, 11, (*DeleteACLsResponseACL).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (a *DeleteACLsResponseACL) Default() {
	*a = DeleteACLsResponseACL{PatternType: ACLPatternLiteral}
}

func (a *DeleteACLsResponseACL) visit(v *visitor) {
	if v.decoding {
		a.Default()
	}
	v.code(&a.ErrorCode)
	v.nullStr(&a.ErrorMessage)
	v.int8(&a.ResourceType)
	v.str(&a.ResourceName)
	v.int8(&a.PatternType)
	v.str(&a.Principal)
	v.str(&a.Host)
	v.int8(&a.Operation)
	v.int8(&a.PermissionType)
	v.tags()
}
