package wire

// ListConfigResourcesRequest asks which resources have configs of their own
// (KIP-1142). Version 0 asks for client metrics only; Kafka called it
// ListClientMetricsResources.
type ListConfigResourcesRequest struct {
	ResourceTypes []int8 // 1+; empty asks for all
}

// Key returns KeyListConfigResources.
func (*ListConfigResourcesRequest) Key() Key { return KeyListConfigResources }

// Default sets Kafka's defaults.
func (r *ListConfigResourcesRequest) Default() { *r = ListConfigResourcesRequest{} }

func (r *ListConfigResourcesRequest) visit(v *visitor) {
	if v.version >= 1 {
		v.int8s(&r.ResourceTypes)
	}
	v.tags()
}

// ListConfigResourcesResponse answers a ListConfigResourcesRequest.
type ListConfigResourcesResponse struct {
	ThrottleTimeMs  int32
	ErrorCode       ErrorCode
	ConfigResources []ListConfigResourcesResponseResource
}

// ListConfigResourcesResponseResource is one resource.
type ListConfigResourcesResponseResource struct {
	ResourceName string
	ResourceType int8 // 1+
}

// Key returns KeyListConfigResources.
func (*ListConfigResourcesResponse) Key() Key { return KeyListConfigResources }

// Default sets Kafka's defaults.
func (r *ListConfigResourcesResponse) Default() { *r = ListConfigResourcesResponse{} }

func (r *ListConfigResourcesResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	array(v, &r.ConfigResources, 2, (*ListConfigResourcesResponseResource).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (r *ListConfigResourcesResponseResource) Default() {
	*r = ListConfigResourcesResponseResource{ResourceType: ConfigResourceClientMetrics}
}

func (r *ListConfigResourcesResponseResource) visit(v *visitor) {
	if v.decoding {
		r.Default()
	}
	v.str(&r.ResourceName)
	if v.version >= 1 {
		v.int8(&r.ResourceType)
	}
	v.tags()
}
