package wire

import (
	"unsafe" // Sizeof only

	"github.com/streambus/streambus/wire/prim"
)

// What Produce and Fetch, coded by hand, share.

// What Reset keeps for the next Decode is bounded: one huge request, or many of
// different shapes, must not make their reused struct huge for ever.
const (
	maxHeldBytes = 256 << 10 // by a struct that is decoded into
	maxKept      = 4096      // elements of one slice, if others filled it
)

// held counts what decoding has allocated into a struct since it was last
// empty; nothing of that is given back while the struct is reused.
type held int

// over reports whether it is time to start again from nothing.
func (h held) over() bool { return h > maxHeldBytes }

// resize returns s with n elements, whose old contents the caller overwrites.
// Elements it has had before keep the slices they hold, to be resized in turn,
// so that a reused struct decodes without allocating. Growth is charged.
func resize[T any](rd *prim.Reader, s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return enlarge(rd, s, n)
}

func enlarge[T any](rd *prim.Reader, s []T, n int) []T {
	var zero T
	if !rd.Charge(n * int(unsafe.Sizeof(zero))) {
		return s[:0]
	}
	bigger := make([]T, n)
	copy(bigger, s[:cap(s)])
	return bigger
}

// kept returns s emptied, to be used again, or nil if it has grown too large.
func kept[T any](s []T) []T {
	if cap(s) > maxKept {
		return nil
	}
	return s[:0]
}

// minOf picks an element's least size by the form of the version.
func minOf(flexible bool, compact, classic int) int {
	if flexible {
		return compact
	}
	return classic
}

// LeaderIDAndEpoch is the current leader of a partition, told to a client that
// asked the wrong broker (KIP-951).
type LeaderIDAndEpoch struct {
	LeaderID    int32
	LeaderEpoch int32
}

// leaderBytes is the encoding of a LeaderIDAndEpoch with its empty tag section.
const leaderBytes = 4 + 4 + 1

// readLeader reads the struct of a CurrentLeader tag.
func readLeader(rd *prim.Reader) *LeaderIDAndEpoch {
	if !rd.Charge(int(unsafe.Sizeof(LeaderIDAndEpoch{}))) {
		return nil
	}
	l := &LeaderIDAndEpoch{LeaderID: rd.Int32(), LeaderEpoch: rd.Int32()}
	rd.SkipTags()
	return l
}

// appendLeader appends a whole CurrentLeader tag: number, size, struct.
func appendLeader(dst []byte, tag byte, l *LeaderIDAndEpoch) []byte {
	dst = append(dst, tag, leaderBytes)
	dst = prim.AppendInt32(dst, l.LeaderID)
	dst = prim.AppendInt32(dst, l.LeaderEpoch)
	return append(dst, 0)
}

// NodeEndpoint is where a current leader can be reached (KIP-951).
type NodeEndpoint struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   *string
}

// appendEndpointsTags appends a tag section with NodeEndpoints as tag 0.
func appendEndpointsTags(dst []byte, endpoints []NodeEndpoint) []byte {
	if len(endpoints) == 0 {
		return append(dst, 0)
	}
	dst = append(dst, 1, 0) // one tag, number 0
	start := len(dst)
	dst = prim.AppendLen(dst, len(endpoints), true)
	for i := range endpoints {
		e := &endpoints[i]
		dst = prim.AppendInt32(dst, e.NodeID)
		dst = prim.AppendString(dst, e.Host, true)
		dst = prim.AppendInt32(dst, e.Port)
		dst = prim.AppendNullableString(dst, e.Rack, true)
		dst = append(dst, 0)
	}
	return insertSize(dst, start)
}

// readEndpointsTags reads a tag section that has NodeEndpoints as tag 0 if the
// version knows it.
func readEndpointsTags(rd *prim.Reader, known bool) (endpoints []NodeEndpoint) {
	for n := rd.TagCount(); n > 0; n-- {
		tag, size := rd.Tag()
		outer := rd.Enter(size)
		if tag == 0 && known {
			endpoints = readEndpoints(rd)
		} else {
			rd.Span(size)
		}
		rd.Leave(outer)
	}
	return endpoints
}

func readEndpoints(rd *prim.Reader) []NodeEndpoint {
	s := resize(rd, []NodeEndpoint(nil), rd.ArrayLen(true, false, 11))
	for i := range s {
		s[i] = NodeEndpoint{rd.Int32(), rd.String(true), rd.Int32(), rd.NullableString(true)}
		rd.SkipTags()
		if rd.Failed() {
			return nil
		}
	}
	return s
}

// appendNoTags appends an empty tag section in versions that have them.
func appendNoTags(dst []byte, flexible bool) []byte {
	if flexible {
		return append(dst, 0)
	}
	return dst
}
