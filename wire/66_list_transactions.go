package wire

// ListTransactionsRequest asks a coordinator which transactions it has. Every
// filter that is set must hold; empty ones hold for all.
type ListTransactionsRequest struct {
	StateFilters           []string
	ProducerIDFilters      []int64
	DurationFilterMs       int64   // 1+; open for longer than this; < 0 for all (KIP-994); Kafka's DurationFilter
	TransactionalIDPattern *string // 2+; a regular expression of RE2 (KIP-1152)
}

// Key returns KeyListTransactions.
func (*ListTransactionsRequest) Key() Key { return KeyListTransactions }

// Default sets Kafka's defaults.
func (r *ListTransactionsRequest) Default() { *r = ListTransactionsRequest{DurationFilterMs: -1} }

func (r *ListTransactionsRequest) visit(v *visitor) {
	v.strs(&r.StateFilters)
	v.int64s(&r.ProducerIDFilters)
	if v.version >= 1 {
		v.int64(&r.DurationFilterMs)
	}
	if v.version >= 2 {
		v.nullStr(&r.TransactionalIDPattern)
	}
	v.tags()
}

// ListTransactionsResponse answers a ListTransactionsRequest.
type ListTransactionsResponse struct {
	ThrottleTimeMs      int32
	ErrorCode           ErrorCode
	UnknownStateFilters []string // those of the request that are no states
	TransactionStates   []ListTransactionsResponseTransaction
}

// ListTransactionsResponseTransaction is one transaction; for its state see
// DescribeTransactionsResponseTransaction.
type ListTransactionsResponseTransaction struct {
	TransactionalID  string
	ProducerID       int64
	TransactionState string
}

// Key returns KeyListTransactions.
func (*ListTransactionsResponse) Key() Key { return KeyListTransactions }

// Default sets Kafka's defaults.
func (r *ListTransactionsResponse) Default() { *r = ListTransactionsResponse{} }

func (r *ListTransactionsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.strs(&r.UnknownStateFilters)
	array(v, &r.TransactionStates, 11, (*ListTransactionsResponseTransaction).visit)
	v.tags()
}

func (t *ListTransactionsResponseTransaction) visit(v *visitor) {
	v.str(&t.TransactionalID)
	v.int64(&t.ProducerID)
	v.str(&t.TransactionState)
	v.tags()
}
