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

// zstdRoom is how much room to begin with: what the frames say, as far as that can be, or a guess. Frames whose sizes alone go beyond the
// limit are refused before anything is decompressed.
func zstdRoom(src []byte, limit int) (int, error) {
	if len(src) == 0 {
		return 0, corrupt("zstd: no frame")
	}
	claimed, told := uint64(0), true
	for rest := src; len(rest) > 0; {
		var h zstd.Header
		if err := h.Decode(rest); err != nil {
			return 0, corrupt("zstd header: %v", err)
		}
		if claimed += h.FrameContentSize; h.FrameContentSize > uint64(limit) || claimed > uint64(limit) {
			return 0, tooLarge(limit)
		}
		told = told && (h.HasFCS || h.Skippable)
		size, ok := zstdFrame(rest, &h)
		if !ok {
			return 0, corrupt("zstd: a frame ends too soon")
		}
		rest = rest[size:]
	}
	if !told {
		return min(max(4*len(src), firstRoom), limit), nil
	}
	return min(int(claimed), zstdMaxRatio*len(src)), nil
}

// zstdFrame is how long a frame is, by the headers of its blocks (RFC 8878, 3.1.1.2); false when src ends before the frame does.
//
//	bits   0        1..2                                  3..23
//	       last     0 raw, 1 one byte repeated, 2 packed   bytes that follow (1 for type 1)
func zstdFrame(src []byte, h *zstd.Header) (size int, ok bool) {
	if h.Skippable {
		size = h.HeaderSize + int(h.SkippableSize)
		return size, size <= len(src)
	}
	for size = h.HeaderSize; ; {
		if len(src)-size < 3 {
			return 0, false
		}
		word := int(src[size]) | int(src[size+1])<<8 | int(src[size+2])<<16
		n := word >> 3
		if word>>1&3 == 1 {
			n = 1
		}
		size += 3 + n
		if word&1 != 0 {
			break
		}
	}
	if h.HasCheckSum {
		size += 4
	}
	return size, size <= len(src)
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
