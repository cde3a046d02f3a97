package wire

// WriteTxnMarkersRequest is sent by a transaction's coordinator to the leaders of
// its partitions, and by a tool to abort what hangs (KIP-664).
type WriteTxnMarkersRequest struct {
	Markers []WriteTxnMarkersRequestMarker
}

// WriteTxnMarkersRequestMarker ends one transaction in some partitions.
type WriteTxnMarkersRequestMarker struct {
	ProducerID         int64
	ProducerEpoch      int16
	TransactionResult  bool // true is committed
	Topics             []WriteTxnMarkersRequestTopic
	CoordinatorEpoch   int32
	TransactionVersion int8 // 2+; of the transaction: 0 and 1, or 2 (KIP-1228)
}

// WriteTxnMarkersRequestTopic is one topic of a marker.
type WriteTxnMarkersRequestTopic struct {
	Name             string
	PartitionIndexes []int32
}

// Key returns KeyWriteTxnMarkers.
func (*WriteTxnMarkersRequest) Key() Key { return KeyWriteTxnMarkers }

// Default sets Kafka's defaults.
func (r *WriteTxnMarkersRequest) Default() { *r = WriteTxnMarkersRequest{} }

func (r *WriteTxnMarkersRequest) visit(v *visitor) {
	array(v, &r.Markers, 17, (*WriteTxnMarkersRequestMarker).visit)
	v.tags()
}

func (m *WriteTxnMarkersRequestMarker) visit(v *visitor) {
	v.int64(&m.ProducerID)
	v.int16(&m.ProducerEpoch)
	v.boolean(&m.TransactionResult)
	array(v, &m.Topics, 3, (*WriteTxnMarkersRequestTopic).visit)
	v.int32(&m.CoordinatorEpoch)
	if v.version >= 2 {
		v.int8(&m.TransactionVersion)
	}
	v.tags()
}

func (t *WriteTxnMarkersRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.int32s(&t.PartitionIndexes)
	v.tags()
}

// WriteTxnMarkersResponse answers a WriteTxnMarkersRequest.
type WriteTxnMarkersResponse struct {
	Markers []WriteTxnMarkersResponseMarker
}

// WriteTxnMarkersResponseMarker is what became of one marker.
type WriteTxnMarkersResponseMarker struct {
	ProducerID int64
	Topics     []WriteTxnMarkersResponseTopic
}

// WriteTxnMarkersResponseTopic is one topic of a marker.
type WriteTxnMarkersResponseTopic struct {
	Name       string
	Partitions []WriteTxnMarkersResponsePartition
}

// WriteTxnMarkersResponsePartition is one partition of a marker.
type WriteTxnMarkersResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode
}

// Key returns KeyWriteTxnMarkers.
func (*WriteTxnMarkersResponse) Key() Key { return KeyWriteTxnMarkers }

// Default sets Kafka's defaults.
func (r *WriteTxnMarkersResponse) Default() { *r = WriteTxnMarkersResponse{} }

func (r *WriteTxnMarkersResponse) visit(v *visitor) {
	array(v, &r.Markers, 10, (*WriteTxnMarkersResponseMarker).visit)
	v.tags()
}

func (m *WriteTxnMarkersResponseMarker) visit(v *visitor) {
	v.int64(&m.ProducerID)
	array(v, &m.Topics, 3, (*WriteTxnMarkersResponseTopic).visit)
	v.tags()
}

func (t *WriteTxnMarkersResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 7, (*WriteTxnMarkersResponsePartition).visit)
	v.tags()
}

func (p *WriteTxnMarkersResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
	v.tags()
}
