package wire

// What a DescribeClientQuotasRequest's MatchType asks for.
const (
	QuotaMatchExact     = 0 // the entity with the name Match
	QuotaMatchDefault   = 1
	QuotaMatchSpecified = 2 // any entity that has a name or is the default
)

// DescribeClientQuotasRequest asks for quotas (KIP-546).
type DescribeClientQuotasRequest struct {
	Components []DescribeClientQuotasRequestComponent // all must hold
	Strict     bool                                   // leave out entities with further components
}

// DescribeClientQuotasRequestComponent is one condition.
type DescribeClientQuotasRequestComponent struct {
	EntityType string // "user", "client-id" or "ip"
	MatchType  int8
	Match      *string // nil unless MatchType is QuotaMatchExact
}

// Key returns KeyDescribeClientQuotas.
func (*DescribeClientQuotasRequest) Key() Key { return KeyDescribeClientQuotas }

// Default sets Kafka's defaults.
func (r *DescribeClientQuotasRequest) Default() { *r = DescribeClientQuotasRequest{} }

func (r *DescribeClientQuotasRequest) visit(v *visitor) {
	array(v, &r.Components, 4, (*DescribeClientQuotasRequestComponent).visit)
	v.boolean(&r.Strict)
	v.tags()
}

func (c *DescribeClientQuotasRequestComponent) visit(v *visitor) {
	v.str(&c.EntityType)
	v.int8(&c.MatchType)
	v.nullStr(&c.Match)
	v.tags()
}

// DescribeClientQuotasResponse answers a DescribeClientQuotasRequest.
type DescribeClientQuotasResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode
	ErrorMessage   *string
	Entries        []DescribeClientQuotasResponseEntry // nil on error
}

// DescribeClientQuotasResponseEntry is the quotas of one entity.
type DescribeClientQuotasResponseEntry struct {
	Entity []DescribeClientQuotasResponseEntity
	Values []DescribeClientQuotasResponseValue
}

// DescribeClientQuotasResponseEntity is one component of an entity.
type DescribeClientQuotasResponseEntity struct {
	EntityType string
	EntityName *string // nil is the default
}

// DescribeClientQuotasResponseValue is one quota.
type DescribeClientQuotasResponseValue struct {
	Key   string // "producer_byte_rate" and so on
	Value float64
}

// Key returns KeyDescribeClientQuotas.
func (*DescribeClientQuotasResponse) Key() Key { return KeyDescribeClientQuotas }

// Default sets Kafka's defaults.
func (r *DescribeClientQuotasResponse) Default() { *r = DescribeClientQuotasResponse{} }

func (r *DescribeClientQuotasResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	nullArray(v, &r.Entries, 3, (*DescribeClientQuotasResponseEntry).visit)
	v.tags()
}

func (e *DescribeClientQuotasResponseEntry) visit(v *visitor) {
	array(v, &e.Entity, 3, (*DescribeClientQuotasResponseEntity).visit)
	array(v, &e.Values, 10, (*DescribeClientQuotasResponseValue).visit)
	v.tags()
}

func (e *DescribeClientQuotasResponseEntity) visit(v *visitor) {
	v.str(&e.EntityType)
	v.nullStr(&e.EntityName)
	v.tags()
}

func (e *DescribeClientQuotasResponseValue) visit(v *visitor) {
	v.str(&e.Key)
	v.float64(&e.Value)
	v.tags()
}
