package wire

// AddPartitionsToTxnRequest adds partitions to transactions before they are
// written to. Clients send versions 0 to 3, about one transaction (TransactionalID
// to Topics); brokers send 4+, about many (Transactions, KIP-890).
//
// Kafka calls the fields of 0 to 3 V3AndBelowTransactionalId and so on.
type AddPartitionsToTxnRequest struct {
	TransactionalID string                                 // 0 to 3
	ProducerID      int64                                  // 0 to 3
	ProducerEpoch   int16                                  // 0 to 3
	Topics          []AddPartitionsToTxnRequestTopic       // 0 to 3
	Transactions    []AddPartitionsToTxnRequestTransaction // 4+
}

// AddPartitionsToTxnRequestTransaction is one transaction of an
// AddPartitionsToTxnRequest.
type AddPartitionsToTxnRequestTransaction struct {
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	VerifyOnly      bool // ask whether they are part of it, add nothing
	Topics          []AddPartitionsToTxnRequestTopic
}

// AddPartitionsToTxnRequestTopic is one topic, of the request or of one
// transaction of it.
type AddPartitionsToTxnRequestTopic struct {
	Name       string
	Partitions []int32
}

// Key returns KeyAddPartitionsToTxn.
func (*AddPartitionsToTxnRequest) Key() Key { return KeyAddPartitionsToTxn }

// Default sets Kafka's defaults.
func (r *AddPartitionsToTxnRequest) Default() { *r = AddPartitionsToTxnRequest{} }

func (r *AddPartitionsToTxnRequest) visit(v *visitor) {
	if v.version <= 3 {
		v.str(&r.TransactionalID)
		v.int64(&r.ProducerID)
		v.int16(&r.ProducerEpoch)
		array(v, &r.Topics, 3, (*AddPartitionsToTxnRequestTopic).visit)
	}
	if v.version >= 4 {
		array(v, &r.Transactions, 14, (*AddPartitionsToTxnRequestTransaction).visit)
	}
	v.tags()
}

func (t *AddPartitionsToTxnRequestTransaction) visit(v *visitor) {
	v.str(&t.TransactionalID)
	v.int64(&t.ProducerID)
	v.int16(&t.ProducerEpoch)
	v.boolean(&t.VerifyOnly)
	array(v, &t.Topics, 3, (*AddPartitionsToTxnRequestTopic).visit)
	v.tags()
}

func (t *AddPartitionsToTxnRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.int32s(&t.Partitions)
	v.tags()
}

// AddPartitionsToTxnResponse answers an AddPartitionsToTxnRequest, in the shape
// of its version. Kafka calls Transactions ResultsByTransaction, and Topics
// ResultsByTopicV3AndBelow.
type AddPartitionsToTxnResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode                               // 4+
	Transactions   []AddPartitionsToTxnResponseTransaction // 4+
	Topics         []AddPartitionsToTxnResponseTopic       // 0 to 3
}

// AddPartitionsToTxnResponseTransaction is what became of one transaction.
type AddPartitionsToTxnResponseTransaction struct {
	TransactionalID string
	Topics          []AddPartitionsToTxnResponseTopic // Kafka's TopicResults
}

// AddPartitionsToTxnResponseTopic is one topic, of the response or of one
// transaction of it. Kafka calls Partitions ResultsByPartition.
type AddPartitionsToTxnResponseTopic struct {
	Name       string
	Partitions []AddPartitionsToTxnResponsePartition
}

// AddPartitionsToTxnResponsePartition is what became of one partition.
type AddPartitionsToTxnResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode // Kafka's PartitionErrorCode
}

// Key returns KeyAddPartitionsToTxn.
func (*AddPartitionsToTxnResponse) Key() Key { return KeyAddPartitionsToTxn }

// Default sets Kafka's defaults.
func (r *AddPartitionsToTxnResponse) Default() { *r = AddPartitionsToTxnResponse{} }

func (r *AddPartitionsToTxnResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	if v.version >= 4 {
		v.code(&r.ErrorCode)
		array(v, &r.Transactions, 3, (*AddPartitionsToTxnResponseTransaction).visit)
	}
	if v.version <= 3 {
		array(v, &r.Topics, 3, (*AddPartitionsToTxnResponseTopic).visit)
	}
	v.tags()
}

func (t *AddPartitionsToTxnResponseTransaction) visit(v *visitor) {
	v.str(&t.TransactionalID)
	array(v, &t.Topics, 3, (*AddPartitionsToTxnResponseTopic).visit)
	v.tags()
}

func (t *AddPartitionsToTxnResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 6, (*AddPartitionsToTxnResponsePartition).visit)
	v.tags()
}

func (p *AddPartitionsToTxnResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
	v.tags()
}
