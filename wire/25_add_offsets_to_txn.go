package wire

// AddOffsetsToTxnRequest adds a group's offsets to a transaction before they are
// committed with TxnOffsetCommit.
type AddOffsetsToTxnRequest struct {
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	GroupID         string
}

// Key returns KeyAddOffsetsToTxn.
func (*AddOffsetsToTxnRequest) Key() Key { return KeyAddOffsetsToTxn }

// Default sets Kafka's defaults.
func (r *AddOffsetsToTxnRequest) Default() { *r = AddOffsetsToTxnRequest{} }

func (r *AddOffsetsToTxnRequest) visit(v *visitor) {
	v.str(&r.TransactionalID)
	v.int64(&r.ProducerID)
	v.int16(&r.ProducerEpoch)
	v.str(&r.GroupID)
	v.tags()
}

// AddOffsetsToTxnResponse answers an AddOffsetsToTxnRequest.
type AddOffsetsToTxnResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode
}

// Key returns KeyAddOffsetsToTxn.
func (*AddOffsetsToTxnResponse) Key() Key { return KeyAddOffsetsToTxn }

// Default sets Kafka's defaults.
func (r *AddOffsetsToTxnResponse) Default() { *r = AddOffsetsToTxnResponse{} }

func (r *AddOffsetsToTxnResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.tags()
}
