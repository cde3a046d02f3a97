package wire

import "math"

// NoAuthorizedOperations is what the authorized-operations fields of Metadata
// and DescribeCluster say when the client did not ask.
const NoAuthorizedOperations = math.MinInt32

// MetadataRequest asks for brokers and topics.
type MetadataRequest struct {
	// Topics is what to describe. In 1+ nil means all topics and empty means
	// none; in 0 empty means all. Ask AllTopics.
	Topics                             []MetadataRequestTopic
	AllowAutoTopicCreation             bool // 4+; true before
	IncludeClusterAuthorizedOperations bool // 8 to 10
	IncludeTopicAuthorizedOperations   bool // 8+
}

// MetadataRequestTopic names a topic by Name or, from 10 on with a nil Name, by
// TopicID.
type MetadataRequestTopic struct {
	TopicID UUID    // 10+
	Name    *string // never nil before 10
}

// Key returns KeyMetadata.
func (*MetadataRequest) Key() Key { return KeyMetadata }

// Default sets Kafka's defaults.
func (r *MetadataRequest) Default() { *r = MetadataRequest{AllowAutoTopicCreation: true} }

// AllTopics reports whether the request, in this version, means every topic.
func (r *MetadataRequest) AllTopics(version int16) bool {
	return r.Topics == nil || version == 0 && len(r.Topics) == 0
}

func (r *MetadataRequest) visit(v *visitor) {
	arrayOf(v, &r.Topics, 2, v.version >= 1, (*MetadataRequestTopic).visit)
	if v.version >= 4 {
		v.boolean(&r.AllowAutoTopicCreation)
	}
	if v.version >= 8 && v.version <= 10 {
		v.boolean(&r.IncludeClusterAuthorizedOperations)
	}
	if v.version >= 8 {
		v.boolean(&r.IncludeTopicAuthorizedOperations)
	}
	v.tags()
}

func (t *MetadataRequestTopic) visit(v *visitor) {
	if v.version >= 10 {
		v.uuid(&t.TopicID)
	}
	v.nullStrSince(10, &t.Name)
	v.tags()
}

// MetadataResponse answers a MetadataRequest.
type MetadataResponse struct {
	ThrottleTimeMs              int32 // 3+
	Brokers                     []MetadataResponseBroker
	ClusterID                   *string // 2+
	ControllerID                int32   // 1+; -1 unknown
	Topics                      []MetadataResponseTopic
	ClusterAuthorizedOperations int32     // 8 to 10; a bit field
	ErrorCode                   ErrorCode // 13+; REBOOTSTRAP_REQUIRED (KIP-1102)
}

// MetadataResponseBroker is one live broker.
type MetadataResponseBroker struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   *string // 1+
}

// MetadataResponseTopic is one topic of a MetadataResponse.
type MetadataResponseTopic struct {
	ErrorCode                 ErrorCode
	Name                      *string // nil is sent as "" before 12
	TopicID                   UUID    // 10+
	IsInternal                bool    // 1+
	Partitions                []MetadataResponsePartition
	TopicAuthorizedOperations int32 // 8+; a bit field
}

// MetadataResponsePartition is one partition of a MetadataResponse.
type MetadataResponsePartition struct {
	ErrorCode       ErrorCode
	PartitionIndex  int32
	LeaderID        int32 // -1 if there is none
	LeaderEpoch     int32 // 7+; -1 unknown
	ReplicaNodes    []int32
	IsrNodes        []int32
	OfflineReplicas []int32 // 5+
}

// Key returns KeyMetadata.
func (*MetadataResponse) Key() Key { return KeyMetadata }

// Default sets Kafka's defaults.
func (r *MetadataResponse) Default() {
	*r = MetadataResponse{ControllerID: -1, ClusterAuthorizedOperations: NoAuthorizedOperations}
}

// Default sets Kafka's defaults.
func (t *MetadataResponseTopic) Default() {
	*t = MetadataResponseTopic{TopicAuthorizedOperations: NoAuthorizedOperations}
}

// Default sets Kafka's defaults.
func (p *MetadataResponsePartition) Default() {
	*p = MetadataResponsePartition{LeaderEpoch: -1}
}

func (r *MetadataResponse) visit(v *visitor) {
	if v.version >= 3 {
		v.int32(&r.ThrottleTimeMs)
	}
	array(v, &r.Brokers, 10, (*MetadataResponseBroker).visit)
	if v.version >= 2 {
		v.nullStr(&r.ClusterID)
	}
	if v.version >= 1 {
		v.int32(&r.ControllerID)
	}
	array(v, &r.Topics, 8, (*MetadataResponseTopic).visit)
	if v.version >= 8 && v.version <= 10 {
		v.int32(&r.ClusterAuthorizedOperations)
	}
	if v.version >= 13 {
		v.code(&r.ErrorCode)
	}
	v.tags()
}

func (b *MetadataResponseBroker) visit(v *visitor) {
	v.int32(&b.NodeID)
	v.str(&b.Host)
	v.int32(&b.Port)
	if v.version >= 1 {
		v.nullStr(&b.Rack)
	}
	v.tags()
}

func (t *MetadataResponseTopic) visit(v *visitor) {
	if v.decoding {
		t.Default()
	}
	v.code(&t.ErrorCode)
	v.nullStrSince(12, &t.Name)
	if v.version >= 10 {
		v.uuid(&t.TopicID)
	}
	if v.version >= 1 {
		v.boolean(&t.IsInternal)
	}
	array(v, &t.Partitions, 18, (*MetadataResponsePartition).visit)
	if v.version >= 8 {
		v.int32(&t.TopicAuthorizedOperations)
	}
	v.tags()
}

func (p *MetadataResponsePartition) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.code(&p.ErrorCode)
	v.int32(&p.PartitionIndex)
	v.int32(&p.LeaderID)
	if v.version >= 7 {
		v.int32(&p.LeaderEpoch)
	}
	v.int32s(&p.ReplicaNodes)
	v.int32s(&p.IsrNodes)
	if v.version >= 5 {
		v.int32s(&p.OfflineReplicas)
	}
	v.tags()
}
