package wire

// CreateACLsRequest adds ACLs.
type CreateACLsRequest struct {
	Creations []CreateACLsRequestCreation
}

// CreateACLsRequestCreation is one ACL to add. Kafka calls PatternType
// ResourcePatternType.
type CreateACLsRequestCreation struct {
	ResourceType   int8
	ResourceName   string
	PatternType    int8
	Principal      string
	Host           string
	Operation      int8
	PermissionType int8
}

// Key returns KeyCreateACLs.
func (*CreateACLsRequest) Key() Key { return KeyCreateACLs }

// Default sets Kafka's defaults.
func (r *CreateACLsRequest) Default() { *r = CreateACLsRequest{} }

func (r *CreateACLsRequest) visit(v *visitor) {
	array(v, &r.Creations, 8, (*CreateACLsRequestCreation).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (c *CreateACLsRequestCreation) Default() {
	*c = CreateACLsRequestCreation{PatternType: ACLPatternLiteral}
}

func (c *CreateACLsRequestCreation) visit(v *visitor) {
	if v.decoding {
		c.Default()
	}
	v.int8(&c.ResourceType)
	v.str(&c.ResourceName)
	v.int8(&c.PatternType)
	v.str(&c.Principal)
	v.str(&c.Host)
	v.int8(&c.Operation)
	v.int8(&c.PermissionType)
	v.tags()
}

// CreateACLsResponse answers a CreateACLsRequest.
type CreateACLsResponse struct {
	ThrottleTimeMs int32
	Results        []CreateACLsResponseResult // in the order of Creations
}

// CreateACLsResponseResult is what became of one ACL.
type CreateACLsResponseResult struct {
	ErrorCode    ErrorCode
	ErrorMessage *string
}

// Key returns KeyCreateACLs.
func (*CreateACLsResponse) Key() Key { return KeyCreateACLs }

// Default sets Kafka's defaults.
func (r *CreateACLsResponse) Default() { *r = CreateACLsResponse{} }

func (r *CreateACLsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Results, 4, (*CreateACLsResponseResult).visit)
	v.tags()
}

func (r *CreateACLsResponseResult) visit(v *visitor) {
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	v.tags()
}
