package codec

import (
	"encoding/binary"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 frame (lz4_Frame_format.md 1.6), all integers little-endian:
//
//	0  4    magic            184D2204
//	4  1    FLG              bits 7-6 version 1, 5 blocks independent, 4 block checksums, 3 content size, 2 content checksum,
//	                         1 reserved, 0 dictionary id
//	5  1    BD               bits 6-4 block size: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB; the rest reserved
//	6  0|8  content size     uint64
//	.  1    header checksum  bits 15-8 of XXH32 of the bytes from FLG to here
//	.       { size uint32, the top bit says stored uncompressed | size bytes | checksum uint32 if FLG says so } …
//	.  4    end mark         0
//	.  0|4  content checksum XXH32 of what the blocks hold
//
// Frames are taken apart here and only blocks are given to the library, whose own frame reader keeps up to 12 MiB of buffers,
// carries history from one input into the next (C3), and reads what Kafka refuses: legacy frames and blocks that depend on
// each other.
const (
	lz4Magic           = 0x184D2204
	lz4HeaderSize      = 7 // without a content size
	lz4Stored          = 1 << 31
	lz4Version         = 0x40
	lz4VersionMask     = 0xc0
	lz4Independent     = 0x20
	lz4BlockSums       = 0x10
	lz4ContentSize     = 0x08
	lz4ContentSum      = 0x04
	lz4ReservedFLG     = 0x02
	lz4Dictionary      = 0x01
	lz4ReservedBD      = 0x8f
	lz4MaxRatio        = 255 // a byte of match length stands for at most 255 bytes of output
	lz4SmallestBlockID = 4
)

// lz4Frame is a frame's header.
type lz4Frame struct {
	flg     byte
	block   int    // largest block, bytes decompressed
	content uint64 // bytes in the whole frame, if flg has lz4ContentSize
}

func decodeLZ4(dst, src []byte, limit int) ([]byte, error) {
	if len(src) == 0 {
		return nil, corrupt("lz4: no frame")
	}
	begin := len(dst)
	for len(src) > 0 {
		f, rest, err := cutLZ4Header(src)
		if err != nil {
			return nil, err
		}
		left := limit - (len(dst) - begin)
		if f.flg&lz4ContentSize != 0 && f.content > uint64(left) {
			return nil, tooLarge(limit)
		}
		if dst, src, err = f.decode(dst, rest, left); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func cutLZ4Header(src []byte) (f lz4Frame, rest []byte, err error) {
	if len(src) < lz4HeaderSize || binary.LittleEndian.Uint32(src) != lz4Magic {
		return f, nil, corrupt("lz4: %d bytes do not begin with a frame", len(src))
	}
	f.flg = src[4]
	bd := src[5]
	size := lz4HeaderSize
	if f.flg&lz4ContentSize != 0 {
		size += 8
	}
	switch {
	case f.flg&lz4VersionMask != lz4Version || f.flg&lz4ReservedFLG != 0 || bd&lz4ReservedBD != 0 || bd>>4 < lz4SmallestBlockID:
		return f, nil, corrupt("lz4: frame descriptor %02x %02x is not of version 1", f.flg, bd)
	case f.flg&lz4Independent == 0 || f.flg&lz4Dictionary != 0:
		return f, nil, corrupt("lz4: frame descriptor %02x asks for linked blocks or a dictionary; Kafka has neither", f.flg)
	case len(src) < size:
		return f, nil, corrupt("lz4: frame ends in its header")
	}
	if got, want := byte(xxh32(src[4:size-1])>>8), src[size-1]; got != want {
		return f, nil, corrupt("lz4: header checksum is %02x, frame says %02x", got, want)
	}
	f.block = 1 << (8 + 2*(bd>>4))
	if f.flg&lz4ContentSize != 0 {
		f.content = binary.LittleEndian.Uint64(src[6:])
	}
	return f, src[size:], nil
}

// decode takes the blocks and the end of a frame off src.
func (f lz4Frame) decode(dst, src []byte, limit int) (out, rest []byte, err error) {
	begin := len(dst)
	for {
		if len(src) < 4 {
			return nil, nil, corrupt("lz4: frame ends without its end mark")
		}
		word := binary.LittleEndian.Uint32(src)
		src = src[4:]
		if word == 0 {
			return f.finish(dst, begin, src)
		}
		n := int(word &^ lz4Stored)
		if n > f.block || n > len(src) {
			return nil, nil, corrupt("lz4: block of %d bytes, the largest allowed has %d and %d are left", n, f.block, len(src))
		}
		block := src[:n]
		if src = src[n:]; f.flg&lz4BlockSums != 0 {
			if len(src) < 4 || xxh32(block) != binary.LittleEndian.Uint32(src) {
				return nil, nil, corrupt("lz4: block checksum is wrong")
			}
			src = src[4:]
		}
		if dst, err = f.appendBlock(dst, begin, block, word&lz4Stored != 0, limit-(len(dst)-begin)); err != nil {
			return nil, nil, err
		}
	}
}

// appendBlock takes room for one byte more than the limit at most: a block that needs more is too large, or so corrupt that
// nobody can tell.
func (f lz4Frame) appendBlock(dst []byte, begin int, block []byte, stored bool, limit int) ([]byte, error) {
	if stored {
		if len(block) > limit {
			return nil, tooLarge(limit)
		}
		return append(ensure(dst, len(dst)-begin, len(block), limit), block...), nil
	}
	most := min(f.block, lz4MaxRatio*len(block))
	dst = ensure(dst, len(dst)-begin, min(most, limit+1), limit)
	n, err := lz4.UncompressBlock(block, dst[len(dst):len(dst)+min(most, limit+1)])
	switch {
	case n > limit || err != nil && limit < most:
		return nil, tooLarge(limit)
	case err != nil:
		return nil, corrupt("lz4: block of %d bytes: %v", len(block), err)
	}
	return dst[:len(dst)+n], nil
}

func (f lz4Frame) finish(dst []byte, begin int, src []byte) (out, rest []byte, err error) {
	if got := uint64(len(dst) - begin); f.flg&lz4ContentSize != 0 && got != f.content {
		return nil, nil, corrupt("lz4: frame holds %d bytes, it says %d", got, f.content)
	}
	if f.flg&lz4ContentSum != 0 {
		if len(src) < 4 || xxh32(dst[begin:]) != binary.LittleEndian.Uint32(src) {
			return nil, nil, corrupt("lz4: content checksum is wrong")
		}
		src = src[4:]
	}
	return dst, src, nil
}

type lz4Encoder struct {
	out appender
	w   *lz4.Writer
}

var lz4Encoders = sync.Pool{New: func() any {
	e := &lz4Encoder{w: lz4.NewWriter(nil)}
	must(e.w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ConcurrencyOption(1), lz4.ChecksumOption(false)))
	return e
}}

func encodeLZ4(dst, src []byte) []byte {
	e := lz4Encoders.Get().(*lz4Encoder)
	e.out.b = dst
	e.w.Reset(&e.out)
	_, err := e.w.Write(src)
	must(err)
	must(e.w.Close())
	dst, e.out.b = e.out.b, nil
	lz4Encoders.Put(e)
	return dst
}
