package wire

// AlterClientQuotasRequest changes quotas (KIP-546).
type AlterClientQuotasRequest struct {
	Entries      []AlterClientQuotasRequestEntry
	ValidateOnly bool
}

// AlterClientQuotasRequestEntry changes the quotas of one entity.
type AlterClientQuotasRequestEntry struct {
	Entity []AlterClientQuotasRequestEntity
	Ops    []AlterClientQuotasRequestOp
}

// AlterClientQuotasRequestEntity is one component of an entity.
type AlterClientQuotasRequestEntity struct {
	EntityType string
	EntityName *string // nil is the default
}

// AlterClientQuotasRequestOp sets or removes one quota.
type AlterClientQuotasRequestOp struct {
	Key    string
	Value  float64
	Remove bool // Value does not matter then
}

// Key returns KeyAlterClientQuotas.
func (*AlterClientQuotasRequest) Key() Key { return KeyAlterClientQuotas }

// Default sets Kafka's defaults.
func (r *AlterClientQuotasRequest) Default() { *r = AlterClientQuotasRequest{} }

func (r *AlterClientQuotasRequest) visit(v *visitor) {
	array(v, &r.Entries, 3, (*AlterClientQuotasRequestEntry).visit)
	v.boolean(&r.ValidateOnly)
	v.tags()
}

func (e *AlterClientQuotasRequestEntry) visit(v *visitor) {
	array(v, &e.Entity, 3, (*AlterClientQuotasRequestEntity).visit)
	array(v, &e.Ops, 11, (*AlterClientQuotasRequestOp).visit)
	v.tags()
}

func (e *AlterClientQuotasRequestEntity) visit(v *visitor) {
	v.str(&e.EntityType)
	v.nullStr(&e.EntityName)
	v.tags()
}

func (o *AlterClientQuotasRequestOp) visit(v *visitor) {
	v.str(&o.Key)
	v.float64(&o.Value)
	v.boolean(&o.Remove)
	v.tags()
}

// AlterClientQuotasResponse answers an AlterClientQuotasRequest.
type AlterClientQuotasResponse struct {
	ThrottleTimeMs int32
	Entries        []AlterClientQuotasResponseEntry
}

// AlterClientQuotasResponseEntry is what became of one entity.
type AlterClientQuotasResponseEntry struct {
	ErrorCode    ErrorCode
	ErrorMessage *string
	Entity       []AlterClientQuotasResponseEntity
}

// AlterClientQuotasResponseEntity is one component of an entity.
type AlterClientQuotasResponseEntity struct {
	EntityType string
	EntityName *string
}

// Key returns KeyAlterClientQuotas.
func (*AlterClientQuotasResponse) Key() Key { return KeyAlterClientQuotas }

// Default sets Kafka's defaults.
func (r *AlterClientQuotasResponse) Default() { *r = AlterClientQuotasResponse{} }

func (r *AlterClientQuotasResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Entries, 5, (*AlterClientQuotasResponseEntry).visit)
	v.tags()
}

func (e *AlterClientQuotasResponseEntry) visit(v *visitor) {
	v.code(&e.ErrorCode)
	v.nullStr(&e.ErrorMessage)
	array(v, &e.Entity, 3, (*AlterClientQuotasResponseEntity).visit)
	v.tags()
}

func (e *AlterClientQuotasResponseEntity) visit(v *visitor) {
	v.str(&e.EntityType)
	v.nullStr(&e.EntityName)
	v.tags()
}
