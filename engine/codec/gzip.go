package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gunzipper is a pooled decoder with the reader it reads from, so that a decode allocates neither.
type gunzipper struct {
	src  bytes.Reader
	r    gzip.Reader
	over [1]byte
}

var gunzippers = sync.Pool{New: func() any { return new(gunzipper) }}

func decodeGzip(dst, src []byte, limit int) ([]byte, error) {
	g := gunzippers.Get().(*gunzipper)
	defer func() {
		g.src.Reset(nil) // the pool must not hold the caller's bytes
		gunzippers.Put(g)
	}()
	if n := len(src); n >= 4 && uint64(binary.LittleEndian.Uint32(src[n-4:])) > uint64(limit) {
		return nil, tooLarge(limit) // the size of the last member (RFC 1952, ISIZE) alone: true or not, nobody can read it within the limit
	}
	g.src.Reset(src)
	if err := g.r.Reset(&g.src); err != nil {
		return nil, corrupt("gzip header: %v", err)
	}
	begin := len(dst)
	for {
		used := len(dst) - begin
		if used == limit {
			return dst, g.atLimit(limit)
		}
		if len(dst) == cap(dst) {
			dst = ensure(dst, max(used, 2*len(src)), 1, limit-used)
		}
		n, err := g.r.Read(dst[len(dst):min(cap(dst), begin+limit)])
		dst = dst[:len(dst)+n]
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return nil, corrupt("gzip: %v", err)
		}
	}
}

// atLimit tells an output of exactly limit bytes from a larger one. Only here is the checksum at the end reached.
func (g *gunzipper) atLimit(limit int) error {
	for {
		n, err := g.r.Read(g.over[:])
		switch {
		case n > 0:
			return tooLarge(limit)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return corrupt("gzip: %v", err)
		}
	}
}

type gzipper struct {
	out appender
	w   *gzip.Writer
}

var gzippers = sync.Pool{New: func() any { return &gzipper{w: gzip.NewWriter(nil)} }}

func encodeGzip(dst, src []byte) []byte {
	g := gzippers.Get().(*gzipper)
	g.out.b = dst
	g.w.Reset(&g.out)
	_, err := g.w.Write(src)
	must(err)
	must(g.w.Close())
	dst, g.out.b = g.out.b, nil
	gzippers.Put(g)
	return dst
}
