package seal

import (
	"fmt"
	"hash/crc32"
	"io"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/txn"
)

// Source is the .log to be sealed. It must be synced (L1) and not change any more.
type Source struct {
	Dir      string
	Base     batch.Offset
	Log      io.ReaderAt
	Size     int64         // of the .log, below 2^31 bytes
	Interval int64         // bytes of log for an index entry; below 1: index.DefaultInterval
	LogID    uint64        // of the log
	End      batch.Offset  // first offset of the segment that follows
	Aborted  []txn.Aborted // the transactions whose abort markers it holds
	Limit    Limiter       // may be nil
	// Accept is asked, when all was read, whether it is what it should be; nothing is put in place after an error, which is returned.
	// May be nil.
	Accept func(Header) error
}

// Build reads the .log once in steps of 1 MiB, checks every batch, and puts the .index, .timeindex, .txnindex (where there is something for
// it) and .seal in place, each whole and synced, the seal last. The names are durable after SyncDir of the folder, which is the caller's. Existing files are replaced; who has
// them mapped keeps the old ones.
//
// Errors: ErrCorrupt when the .log is not whole good batches below End (it is then not sealed: quarantine it), Accept's, the Limiter's, I/O errors. After an
// error no new seal is in place, and an old one beside new indexes does not pass for theirs (Header.Index and Aborted).
func Build(d disk.FS, s Source) (Header, error) {
	log := file(s.Dir, s.Base, ".log")
	w, err := index.Create(d, s.Dir, s.Base)
	if err != nil {
		return Header{}, err
	}
	in := newStream(s.Log, s.Size, s.Limit)
	defer in.close()
	t := index.NewTracker(s.Interval)
	h, err := scan(in, s, &t, w)
	if err == nil && s.Accept != nil {
		err = s.Accept(h)
	}
	if err != nil {
		w.Abort()
		return Header{}, fmt.Errorf("%s: %w", log, err)
	}
	if h.Index, err = w.Commit(&t); err != nil {
		return Header{}, err
	}
	if h.Aborted, err = txn.WriteFile(d, s.Dir, s.Base, s.Aborted); err != nil {
		return Header{}, err
	}
	h.tableCRC = crc32.Checksum(in.sums.table, castagnoli)
	if err := disk.ReplaceFile(d, Name(s.Dir, s.Base), h.append(nil), in.sums.table); err != nil {
		return Header{}, err
	}
	return h, nil
}

// scan goes through all batches.
func scan(in *stream, s Source, t *index.Tracker, w *index.Writer) (h Header, err error) {
	h = Header{Base: s.Base, Next: s.Base, Size: s.Size, End: s.End, Log: s.LogID}
	for in.at < in.size {
		b, err := in.next(s.Base, h.Next)
		if err != nil {
			return h, err
		}
		if p, due := t.Note(b, in.at); due {
			if err := w.Add(p); err != nil {
				return h, err
			}
		}
		h.Next = b.NextOffset()
		h.Prefix = b.PrefixSum(h.Prefix)
		h.Batches++
		in.skip(len(b))
	}
	if h.Next > s.End {
		return h, fmt.Errorf("%w: it ends at offset %d, and the next segment begins at %d", ErrCorrupt, h.Next, s.End)
	}
	in.sums.end()
	h.Newest = t.Newest()
	h.firstCRC, h.lastCRC = in.sums.pins()
	return h, nil
}
