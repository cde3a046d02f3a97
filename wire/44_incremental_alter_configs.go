package wire

// What an IncrementalAlterConfigsRequest does to a config; the last two are for
// lists.
const (
	ConfigOperationSet      = 0
	ConfigOperationDelete   = 1
	ConfigOperationAppend   = 2
	ConfigOperationSubtract = 3
)

// IncrementalAlterConfigsRequest changes single configs of resources (KIP-339).
type IncrementalAlterConfigsRequest struct {
	Resources    []IncrementalAlterConfigsRequestResource
	ValidateOnly bool
}

// IncrementalAlterConfigsRequestResource is one resource of an
// IncrementalAlterConfigsRequest.
type IncrementalAlterConfigsRequestResource struct {
	ResourceType int8
	ResourceName string
	Configs      []IncrementalAlterConfigsRequestConfig
}

// IncrementalAlterConfigsRequestConfig is one config to change.
type IncrementalAlterConfigsRequestConfig struct {
	Name            string
	ConfigOperation int8
	Value           *string
}

// Key returns KeyIncrementalAlterConfigs.
func (*IncrementalAlterConfigsRequest) Key() Key { return KeyIncrementalAlterConfigs }

// Default sets Kafka's defaults.
func (r *IncrementalAlterConfigsRequest) Default() { *r = IncrementalAlterConfigsRequest{} }

func (r *IncrementalAlterConfigsRequest) visit(v *visitor) {
	array(v, &r.Resources, 4, (*IncrementalAlterConfigsRequestResource).visit)
	v.boolean(&r.ValidateOnly)
	v.tags()
}

func (r *IncrementalAlterConfigsRequestResource) visit(v *visitor) {
	v.int8(&r.ResourceType)
	v.str(&r.ResourceName)
	array(v, &r.Configs, 4, (*IncrementalAlterConfigsRequestConfig).visit)
	v.tags()
}

func (c *IncrementalAlterConfigsRequestConfig) visit(v *visitor) {
	v.str(&c.Name)
	v.int8(&c.ConfigOperation)
	v.nullStr(&c.Value)
	v.tags()
}

// IncrementalAlterConfigsResponse answers an IncrementalAlterConfigsRequest.
type IncrementalAlterConfigsResponse struct {
	ThrottleTimeMs int32
	Responses      []IncrementalAlterConfigsResponseResource
}

// IncrementalAlterConfigsResponseResource is what became of one resource.
type IncrementalAlterConfigsResponseResource struct {
	ErrorCode    ErrorCode
	ErrorMessage *string
	ResourceType int8
	ResourceName string
}

// Key returns KeyIncrementalAlterConfigs.
func (*IncrementalAlterConfigsResponse) Key() Key { return KeyIncrementalAlterConfigs }

// Default sets Kafka's defaults.
func (r *IncrementalAlterConfigsResponse) Default() { *r = IncrementalAlterConfigsResponse{} }

func (r *IncrementalAlterConfigsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Responses, 6, (*IncrementalAlterConfigsResponseResource).visit)
	v.tags()
}

func (r *IncrementalAlterConfigsResponseResource) visit(v *visitor) {
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	v.int8(&r.ResourceType)
	v.str(&r.ResourceName)
	v.tags()
}
