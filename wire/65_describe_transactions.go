package wire

// DescribeTransactionsRequest asks a coordinator for its transactions by ID
// (KIP-664).
type DescribeTransactionsRequest struct {
	TransactionalIDs []string
}

// Key returns KeyDescribeTransactions.
func (*DescribeTransactionsRequest) Key() Key { return KeyDescribeTransactions }

// Default sets Kafka's defaults.
func (r *DescribeTransactionsRequest) Default() { *r = DescribeTransactionsRequest{} }

func (r *DescribeTransactionsRequest) visit(v *visitor) {
	v.strs(&r.TransactionalIDs)
	v.tags()
}

// DescribeTransactionsResponse answers a DescribeTransactionsRequest.
type DescribeTransactionsResponse struct {
	ThrottleTimeMs    int32
	TransactionStates []DescribeTransactionsResponseTransaction
}

// DescribeTransactionsResponseTransaction is one transaction. TransactionState is
// one of Kafka's words: Empty, Ongoing, PrepareCommit, PrepareAbort,
// CompleteCommit, CompleteAbort, Dead, PrepareEpochFence.
type DescribeTransactionsResponseTransaction struct {
	ErrorCode              ErrorCode
	TransactionalID        string
	TransactionState       string
	TransactionTimeoutMs   int32
	TransactionStartTimeMs int64 // since 1970; -1 if none is open
	ProducerID             int64
	ProducerEpoch          int16
	Topics                 []DescribeTransactionsResponseTopic // while one is open
}

// DescribeTransactionsResponseTopic is one topic of a transaction.
type DescribeTransactionsResponseTopic struct {
	Name       string
	Partitions []int32
}

// Key returns KeyDescribeTransactions.
func (*DescribeTransactionsResponse) Key() Key { return KeyDescribeTransactions }

// Default sets Kafka's defaults.
func (r *DescribeTransactionsResponse) Default() { *r = DescribeTransactionsResponse{} }

func (r *DescribeTransactionsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	array(v, &r.TransactionStates, 28, (*DescribeTransactionsResponseTransaction).visit)
	v.tags()
}

func (t *DescribeTransactionsResponseTransaction) visit(v *visitor) {
	v.code(&t.ErrorCode)
	v.str(&t.TransactionalID)
	v.str(&t.TransactionState)
	v.int32(&t.TransactionTimeoutMs)
	v.int64(&t.TransactionStartTimeMs)
	v.int64(&t.ProducerID)
	v.int16(&t.ProducerEpoch)
	array(v, &t.Topics, 3, (*DescribeTransactionsResponseTopic).visit)
	v.tags()
}

func (t *DescribeTransactionsResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.int32s(&t.Partitions)
	v.tags()
}
