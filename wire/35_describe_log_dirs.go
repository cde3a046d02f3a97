package wire

// DescribeLogDirsRequest asks a broker how large partitions are on its disks.
type DescribeLogDirsRequest struct {
	Topics []DescribeLogDirsRequestTopic // nil asks for all
}

// DescribeLogDirsRequestTopic is one topic of a DescribeLogDirsRequest.
type DescribeLogDirsRequestTopic struct {
	Name       string
	Partitions []int32
}

// Key returns KeyDescribeLogDirs.
func (*DescribeLogDirsRequest) Key() Key { return KeyDescribeLogDirs }

// Default sets Kafka's defaults.
func (r *DescribeLogDirsRequest) Default() { *r = DescribeLogDirsRequest{} }

func (r *DescribeLogDirsRequest) visit(v *visitor) {
	nullArray(v, &r.Topics, 3, (*DescribeLogDirsRequestTopic).visit)
	v.tags()
}

func (t *DescribeLogDirsRequestTopic) visit(v *visitor) {
	v.str(&t.Name)
	v.int32s(&t.Partitions)
	v.tags()
}

// DescribeLogDirsResponse answers a DescribeLogDirsRequest.
type DescribeLogDirsResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode // 3+
	Results        []DescribeLogDirsResponseResult
}

// DescribeLogDirsResponseResult is one log directory.
type DescribeLogDirsResponseResult struct {
	ErrorCode   ErrorCode
	LogDir      string // its path
	Topics      []DescribeLogDirsResponseTopic
	TotalBytes  int64 // 4+; of the file system; -1 unknown (KIP-827)
	UsableBytes int64 // 4+; of the file system; -1 unknown
	IsCordoned  bool  // 5+; it takes no new partitions (KIP-1066)
}

// DescribeLogDirsResponseTopic is one topic in a log directory.
type DescribeLogDirsResponseTopic struct {
	Name       string
	Partitions []DescribeLogDirsResponsePartition
}

// DescribeLogDirsResponsePartition is one partition in a log directory.
type DescribeLogDirsResponsePartition struct {
	PartitionIndex int32
	PartitionSize  int64 // bytes of its segments
	OffsetLag      int64 // behind the high watermark or, for a future one, the present one's end
	IsFutureKey    bool  // it is being moved here
}

// Key returns KeyDescribeLogDirs.
func (*DescribeLogDirsResponse) Key() Key { return KeyDescribeLogDirs }

// Default sets Kafka's defaults.
func (r *DescribeLogDirsResponse) Default() { *r = DescribeLogDirsResponse{} }

func (r *DescribeLogDirsResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	if v.version >= 3 {
		v.code(&r.ErrorCode)
	}
	array(v, &r.Results, 5, (*DescribeLogDirsResponseResult).visit)
	v.tags()
}

// Default sets Kafka's defaults.
func (r *DescribeLogDirsResponseResult) Default() {
	*r = DescribeLogDirsResponseResult{TotalBytes: -1, UsableBytes: -1}
}

func (r *DescribeLogDirsResponseResult) visit(v *visitor) {
	if v.decoding {
		r.Default()
	}
	v.code(&r.ErrorCode)
	v.str(&r.LogDir)
	array(v, &r.Topics, 3, (*DescribeLogDirsResponseTopic).visit)
	if v.version >= 4 {
		v.int64(&r.TotalBytes)
		v.int64(&r.UsableBytes)
	}
	if v.version >= 5 {
		v.boolean(&r.IsCordoned)
	}
	v.tags()
}

func (t *DescribeLogDirsResponseTopic) visit(v *visitor) {
	v.str(&t.Name)
	array(v, &t.Partitions, 21, (*DescribeLogDirsResponsePartition).visit)
	v.tags()
}

func (p *DescribeLogDirsResponsePartition) visit(v *visitor) {
	v.int32(&p.PartitionIndex)
	v.int64(&p.PartitionSize)
	v.int64(&p.OffsetLag)
	v.boolean(&p.IsFutureKey)
	v.tags()
}
