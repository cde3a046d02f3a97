package wire

// DeleteTopicsRequest deletes topics, by name in versions 1 to 5 (TopicNames),
// by name or ID in 6 (Topics).
type DeleteTopicsRequest struct {
	Topics     []DeleteTopicsRequestTopic // 6+
	TopicNames []string                   // 1 to 5
	TimeoutMs  int32
}

// DeleteTopicsRequestTopic names one topic; a nil Name means TopicID does.
type DeleteTopicsRequestTopic struct {
	Name    *string
	TopicID UUID
}

// Key returns KeyDeleteTopics.
func (*DeleteTopicsRequest) Key() Key { return KeyDeleteTopics }

// Default sets Kafka's defaults.
func (r *DeleteTopicsRequest) Default() { *r = DeleteTopicsRequest{} }

func (r *DeleteTopicsRequest) visit(v *visitor) {
	if v.version >= 6 {
		array(v, &r.Topics, 18, (*DeleteTopicsRequestTopic).visit)
	} else {
		v.strs(&r.TopicNames)
	}
	v.int32(&r.TimeoutMs)
	v.tags()
}

func (t *DeleteTopicsRequestTopic) visit(v *visitor) {
	v.nullStr(&t.Name)
	v.uuid(&t.TopicID)
	v.tags()
}

// DeleteTopicsResponse answers a DeleteTopicsRequest.
type DeleteTopicsResponse struct {
	ThrottleTimeMs int32
	Topics         []DeleteTopicsResponseTopic
}

// DeleteTopicsResponseTopic is what became of one topic.
type DeleteTopicsResponseTopic struct {
	Name         *string // nil is sent as "" before 6
	TopicID      UUID    // 6+
	ErrorCode    ErrorCode
	ErrorMessage *string // 5+
}

// Key returns KeyDeleteTopics.
func (*DeleteTopicsResponse) Key() Key { return KeyDeleteTopics }

// Default sets Kafka's defaults.
func (r *DeleteTopicsResponse) Default() { *r = DeleteTopicsResponse{} }

func (r *DeleteTopicsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Topics, 4, (*DeleteTopicsResponseTopic).visit)
	v.tags()
}

func (t *DeleteTopicsResponseTopic) visit(v *visitor) {
	v.nullStrSince(6, &t.Name)
	if v.version >= 6 {
		v.uuid(&t.TopicID)
	}
	v.code(&t.ErrorCode)
	if v.version >= 5 {
		v.nullStr(&t.ErrorMessage)
	}
	v.tags()
}
