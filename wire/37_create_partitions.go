package wire

// CreatePartitionsRequest gives topics more partitions.
type CreatePartitionsRequest struct {
	Topics       []CreatePartitionsRequestTopic
	TimeoutMs    int32
	ValidateOnly bool
}

// CreatePartitionsRequestTopic is one topic of a CreatePartitionsRequest.
type CreatePartitionsRequestTopic struct {
	Name        string
	Count       int32                               // of all its partitions, afterwards
	Assignments []CreatePartitionsRequestAssignment // of the new ones in order; nil lets the broker choose
}

// CreatePartitionsRequestAssignment places one new partition by hand.
type CreatePartitionsRequestAssignment struct {
	BrokerIDs []int32
}

// Key returns KeyCreatePartitions.
func (*CreatePartitionsRequest) Key() Key { return KeyCreatePartitions }

// Default sets Kafka's defaults.
func (r *CreatePartitionsRequest) Default() { *r = CreatePartitionsRequest{} }

func (r *CreatePartitionsRequest) visit(v *visitor) {
	array(v, &r.Topics, 7, (*CreatePartitionsRequestTopic).visit)
	v.int32(&r.TimeoutMs)
	v.boolean(&r.ValidateOnly)
	v.tags()
}

func (t *CreatePartitionsRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.int32(&t.Count)
	nullArray(v, &t.Assignments, 2, (*CreatePartitionsRequestAssignment).visit)
	v.tags()
}

func (a *CreatePartitionsRequestAssignment) visit(v *visitor) {
	v.int32s(&a.BrokerIDs)
	v.tags()
}

// CreatePartitionsResponse answers a CreatePartitionsRequest.
type CreatePartitionsResponse struct {
	ThrottleTimeMs int32
	Results        []CreatePartitionsResponseResult
}

// CreatePartitionsResponseResult is what became of one topic.
type CreatePartitionsResponseResult struct {
	Name         string
	ErrorCode    ErrorCode
	ErrorMessage *string
}

// Key returns KeyCreatePartitions.
func (*CreatePartitionsResponse) Key() Key { return KeyCreatePartitions }

// Default sets Kafka's defaults.
func (r *CreatePartitionsResponse) Default() { *r = CreatePartitionsResponse{} }

func (r *CreatePartitionsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Results, 5, (*CreatePartitionsResponseResult).visit)
	v.tags()
}

func (r *CreatePartitionsResponseResult) visit(v *visitor) {
	v.str(&r.Name)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	v.tags()
}
