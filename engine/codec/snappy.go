package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/klauspost/compress/s2"
)

// The stream of snappy-java, all integers big-endian:
//
//	0  8  magic            82 'S' 'N' 'A' 'P' 'P' 'Y' 0
//	8  4  version          int32  1
//	12 4  compatible with  int32  1
//	16    { length int32 | length bytes: one raw snappy block } …
//
// A header may stand where a block could: that is what two streams written back to back look like.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

var xerialHeader = append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)

const (
	xerialHeaderSize = 16
	xerialBlock      = 32 << 10 // bytes of records to a block, snappy-java's default
)

// maxSnappyRatio is how much larger than itself a raw block can become: the best element is 3 bytes that copy 64. A block
// that claims more is corrupt, and is refused before the memory it claims is taken.
const maxSnappyRatio = 22

// decodeSnappy goes over the blocks of a stream twice: each says how much it holds, so what is too large is refused before anything is
// decompressed, and the room is taken at once.
func decodeSnappy(dst, src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) {
		return decodeSnappyBlock(dst, len(dst), src, limit)
	}
	begin, claimed := len(dst), 0
	err := eachSnappyBlock(src, func(block []byte) error {
		n, err := snappyLen(block, limit-claimed)
		claimed += n
		return err
	})
	if err != nil {
		return nil, err
	}
	dst = ensure(dst, 0, claimed, limit)
	err = eachSnappyBlock(src, func(block []byte) error {
		dst, err = decodeSnappyBlock(dst, begin, block, limit-(len(dst)-begin))
		return err
	})
	if err != nil {
		return nil, err
	}
	return dst, nil
}

// eachSnappyBlock calls f with each block of a stream, until one fails.
func eachSnappyBlock(src []byte, f func(block []byte) error) error {
	for len(src) > 0 {
		if bytes.HasPrefix(src, xerialMagic) {
			if len(src) < xerialHeaderSize {
				return corrupt("snappy stream header of %d bytes, it has %d", len(src), xerialHeaderSize)
			}
			src = src[xerialHeaderSize:]
			continue
		}
		if len(src) < 4 {
			return corrupt("snappy stream ends in a block length")
		}
		n := binary.BigEndian.Uint32(src)
		if src = src[4:]; uint64(n) > uint64(len(src)) {
			return corrupt("snappy block of %d bytes, %d are left", n, len(src))
		}
		if err := f(src[:n]); err != nil {
			return err
		}
		src = src[n:]
	}
	return nil
}

// snappyLen is how much a block says it holds, which is possible, and at most limit.
func snappyLen(block []byte, limit int) (int, error) {
	n, err := s2.DecodedLen(block)
	switch {
	case errors.Is(err, s2.ErrTooLarge) || err == nil && n > limit:
		return 0, tooLarge(limit)
	case err != nil:
		return 0, corrupt("snappy block length: %v", err)
	case n/maxSnappyRatio > len(block):
		return 0, corrupt("snappy block of %d bytes claims to hold %d", len(block), n)
	}
	return n, nil
}

// decodeSnappyBlock appends a block to an output that begins at begin and may have limit more bytes.
func decodeSnappyBlock(dst []byte, begin int, block []byte, limit int) ([]byte, error) {
	n, err := snappyLen(block, limit)
	if err != nil {
		return nil, err
	}
	dst = ensure(dst, len(dst)-begin, n, limit)
	if _, err := s2.Decode(dst[len(dst):len(dst)+n], block); err != nil {
		return nil, corrupt("snappy block: %v", err)
	}
	return dst[:len(dst)+n], nil
}

func encodeSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialHeader...)
	for len(src) > 0 {
		n := min(xerialBlock, len(src))
		dst = slices.Grow(dst, 4+s2.MaxEncodedLen(n))
		at := len(dst)
		block := s2.EncodeSnappy(dst[at+4:cap(dst)], src[:n])
		dst = dst[:at+4+len(block)]
		binary.BigEndian.PutUint32(dst[at:], uint32(len(block)))
		src = src[n:]
	}
	return dst
}
