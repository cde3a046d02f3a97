package codec

import (
	"errors"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// zstdWindow is the largest window that is read. A window is no memory here: a whole frame is decoded into the output.
	// So the output's limit must not limit the window, as WithDecoderMaxMemory does: Java's producer names a window of 2 MiB
	// for a batch of 100 bytes.
	zstdWindow      = 128 << 20
	zstdWriteWindow = 1 << 20
	// zstdMaxRatio is how much larger than itself a frame can become: a block of 4 bytes stands for 128 KiB.
	zstdMaxRatio = 32 << 10
	zstdSlack    = 128<<10 + 64 // the largest block, and what the library's copies may touch behind it
)

var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxLimit),
		zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecodeAllCapLimit(true))
	must(err)
	return d
}}

// decodeZstd decodes into the room given and, when that is used up, begins again with twice as much: Java's producer does not
// say in the frame how large its content is. Callers that reuse a buffer soon have the room at once.
//
// The library reports a block that does not fit as any other damage. So there is always one block more room than counted: who
// fails with the counted room used up ran out of it, and who fails before did not.
func decodeZstd(dst, src []byte, limit int) ([]byte, error) {
	room, err := zstdRoom(src, limit)
	if err != nil {
		return nil, err
	}
	d := zstdDecoders.Get().(*zstd.Decoder)
	defer zstdDecoders.Put(d)
	begin := len(dst)
	for {
		dst = slices.Grow(dst, room+zstdSlack)
		room = min(cap(dst)-begin-zstdSlack, limit)
		out, err := d.DecodeAll(src, dst[begin:begin:begin+room+zstdSlack])
		switch {
		case err == nil && len(out) <= room:
			return append(dst, out...), nil // the library may have moved it; where it has not, this copies a slice onto itself
		case err != nil && len(out) <= room && !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return nil, corrupt("zstd: %v", err)
		case room == limit:
			return nil, tooLarge(limit)
		}
		room = min(max(2*room, firstRoom), limit)
	}
}

// zstdRoom is how much room to begin with: what the first frame says, as far as that can be, or a guess.
func zstdRoom(src []byte, limit int) (int, error) {
	if len(src) == 0 {
		return 0, corrupt("zstd: no frame")
	}
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return 0, corrupt("zstd header: %v", err)
	}
	if !h.HasFCS {
		return min(max(4*len(src), firstRoom), limit), nil
	}
	if h.FrameContentSize > uint64(limit) {
		return 0, tooLarge(limit)
	}
	return min(int(h.FrameContentSize), zstdMaxRatio*len(src)), nil
}

var zstdEncoders = sync.Pool{New: func() any {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWriteWindow),
		zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	must(err)
	return e
}}

func encodeZstd(dst, src []byte) []byte {
	e := zstdEncoders.Get().(*zstd.Encoder)
	defer zstdEncoders.Put(e)
	return e.EncodeAll(src, dst)
}
