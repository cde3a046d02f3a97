package wire

// EndTxnRequest commits or aborts a transaction. From version 5 on it raises the
// producer's epoch too (KIP-890).
type EndTxnRequest struct {
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	Committed       bool // false aborts
}

// Key returns KeyEndTxn.
func (*EndTxnRequest) Key() Key { return KeyEndTxn }

// Default sets Kafka's defaults.
func (r *EndTxnRequest) Default() { *r = EndTxnRequest{} }

func (r *EndTxnRequest) visit(v *visitor) {
	v.str(&r.TransactionalID)
	v.int64(&r.ProducerID)
	v.int16(&r.ProducerEpoch)
	v.boolean(&r.Committed)
	v.tags()
}

// EndTxnResponse answers an EndTxnRequest.
type EndTxnResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode
	ProducerID     int64 // 5+; to go on with; -1 on error
	ProducerEpoch  int16 // 5+; to go on with; -1 on error
}

// Key returns KeyEndTxn.
func (*EndTxnResponse) Key() Key { return KeyEndTxn }

// Default sets Kafka's defaults.
func (r *EndTxnResponse) Default() { *r = EndTxnResponse{ProducerID: -1, ProducerEpoch: -1} }

func (r *EndTxnResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	if v.version >= 5 {
		v.int64(&r.ProducerID)
		v.int16(&r.ProducerEpoch)
	}
	v.tags()
}
