package wire

// TxnOffsetCommitRequest stores a group's offsets as part of a transaction. From 3
// on it says which member of which generation it is, so that one that was thrown
// out is fenced (KIP-447); from 5 on it may be the transaction's first request
// (KIP-890).
type TxnOffsetCommitRequest struct {
	TransactionalID string
	GroupID         string
	ProducerID      int64
	ProducerEpoch   int16
	GenerationID    int32   // 3+; -1 from outside the group protocol
	MemberID        string  // 3+
	GroupInstanceID *string // 3+
	Topics          []TxnOffsetCommitRequestTopic
}

// TxnOffsetCommitRequestTopic is one topic of a TxnOffsetCommitRequest.
type TxnOffsetCommitRequestTopic struct {
	Name       string
	Partitions []TxnOffsetCommitRequestPartition
}

// TxnOffsetCommitRequestPartition is one partition of a TxnOffsetCommitRequest.
type TxnOffsetCommitRequestPartition struct {
	PartitionIndex       int32
	CommittedOffset      int64
	CommittedLeaderEpoch int32 // 2+; -1 unknown
	CommittedMetadata    *string
}

// Key returns KeyTxnOffsetCommit.
func (*TxnOffsetCommitRequest) Key() Key { return KeyTxnOffsetCommit }

// Default sets Kafka's defaults.
func (r *TxnOffsetCommitRequest) Default() { *r = TxnOffsetCommitRequest{GenerationID: -1} }

func (r *TxnOffsetCommitRequest) visit(v *visitor) {
	v.str(&r.TransactionalID)
	v.str(&r.GroupID)
	v.int64(&r.ProducerID)
	v.int16(&r.ProducerEpoch)
	if v.version >= 3 {
		v.int32(&r.GenerationID)
		v.str(&r.MemberID)
		v.nullStr(&r.GroupInstanceID)
	}
	array(v, &r.Topics, 3, (*TxnOffsetCommitRequestTopic).visit)
	v.tags()
}

func (t *TxnOffsetCommitRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 14, (*TxnOffsetCommitRequestPartition).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (p *TxnOffsetCommitRequestPartition) Default() {
	*p = TxnOffsetCommitRequestPartition{CommittedLeaderEpoch: -1}
}

func (p *TxnOffsetCommitRequestPartition) visit(v *visitor) {
	if v.decoding {
		p.Default()
	}
	v.int32(&p.PartitionIndex)
	v.int64(&p.CommittedOffset)
	if v.version >= 2 {
		v.int32(&p.CommittedLeaderEpoch)
	}
	v.nullStr(&p.CommittedMetadata)
	v.tags()
}

// TxnOffsetCommitResponse answers a TxnOffsetCommitRequest.
type TxnOffsetCommitResponse struct {
	ThrottleTimeMs int32
	Topics         []TxnOffsetCommitResponseTopic
}

// TxnOffsetCommitResponseTopic is one topic of a TxnOffsetCommitResponse.
type TxnOffsetCommitResponseTopic struct {
	Name       string
	Partitions []TxnOffsetCommitResponsePartition
}

// TxnOffsetCommitResponsePartition is one partition of a TxnOffsetCommitResponse.
type TxnOffsetCommitResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode
}

// Key returns KeyTxnOffsetCommit.
func (*TxnOffsetCommitResponse) Key() Key { return KeyTxnOffsetCommit }

// Default sets Kafka's defaults.
func (r *TxnOffsetCommitResponse) Default() { *r = TxnOffsetCommitResponse{} }

func (r *TxnOffsetCommitResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.Topics, 3, (*TxnOffsetCommitResponseTopic).visit)
	v.tags()
}

func (t *TxnOffsetCommitResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 6, (*TxnOffsetCommitResponsePartition).visit)
	v.tags()
}

func (p *TxnOffsetCommitResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
	v.tags()
}
