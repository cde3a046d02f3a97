package wire

// DescribeQuorumRequest asks for the state of the metadata quorum (KIP-595).
type DescribeQuorumRequest struct {
	Topics []DescribeQuorumRequestTopic
}

// DescribeQuorumRequestTopic is one topic; clients ask for __cluster_metadata.
type DescribeQuorumRequestTopic struct {
	Name       string
	Partitions []DescribeQuorumRequestPartition
}

// DescribeQuorumRequestPartition is one partition of a DescribeQuorumRequest.
type DescribeQuorumRequestPartition struct {
	PartitionIndex int32
}

// Key returns KeyDescribeQuorum.
func (*DescribeQuorumRequest) Key() Key { return KeyDescribeQuorum }

// Default sets Kafka's defaults.
func (r *DescribeQuorumRequest) Default() { *r = DescribeQuorumRequest{} }

func (r *DescribeQuorumRequest) visit(v *visitor) {
	array(v, &r.Topics, 3, (*DescribeQuorumRequestTopic).visit)
	v.tags()
}

func (t *DescribeQuorumRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 5, (*DescribeQuorumRequestPartition).visit)
	v.tags()
}

func (p *DescribeQuorumRequestPartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.tags()
}

// DescribeQuorumResponse answers a DescribeQuorumRequest.
type DescribeQuorumResponse struct {
	ErrorCode    ErrorCode
	ErrorMessage *string // 2+
	Topics       []DescribeQuorumResponseTopic
	Nodes        []DescribeQuorumResponseNode // 2+; the voters (KIP-853)
}

// DescribeQuorumResponseTopic is one topic of a DescribeQuorumResponse.
type DescribeQuorumResponseTopic struct {
	Name       string
	Partitions []DescribeQuorumResponsePartition
}

// DescribeQuorumResponsePartition is the state of one quorum.
type DescribeQuorumResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode
	ErrorMessage   *string // 2+
	LeaderID       int32   // -1 unknown
	LeaderEpoch    int32
	HighWatermark  int64
	CurrentVoters  []DescribeQuorumResponseReplica
	Observers      []DescribeQuorumResponseReplica
}

// DescribeQuorumResponseReplica is what the leader knows of one replica.
type DescribeQuorumResponseReplica struct {
	ReplicaID             int32
	ReplicaDirectoryID    UUID  // 2+
	LogEndOffset          int64 // -1 unknown
	LastFetchTimestamp    int64 // 1+; ms; -1 unknown (KIP-836)
	LastCaughtUpTimestamp int64 // 1+; ms; -1 unknown
}

// DescribeQuorumResponseNode is where one voter can be reached.
type DescribeQuorumResponseNode struct {
	NodeID    int32
	Listeners []DescribeQuorumResponseListener
}

// DescribeQuorumResponseListener is one listener of a voter.
type DescribeQuorumResponseListener struct {
	Name string
	Host string
	Port uint16
}

// Key returns KeyDescribeQuorum.
func (*DescribeQuorumResponse) Key() Key { return KeyDescribeQuorum }

// Default sets Kafka's defaults.
func (r *DescribeQuorumResponse) Default() { *r = DescribeQuorumResponse{} }

func (r *DescribeQuorumResponse) visit(v *visitor) {
	v.code(&r.ErrorCode)
	if v.version >= 2 {
		v.nullStr(&r.ErrorMessage)
	}
	array(v, &r.Topics, 3, (*DescribeQuorumResponseTopic).visit)
	if v.version >= 2 {
		array(v, &r.Nodes, 6, (*DescribeQuorumResponseNode).visit)
	}
	v.tags()
}

func (t *DescribeQuorumResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 25, (*DescribeQuorumResponsePartition).visit)
	v.tags()
}

func (p *DescribeQuorumResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.code(&p.ErrorCode)
	if v.version >= 2 {
		v.nullStr(&p.ErrorMessage)
	}
	v.int32(&p.LeaderID)
	v.int32(&p.LeaderEpoch)
	v.int64(&p.HighWatermark)
	array(v, &p.CurrentVoters, 13, (*DescribeQuorumResponseReplica).visit)
	array(v, &p.Observers, 13, (*DescribeQuorumResponseReplica).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (r *DescribeQuorumResponseReplica) Default() {
	*r = DescribeQuorumResponseReplica{LastFetchTimestamp: -1, LastCaughtUpTimestamp: -1}
}

func (r *DescribeQuorumResponseReplica) visit(v *visitor) {
	if v.decoding {
		r.Default()
	}
	v.int32(&r.ReplicaID)
	if v.version >= 2 {
		v.uuid(&r.ReplicaDirectoryID)
	}
	v.int64(&r.LogEndOffset)
	if v.version >= 1 {
		v.int64(&r.LastFetchTimestamp)
		v.int64(&r.LastCaughtUpTimestamp)
	}
	v.tags()
}

func (n *DescribeQuorumResponseNode) visit(v *visitor) {
	v.int32(&n.NodeID)
	array(v, &n.Listeners, 5, (*DescribeQuorumResponseListener).visit)
	v.tags()
}

func (l *DescribeQuorumResponseListener) visit(v *visitor) {
	v.str(&l.Name)
	v.str(&l.Host)
	v.uint16(&l.Port)
	v.tags()
}
