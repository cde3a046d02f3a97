package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/streambus/streambus/wire/prim"
)

// RequestHeader is what stands before every request body:
//
//	     2        2           4              2 + n          1 ...
//	+--------+---------+---------------+----------------+--------+
//	|  key   | version | correlationID |    clientID    |  tags  |
//	+--------+---------+---------------+----------------+--------+
//	                                    header v1, v2    header v2
//
// v2 belongs to flexible versions. Its client ID keeps the classic int16
// length, so that a broker can read a header whose version it does not know.
// (v0, without client ID, belonged to ControlledShutdown 0, which nothing
// serves.)
type RequestHeader struct {
	Key           Key
	Version       int16
	CorrelationID int32
	ClientID      string
	HasClientID   bool // false: it was null
}

// fixedHeaderSize is the part that is the same in all header versions.
const fixedHeaderSize = 2 + 2 + 4

// DecodeRequestHeader reads the header of a frame (without its size prefix) and
// returns the body, a view of the rest.
//
// For a key or a version that has no codec (Supported) the error
// wraps ErrUnknownKey or ErrUnsupportedVersion, the header holds Key, Version
// and CorrelationID, and there is no body: enough to answer or to close.
// Otherwise the error wraps ErrMalformed.
func DecodeRequestHeader(frame []byte) (RequestHeader, []byte, error) {
	var h RequestHeader
	body, err := h.Decode(frame)
	return h, body, err
}

// Decode is DecodeRequestHeader into h. If the client ID is the one h already
// holds, its string is kept: a connection that decodes all its headers into one
// struct allocates nothing after the first.
func (h *RequestHeader) Decode(frame []byte) (body []byte, err error) {
	if len(frame) < fixedHeaderSize {
		*h = RequestHeader{}
		return nil, fmt.Errorf("wire: request header: %w: %d bytes", ErrMalformed, len(frame))
	}
	h.Key = Key(binary.BigEndian.Uint16(frame))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	h.HasClientID = false
	if err := Supported(h.Key, h.Version); err != nil {
		h.ClientID = ""
		return nil, err
	}
	return h.decodeTail(frame[fixedHeaderSize:])
}

// decodeTail reads client ID and tags.
func (h *RequestHeader) decodeTail(tail []byte) (body []byte, err error) {
	r := prim.NewReader(tail)
	clientID := r.StringView(false, true)
	h.HasClientID = clientID != nil
	if string(clientID) != h.ClientID {
		h.ClientID = string(clientID)
	}
	if h.Key.flexible(h.Version) {
		r.SkipTags()
	}
	if r.Err() != nil {
		return nil, fmt.Errorf("wire: header of %s %d: %w", h.Key, h.Version, r.Err())
	}
	return r.Span(r.Len()), nil
}

// AppendRequestHeader appends the header of a request of a supported version
// and panics on any other.
func AppendRequestHeader(dst []byte, h RequestHeader) []byte {
	mustSupport(h.Key, h.Version)
	dst = prim.AppendInt16(dst, int16(h.Key))
	dst = prim.AppendInt16(dst, h.Version)
	dst = prim.AppendInt32(dst, h.CorrelationID)
	if h.HasClientID {
		dst = prim.AppendString(dst, h.ClientID, false)
	} else {
		dst = prim.AppendStringLen(dst, -1, false)
	}
	if h.Key.flexible(h.Version) {
		dst = append(dst, 0)
	}
	return dst
}

// taggedResponseHeader reports whether a response's header is v1, which has a
// tag section, or v0, which has none. ApiVersions stays at v0 for ever: a
// client reads it before it knows what the broker speaks (KIP-511).
func taggedResponseHeader(k Key, version int16) bool {
	return k != KeyAPIVersions && k.flexible(version)
}

// AppendResponseHeader appends a response header: the correlation ID and, in
// v1, an empty tag section. The version must be supported, except that
// ApiVersions may have any; else it panics.
func AppendResponseHeader(dst []byte, k Key, version int16, correlationID int32) []byte {
	if k != KeyAPIVersions {
		mustSupport(k, version)
	}
	dst = prim.AppendInt32(dst, correlationID)
	if taggedResponseHeader(k, version) {
		dst = append(dst, 0)
	}
	return dst
}

// DecodeResponseHeader reads the header of a response frame (without its size
// prefix) to a request of the given key and version, and returns the body, a
// view of the rest. Errors wrap ErrUnknownKey, ErrUnsupportedVersion or
// ErrMalformed.
func DecodeResponseHeader(frame []byte, k Key, version int16) (correlationID int32, body []byte, err error) {
	if err := Supported(k, version); err != nil {
		return 0, nil, err
	}
	r := prim.NewReader(frame)
	correlationID = r.Int32()
	if taggedResponseHeader(k, version) {
		r.SkipTags()
	}
	if r.Err() != nil {
		return 0, nil, fmt.Errorf("wire: response header of %s %d: %w", k, version, r.Err())
	}
	return correlationID, r.Span(r.Len()), nil
}
