package wire

// What a resource with configs is, in all requests about configs. A broker's and
// a broker logger's name is the node ID; a broker named "" is the cluster.
const (
	ConfigResourceTopic         = 2
	ConfigResourceBroker        = 4
	ConfigResourceBrokerLogger  = 8
	ConfigResourceClientMetrics = 16
	ConfigResourceGroup         = 32
)

// Where a config's value comes from, the nearest first.
const (
	ConfigSourceTopic         = 1 // DYNAMIC_TOPIC_CONFIG
	ConfigSourceBroker        = 2 // DYNAMIC_BROKER_CONFIG
	ConfigSourceCluster       = 3 // DYNAMIC_DEFAULT_BROKER_CONFIG
	ConfigSourceStatic        = 4 // STATIC_BROKER_CONFIG
	ConfigSourceDefault       = 5 // DEFAULT_CONFIG
	ConfigSourceBrokerLogger  = 6 // DYNAMIC_BROKER_LOGGER_CONFIG
	ConfigSourceClientMetrics = 7 // CLIENT_METRICS_CONFIG
	ConfigSourceGroup         = 8 // GROUP_CONFIG
)

// What a config's value looks like.
const (
	ConfigTypeUnknown  = 0
	ConfigTypeBoolean  = 1
	ConfigTypeString   = 2
	ConfigTypeInt      = 3
	ConfigTypeShort    = 4
	ConfigTypeLong     = 5
	ConfigTypeDouble   = 6
	ConfigTypeList     = 7
	ConfigTypeClass    = 8
	ConfigTypePassword = 9
)

// DescribeConfigsRequest asks for the configs of resources.
type DescribeConfigsRequest struct {
	Resources            []DescribeConfigsRequestResource
	IncludeSynonyms      bool
	IncludeDocumentation bool // 3+
}

// DescribeConfigsRequestResource is one resource of a DescribeConfigsRequest.
type DescribeConfigsRequestResource struct {
	ResourceType      int8
	ResourceName      string
	ConfigurationKeys []string // nil asks for all
}

// Key returns KeyDescribeConfigs.
func (*DescribeConfigsRequest) Key() Key { return KeyDescribeConfigs }

// Default sets Kafka's defaults.
func (r *DescribeConfigsRequest) Default() { *r = DescribeConfigsRequest{} }

func (r *DescribeConfigsRequest) visit(v *visitor) {
	array(v, &r.Resources, 4, (*DescribeConfigsRequestResource).visit)
	v.boolean(&r.IncludeSynonyms)
	if v.version >= 3 {
		v.boolean(&r.IncludeDocumentation)
	}
	v.tags()
}

func (r *DescribeConfigsRequestResource) visit(v *visitor) {
	v.int8(&r.ResourceType)
	v.str(&r.ResourceName)
	v.nullStrs(&r.ConfigurationKeys)
	v.tags()
}

// DescribeConfigsResponse answers a DescribeConfigsRequest.
type DescribeConfigsResponse struct {
	ThrottleTimeMs int32
	Results        []DescribeConfigsResponseResult
}

// DescribeConfigsResponseResult is the configs of one resource.
type DescribeConfigsResponseResult struct {
	ErrorCode    ErrorCode
	ErrorMessage *string
	ResourceType int8
	ResourceName string
	Configs      []DescribeConfigsResponseConfig
}

// DescribeConfigsResponseConfig is one config.
type DescribeConfigsResponseConfig struct {
	Name          string
	Value         *string // nil if sensitive, or if there is none
	ReadOnly      bool
	ConfigSource  int8
	IsSensitive   bool
	Synonyms      []DescribeConfigsResponseSynonym // if asked for
	ConfigType    int8                             // 3+
	Documentation *string                          // 3+; if asked for
}

// DescribeConfigsResponseSynonym is one place that sets a config; the first one
// that is there counts.
type DescribeConfigsResponseSynonym struct {
	Name   string
	Value  *string
	Source int8
}

// Key returns KeyDescribeConfigs.
func (*DescribeConfigsResponse) Key() Key { return KeyDescribeConfigs }

// Default sets Kafka's defaults.
func (r *DescribeConfigsResponse) Default() { *r = DescribeConfigsResponse{} }

func (r *DescribeConfigsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Results, 7, (*DescribeConfigsResponseResult).visit)
	v.tags()
}

func (r *DescribeConfigsResponseResult) visit(v *visitor) {
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	v.int8(&r.ResourceType)
	v.str(&r.ResourceName)
	array(v, &r.Configs, 9, (*DescribeConfigsResponseConfig).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (c *DescribeConfigsResponseConfig) Default() {
	*c = DescribeConfigsResponseConfig{ConfigSource: -1}
}

func (c *DescribeConfigsResponseConfig) visit(v *visitor) {
	if v.decoding {
		c.Default()
	}
	v.str(&c.Name)
	v.nullStr(&c.Value)
	v.boolean(&c.ReadOnly)
	v.int8(&c.ConfigSource)
	v.boolean(&c.IsSensitive)
	array(v, &c.Synonyms, 4, (*DescribeConfigsResponseSynonym).visit)
	if v.version >= 3 {
		v.int8(&c.ConfigType)
		v.nullStr(&c.Documentation)
	}
	v.tags()
}

func (s *DescribeConfigsResponseSynonym) visit(v *visitor) {
	v.str(&s.Name)
	v.nullStr(&s.Value)
	v.int8(&s.Source)
	v.tags()
}
