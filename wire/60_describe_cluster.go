package wire

// What a DescribeClusterRequest's EndpointType asks for.
const (
	EndpointBrokers     = 1
	EndpointControllers = 2
)

// DescribeClusterRequest asks for the cluster's brokers.
type DescribeClusterRequest struct {
	IncludeClusterAuthorizedOperations bool
	EndpointType                       int8 // 1+
	IncludeFencedBrokers               bool // 2+
}

// Key returns KeyDescribeCluster.
func (*DescribeClusterRequest) Key() Key { return KeyDescribeCluster }

// Default sets Kafka's defaults.
func (r *DescribeClusterRequest) Default() {
	*r = DescribeClusterRequest{EndpointType: EndpointBrokers}
}

func (r *DescribeClusterRequest) visit(v *visitor) {
	v.boolean(&r.IncludeClusterAuthorizedOperations)
	if v.version >= 1 {
		v.int8(&r.EndpointType)
	}
	if v.version >= 2 {
		v.boolean(&r.IncludeFencedBrokers)
	}
	v.tags()
}

// DescribeClusterResponse answers a DescribeClusterRequest.
type DescribeClusterResponse struct {
	ThrottleTimeMs              int32
	ErrorCode                   ErrorCode
	ErrorMessage                *string
	EndpointType                int8 // 1+
	ClusterID                   string
	ControllerID                int32 // -1 unknown
	Brokers                     []DescribeClusterResponseBroker
	ClusterAuthorizedOperations int32 // a bit field
}

// DescribeClusterResponseBroker is one broker.
type DescribeClusterResponseBroker struct {
	BrokerID int32
	Host     string
	Port     int32
	Rack     *string
	IsFenced bool // 2+
}

// Key returns KeyDescribeCluster.
func (*DescribeClusterResponse) Key() Key { return KeyDescribeCluster }

// Default sets Kafka's defaults.
func (r *DescribeClusterResponse) Default() {
	*r = DescribeClusterResponse{
		EndpointType:                EndpointBrokers,
		ControllerID:                -1,
		ClusterAuthorizedOperations: NoAuthorizedOperations,
	}
}

func (r *DescribeClusterResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	if v.version >= 1 {
		v.int8(&r.EndpointType)
	}
	v.str(&r.ClusterID)
	v.int32(&r.ControllerID)
	array(v, &r.Brokers, 11, (*DescribeClusterResponseBroker).visit)
	v.int32(&r.ClusterAuthorizedOperations)
	v.tags()
}

func (b *DescribeClusterResponseBroker) visit(v *visitor) {
	v.int32(&b.BrokerID)
	v.str(&b.Host)
	v.int32(&b.Port)
	v.nullStr(&b.Rack)
	if v.version >= 2 {
		v.boolean(&b.IsFenced)
	}
	v.tags()
}
