package wire

// AlterConfigsRequest replaces all configs of resources: what is not named goes
// back to its default.
type AlterConfigsRequest struct {
	Resources    []AlterConfigsRequestResource
	ValidateOnly bool
}

// AlterConfigsRequestResource is one resource of an AlterConfigsRequest.
type AlterConfigsRequestResource struct {
	ResourceType int8
	ResourceName string
	Configs      []AlterConfigsRequestConfig
}

// AlterConfigsRequestConfig is one config to set.
type AlterConfigsRequestConfig struct {
	Name  string
	Value *string
}

// Key returns KeyAlterConfigs.
func (*AlterConfigsRequest) Key() Key { return KeyAlterConfigs }

// Default sets Kafka's defaults.
func (r *AlterConfigsRequest) Default() { *r = AlterConfigsRequest{} }

func (r *AlterConfigsRequest) visit(v *visitor) {
	array(v, &r.Resources, 4, (*AlterConfigsRequestResource).visit)
	v.boolean(&r.ValidateOnly)
	v.tags()
}

func (r *AlterConfigsRequestResource) visit(v *visitor) {
	v.int8(&r.ResourceType)
	v.str(&r.ResourceName)
	array(v, &r.Configs, 3, (*AlterConfigsRequestConfig).visit)
	v.tags()
}

func (c *AlterConfigsRequestConfig) visit(v *visitor) {
	v.str(&c.Name)
	v.nullStr(&c.Value)
	v.tags()
}

// AlterConfigsResponse answers an AlterConfigsRequest.
type AlterConfigsResponse struct {
	ThrottleTimeMs int32
	Responses      []AlterConfigsResponseResource
}

// AlterConfigsResponseResource is what became of one resource.
type AlterConfigsResponseResource struct {
	ErrorCode    ErrorCode
	ErrorMessage *string
	ResourceType int8
	ResourceName string
}

// Key returns KeyAlterConfigs.
func (*AlterConfigsResponse) Key() Key { return KeyAlterConfigs }

// Default sets Kafka's defaults.
func (r *AlterConfigsResponse) Default() { *r = AlterConfigsResponse{} }

func (r *AlterConfigsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Responses, 6, (*AlterConfigsResponseResource).visit)
	v.tags()
}

func (r *AlterConfigsResponseResource) visit(v *visitor) {
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	v.int8(&r.ResourceType)
	v.str(&r.ResourceName)
	v.tags()
}
