package wire

// InitProducerIDRequest asks for a producer ID and epoch; idempotent producers
// send it before their first record.
type InitProducerIDRequest struct {
	TransactionalID      *string // nil for an idempotent producer
	TransactionTimeoutMs int32
	ProducerID           int64 // 3+; the current one or -1 (KIP-360)
	ProducerEpoch        int16 // 3+; the current one or -1
}

// Key returns KeyInitProducerID.
func (*InitProducerIDRequest) Key() Key { return KeyInitProducerID }

// Default sets Kafka's defaults.
func (r *InitProducerIDRequest) Default() {
	*r = InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1}
}

func (r *InitProducerIDRequest) visit(v *visitor) {
	v.nullStr(&r.TransactionalID)
	v.int32(&r.TransactionTimeoutMs)
	if v.version >= 3 {
		v.int64(&r.ProducerID)
		v.int16(&r.ProducerEpoch)
	}
	v.tags()
}

// InitProducerIDResponse answers an InitProducerIDRequest.
type InitProducerIDResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode
	ProducerID     int64 // -1 on error
	ProducerEpoch  int16
}

// Key returns KeyInitProducerID.
func (*InitProducerIDResponse) Key() Key { return KeyInitProducerID }

// Default sets Kafka's defaults.
func (r *InitProducerIDResponse) Default() { *r = InitProducerIDResponse{ProducerID: -1} }

func (r *InitProducerIDResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.int64(&r.ProducerID)
	v.int16(&r.ProducerEpoch)
	v.tags()
}
