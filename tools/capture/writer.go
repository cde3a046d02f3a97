package capture

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"
)

// Writer writes a capture of connections whose bytes are known and whose packets are not: it makes up headers that are right but for the
// checksums of TCP, which are 0. Not safe for concurrent use.
type Writer struct {
	w    io.Writer
	seqs map[pair][2]uint32 // what the lesser, and the other, address sends next
	buf  []byte
}

// NewWriter writes the header of the file.
func NewWriter(w io.Writer) (*Writer, error) {
	head := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d) // nanoseconds
	head = binary.LittleEndian.AppendUint16(head, 2)
	head = binary.LittleEndian.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...)
	head = binary.LittleEndian.AppendUint32(head, snapLength)
	head = binary.LittleEndian.AppendUint32(head, linkRaw)
	_, err := w.Write(head)
	return &Writer{w: w, seqs: map[pair][2]uint32{}}, err
}

// The flags of TCP.
const (
	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagPSH = 8
	flagACK = 16
)

// Open writes the handshake of a connection.
func (w *Writer) Open(at time.Time, client, server netip.AddrPort) error {
	w.seqs[pairOf(client, server)] = [2]uint32{}
	if err := w.packet(at, client, server, flagSYN, nil); err != nil {
		return err
	}
	return w.packet(at, server, client, flagSYN|flagACK, nil)
}

// Data writes bytes that went from one end of an open connection to the other.
func (w *Writer) Data(at time.Time, from, to netip.AddrPort, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), sendMost)
		if err := w.packet(at, from, to, flagACK|flagPSH, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Close writes the end of a connection.
func (w *Writer) Close(at time.Time, client, server netip.AddrPort) error {
	if err := w.packet(at, client, server, flagACK|flagFIN, nil); err != nil {
		return err
	}
	err := w.packet(at, server, client, flagACK|flagFIN, nil)
	delete(w.seqs, pairOf(client, server))
	return err
}

// packet writes one packet and counts what it takes of the sequence numbers.
func (w *Writer) packet(at time.Time, from, to netip.AddrPort, flags byte, data []byte) error {
	key := pairOf(from, to)
	mine, other := 0, 1
	if key.a != from {
		mine, other = 1, 0
	}
	seqs := w.seqs[key]
	b := append(w.buf[:0], make([]byte, packetHead)...)
	b = appendIP(b, from.Addr().Unmap(), to.Addr().Unmap(), 20+len(data))
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint32(b, seqs[mine])
	b = binary.BigEndian.AppendUint32(b, seqs[other])
	b = append(b, 5<<4, flags)
	b = binary.BigEndian.AppendUint16(b, windowSize)
	b = append(b, 0, 0, 0, 0) // checksum, urgent pointer
	b = append(b, data...)
	w.buf = b
	binary.LittleEndian.PutUint32(b, uint32(at.Unix()))
	binary.LittleEndian.PutUint32(b[4:], uint32(at.Nanosecond()))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-packetHead))
	binary.LittleEndian.PutUint32(b[12:], uint32(len(b)-packetHead))
	seqs[mine] += uint32(len(data))
	if flags&(flagSYN|flagFIN) != 0 {
		seqs[mine]++
	}
	w.seqs[key] = seqs
	_, err := w.w.Write(b)
	return err
}

// appendIP appends an IP header for size bytes of TCP. Addresses of two kinds are both written as IPv6.
func appendIP(b []byte, from, to netip.Addr, size int) []byte {
	const hops = 64
	if !from.Is4() || !to.Is4() {
		b = append(b, 6<<4, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(size))
		b = append(b, 6, hops)
		x, y := from.As16(), to.As16()
		return append(append(b, x[:]...), y[:]...)
	}
	start := len(b)
	b = append(b, 4<<4|5, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(20+size))
	b = append(b, 0, 0, 0x40, 0, hops, 6, 0, 0)
	x, y := from.As4(), to.As4()
	b = append(append(b, x[:]...), y[:]...)
	var sum uint32
	for i := start; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[start+10:], ^uint16(sum))
	return b
}
