package wire

// CreateTopicsRequest creates topics.
type CreateTopicsRequest struct {
	Topics       []CreateTopicsRequestTopic
	TimeoutMs    int32
	ValidateOnly bool
}

// CreateTopicsRequestTopic is one topic to create. NumPartitions and
// ReplicationFactor are -1 if Assignments says it all or, in 4+, for the
// broker's defaults (KIP-464).
type CreateTopicsRequestTopic struct {
	Name              string
	NumPartitions     int32
	ReplicationFactor int16
	Assignments       []CreateTopicsRequestAssignment
	Configs           []CreateTopicsRequestConfig
}

// CreateTopicsRequestAssignment places one partition by hand.
type CreateTopicsRequestAssignment struct {
	PartitionIndex int32
	BrokerIDs      []int32
}

// CreateTopicsRequestConfig is one setting of a new topic.
type CreateTopicsRequestConfig struct {
	Name  string
	Value *string
}

// Key returns KeyCreateTopics.
func (*CreateTopicsRequest) Key() Key { return KeyCreateTopics }

// Default sets Kafka's defaults.
func (r *CreateTopicsRequest) Default() { *r = CreateTopicsRequest{TimeoutMs: 60000} }

func (r *CreateTopicsRequest) visit(v *visitor) {
	array(v, &r.Topics, 10, (*CreateTopicsRequestTopic).visit)
	v.int32(&r.TimeoutMs)
	v.boolean(&r.ValidateOnly)
	v.tags()
}

func (t *CreateTopicsRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.int32(&t.NumPartitions)
	v.int16(&t.ReplicationFactor)
	array(v, &t.Assignments, 6, (*CreateTopicsRequestAssignment).visit)
	array(v, &t.Configs, 3, (*CreateTopicsRequestConfig).visit)
	v.tags()
}

func (a *CreateTopicsRequestAssignment) visit(v *visitor) {
	v.int32(&a.PartitionIndex)
	v.int32s(&a.BrokerIDs)
	v.tags()
}

func (c *CreateTopicsRequestConfig) visit(v *visitor) {
	v.str(&c.Name)
	v.nullStr(&c.Value)
	v.tags()
}

// CreateTopicsResponse answers a CreateTopicsRequest.
type CreateTopicsResponse struct {
	ThrottleTimeMs int32
	Topics         []CreateTopicsResponseTopic
}

// CreateTopicsResponseTopic is what became of one topic. The fields from
// NumPartitions on describe it (KIP-525); start from Default to leave them out.
type CreateTopicsResponseTopic struct {
	Name                 string
	TopicID              UUID // 7+
	ErrorCode            ErrorCode
	ErrorMessage         *string
	TopicConfigErrorCode ErrorCode                    // 5+, tag 0; why Configs is nil
	NumPartitions        int32                        // 5+; -1 unknown
	ReplicationFactor    int16                        // 5+; -1 unknown
	Configs              []CreateTopicsResponseConfig // 5+; can be null
}

// CreateTopicsResponseConfig is one setting of a created topic.
type CreateTopicsResponseConfig struct {
	Name         string
	Value        *string // nil if sensitive
	ReadOnly     bool
	ConfigSource int8 // as in DescribeConfigs; -1 unknown
	IsSensitive  bool
}

// Key returns KeyCreateTopics.
func (*CreateTopicsResponse) Key() Key { return KeyCreateTopics }

// Default sets Kafka's defaults.
func (r *CreateTopicsResponse) Default() { *r = CreateTopicsResponse{} }

// Default sets Kafka's defaults.
func (t *CreateTopicsResponseTopic) Default() {
	*t = CreateTopicsResponseTopic{NumPartitions: -1, ReplicationFactor: -1}
}

// Default sets Kafka's defaults.
func (c *CreateTopicsResponseConfig) Default() {
	*c = CreateTopicsResponseConfig{ConfigSource: -1}
}

func (r *CreateTopicsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Topics, 6, (*CreateTopicsResponseTopic).visit)
	v.tags()
}

func (t *CreateTopicsResponseTopic) visit(v *visitor) {
	if v.decoding {
		t.Default()
	}
	v.str(&t.Name)
	if v.version >= 7 {
		v.uuid(&t.TopicID)
	}
	v.code(&t.ErrorCode)
	v.nullStr(&t.ErrorMessage)
	if v.version >= 5 {
		v.int32(&t.NumPartitions)
		v.int16(&t.ReplicationFactor)
		nullArray(v, &t.Configs, 6, (*CreateTopicsResponseConfig).visit)
	}
	v.tagsOf(t)
}

func (*CreateTopicsResponseTopic) tagEnd() uint32 { return 1 }

func (t *CreateTopicsResponseTopic) sends(uint32) bool {
	return t.TopicConfigErrorCode != CodeNone
}

func (t *CreateTopicsResponseTopic) visitTag(tag uint32, v *visitor) bool {
	if tag != 0 {
		return false
	}
	v.code(&t.TopicConfigErrorCode)
	return true
}

func (c *CreateTopicsResponseConfig) visit(v *visitor) {
	v.str(&c.Name)
	v.nullStr(&c.Value)
	v.boolean(&c.ReadOnly)
	v.int8(&c.ConfigSource)
	v.boolean(&c.IsSensitive)
	v.tags()
}
