package engine

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/segment"
)

// Options configure an Engine. Zero values mean the defaults given.
type Options struct {
	Dir                 string           // data directory; created when missing
	IO                  string           // "auto": io_uring where it is granted; "uring": that or an error; "sync": system calls; default auto
	FS                  disk.FS          // default: the real file system
	Failpoints          *disk.Failpoints // laid over the disk, for tests of what a slow or full one does to the program above; default: none, at no cost
	Logger              *slog.Logger     // default: discard
	CommitFileBytes     int64            // size of one commit-log file, a multiple of 4096, at least 64 KiB; default 256 MiB
	CommitFiles         int              // how many of them circulate at most; default 4, minimum 2
	GroupBytes          int              // the most that one group commit writes; default 4 MiB
	QueueBytes          int64            // the most that may wait for the committer; Append blocks beyond it; default 64 MiB
	CacheBytes          int64            // memory for the newest small batches of all logs; default 64 MiB; -1 = none
	Now                 func() time.Time // the wall clock, for retention and compaction; default time.Now
	TidyInterval        time.Duration    // between two looks for what retention allows to delete; default 30 s
	ScrubInterval       time.Duration    // between two verifications of everything; default 24 h; -1 = none
	ScrubBytesPerSecond int64            // how fast it reads; default 16 MiB
	CleanerBytes        int              // memory of the map of keys while a log is compacted; default 128 MiB
	CleanBytesPerSecond int64            // how fast compaction reads; default 64 MiB
	Replayed            func(frames int) // told by Open how many group commits it has replayed so far, now and then; may be nil
	ReserveBytes        int64            // free space that appends leave alone (ErrFull), but for logs with LogOptions.Reserve; default 64 MiB; -1 = none
}

func (o *Options) defaults() {
	if o.IO == "" {
		o.IO = "auto"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.CommitFileBytes, 256<<20)
	setDefault(&o.CommitFiles, 4)
	setDefault(&o.GroupBytes, 4<<20)
	setDefault(&o.QueueBytes, 64<<20)
	setDefault(&o.ReserveBytes, 64<<20)
	setDefault(&o.CacheBytes, 64<<20)
	setDefault(&o.ScrubInterval, 24*time.Hour)
	setDefault(&o.CleanerBytes, 128<<20)
	setDefault(&o.CleanBytesPerSecond, 64<<20)
	setDefault(&o.ScrubBytesPerSecond, 16<<20)
	setDefault(&o.TidyInterval, 30*time.Second)
	wall := o.Now
	if wall == nil {
		wall = time.Now
	}
	o.Now = func() time.Time { return wall().Round(0) } // two times with a monotonic reading differ by that, and never show a jump
	o.ReserveBytes = max(o.ReserveBytes, 0)
}

func setDefault[T int | int64 | time.Duration](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}

func (o *Options) validate() error {
	switch {
	case o.IO != "auto" && o.IO != "uring" && o.IO != "sync":
		return fmt.Errorf("engine: I/O by %q: it must be auto, uring or sync", o.IO)
	case o.Dir == "":
		return fmt.Errorf("engine: no data directory is given")
	case o.CommitFileBytes < 64<<10 || o.CommitFileBytes%disk.PageSize != 0:
		return fmt.Errorf("engine: a commit-log file of %d bytes: must be a multiple of %d and at least 64 KiB", o.CommitFileBytes, disk.PageSize)
	case o.CommitFiles < 2:
		return fmt.Errorf("engine: %d commit-log files: at least 2 are needed", o.CommitFiles)
	case o.GroupBytes < 0 || o.QueueBytes < 0:
		return fmt.Errorf("engine: negative limit (group %d, queue %d bytes)", o.GroupBytes, o.QueueBytes)
	}
	return nil
}

// Durability says what must have happened to a batch before Observer.Flushed is told of it.
type Durability uint8

// The durabilities.
const (
	// Fsync: it is on the disk, in the commit log. A power cut loses nothing that was told of.
	Fsync Durability = iota
	// Interval: it is in the page cache, and on the disk at most LogOptions.FlushInterval later.
	Interval
	// PageCache: it is in the page cache; the kernel writes it when it likes. Kafka's default.
	PageCache
)

func (d Durability) String() string {
	if d > PageCache {
		return fmt.Sprintf("Durability(%d)", d)
	}
	return [...]string{"fsync", "interval", "page-cache"}[d]
}

// LogOptions configure one Log. Zero values mean the defaults given.
type LogOptions struct {
	Durability         Durability
	FlushInterval      time.Duration // for Interval; default 1 s
	RetentionBytes     int64         // the oldest segments go while the others hold this much; 0: no limit
	RetentionTime      time.Duration // segments go when their newest record is older; 0: no limit
	SegmentBytes       int64         // a segment is rolled before it would grow past this; default 1 GiB, at most 2 GiB - 1
	SegmentAge         time.Duration // and when it was begun so long ago, by its first batch or by the start of the program; 0: no limit
	SegmentJitter      time.Duration // each segment is begun up to so much before SegmentAge, so that those of many logs do not all end at once
	Preallocate        bool          // room for a whole segment is reserved when it is begun, not in steps
	IndexIntervalBytes int           // bytes of log per sparse index entry; default 4096
	MaxBatchBytes      int           // the largest batch taken (ErrTooLarge); default 1 MiB + 12
	Compact            bool          // of each key, keep the last record (after which others may be deleted by retention, too)
	MinDirtyRatio      float64       // compact when more than this part of the log was not; default 0.5
	MinCompactionLag   time.Duration // records stay at least so long
	MaxCompactionLag   time.Duration // and are compacted after so long, whatever the ratio; 0: no limit
	DeleteRetention    time.Duration // how long a tombstone stays once it could go; default 24 h
	Reserve            bool          // may use ReserveBytes: for the logs that deletes and commits need
	Observer           Observer      // may be nil
}

func (o *LogOptions) defaults(commitFileBytes int64) {
	setDefault(&o.SegmentBytes, 1<<30)
	setDefault(&o.IndexIntervalBytes, 4096)
	setDefault(&o.MaxBatchBytes, 1<<20+batch.Overhead)
	setDefault(&o.FlushInterval, time.Second)
	setDefault(&o.DeleteRetention, 24*time.Hour)
	if o.MinDirtyRatio == 0 {
		o.MinDirtyRatio = 0.5
	}
	o.SegmentBytes = min(o.SegmentBytes, segment.MaxBytes)
	o.MaxBatchBytes = int(min(int64(o.MaxBatchBytes), commit.MaxBatch(commitFileBytes)))
}

// Observer is told what happens to a log. Calls come from engine goroutines, in order for one log; they must not block and
// must not call back into the engine.
type Observer interface {
	// Flushed says that every record below end is durable and readable. end only grows.
	Flushed(end batch.Offset)
	// Failed says that nothing more will ever be flushed (E4). Called once.
	Failed(err error)
}

// Owner owns the memory that a batch given to Append lies in.
type Owner interface {
	// Release says that the engine no longer needs the bytes.
	Release()
}
