package wire

// What the fields of ACLs say (KIP-140, KIP-290). In filters the Any ones match
// everything; ACLPatternMatch matches what would apply to the named resource.
const (
	ACLResourceAny             = 1
	ACLResourceTopic           = 2
	ACLResourceGroup           = 3
	ACLResourceCluster         = 4
	ACLResourceTransactionalID = 5
	ACLResourceDelegationToken = 6
	ACLResourceUser            = 7

	ACLPatternAny      = 1
	ACLPatternMatch    = 2
	ACLPatternLiteral  = 3
	ACLPatternPrefixed = 4

	ACLOperationAny             = 1
	ACLOperationAll             = 2
	ACLOperationRead            = 3
	ACLOperationWrite           = 4
	ACLOperationCreate          = 5
	ACLOperationDelete          = 6
	ACLOperationAlter           = 7
	ACLOperationDescribe        = 8
	ACLOperationClusterAction   = 9
	ACLOperationDescribeConfigs = 10
	ACLOperationAlterConfigs    = 11
	ACLOperationIdempotentWrite = 12
	ACLOperationCreateTokens    = 13
	ACLOperationDescribeTokens  = 14
	ACLOperationTwoPhaseCommit  = 15

	ACLPermissionAny   = 1
	ACLPermissionDeny  = 2
	ACLPermissionAllow = 3
)

// DescribeACLsRequest asks for the ACLs that a filter matches. Kafka calls the
// first three fields and the two after them XFilter.
type DescribeACLsRequest struct {
	ResourceType   int8
	ResourceName   *string // nil matches any
	PatternType    int8
	Principal      *string // nil matches any
	Host           *string // nil matches any
	Operation      int8
	PermissionType int8
}

// Key returns KeyDescribeACLs.
func (*DescribeACLsRequest) Key() Key { return KeyDescribeACLs }

// Default sets Kafka's defaults.
func (r *DescribeACLsRequest) Default() { *r = DescribeACLsRequest{PatternType: ACLPatternLiteral} }

func (r *DescribeACLsRequest) visit(v *visitor) {
	v.int8(&r.ResourceType)
	v.nullStr(&r.ResourceName)
	v.int8(&r.PatternType)
	v.nullStr(&r.Principal)
	v.nullStr(&r.Host)
	v.int8(&r.Operation)
	v.int8(&r.PermissionType)
	v.tags()
}

// DescribeACLsResponse answers a DescribeACLsRequest.
type DescribeACLsResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode
	ErrorMessage   *string
	Resources      []DescribeACLsResponseResource
}

// DescribeACLsResponseResource is the ACLs of one resource.
type DescribeACLsResponseResource struct {
	ResourceType int8
	ResourceName string
	PatternType  int8
	ACLs         []DescribeACLsResponseACL
}

// DescribeACLsResponseACL is one ACL.
type DescribeACLsResponseACL struct {
	Principal      string // "User:alice"
	Host           string // "*" is any
	Operation      int8
	PermissionType int8
}

// Key returns KeyDescribeACLs.
func (*DescribeACLsResponse) Key() Key { return KeyDescribeACLs }

// Default sets Kafka's defaults.
func (r *DescribeACLsResponse) Default() { *r = DescribeACLsResponse{} }

func (r *DescribeACLsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	array(v, &r.Resources, 5, (*DescribeACLsResponseResource).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (r *DescribeACLsResponseResource) Default() {
	*r = DescribeACLsResponseResource{PatternType: ACLPatternLiteral}
}

func (r *DescribeACLsResponseResource) visit(v *visitor) {
	if v.decoding {
		r.Default()
	}
	v.int8(&r.ResourceType)
	v.str(&r.ResourceName)
	v.int8(&r.PatternType)
	array(v, &r.ACLs, 5, (*DescribeACLsResponseACL).visit)
	v.tags()
}

func (a *DescribeACLsResponseACL) visit(v *visitor) {
	v.str(&a.Principal)
	v.str(&a.Host)
	v.int8(&a.Operation)
	v.int8(&a.PermissionType)
	v.tags()
}
