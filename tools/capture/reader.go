package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Read reads a capture and gives each piece of its TCP connections to f. ports are those that servers listen on, for connections whose
// beginning was not captured; none is 9092. An error of f ends the reading and is returned.
func Read(r io.Reader, ports []uint16, f func(Chunk) error) error {
	in := bufio.NewReaderSize(r, 1<<20)
	var head [headerSize]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return fmt.Errorf("%w: its header is cut off: %w", ErrFormat, err)
	}
	order, fraction, err := magic(head[:4])
	if err != nil {
		return err
	}
	link := order.Uint32(head[20:]) & 0x0fffffff // the upper bits are about checksums
	if _, err := payloadOfLink(nil, link); errors.Is(err, ErrFormat) {
		return err
	}
	if len(ports) == 0 {
		ports = []uint16{portKafka}
	}
	a := assembler{ports: ports, emit: f, flows: map[pair]*flow{}}
	packet := make([]byte, 0, 64<<10)
	for n := 1; ; n++ {
		var ph [packetHead]byte
		if _, err := io.ReadFull(in, ph[:]); err == io.EOF {
			return a.finish()
		} else if err != nil {
			return errors.Join(fmt.Errorf("%w: packet %d is cut off", ErrFormat, n), a.finish())
		}
		captured := order.Uint32(ph[8:])
		if captured > maxPacket {
			return errors.Join(fmt.Errorf("%w: packet %d claims %d bytes", ErrFormat, n, captured), a.finish())
		}
		if cap(packet) < int(captured) {
			packet = make([]byte, 0, captured)
		}
		packet = packet[:captured]
		if _, err := io.ReadFull(in, packet); err != nil {
			return errors.Join(fmt.Errorf("%w: packet %d is cut off", ErrFormat, n), a.finish())
		}
		at := time.Unix(int64(order.Uint32(ph[:])), int64(order.Uint32(ph[4:]))*fraction).UTC()
		ip, err := payloadOfLink(packet, link)
		if err != nil {
			continue // no IP packet
		}
		if s, ok := parseIP(ip); ok {
			if err := a.segment(at, s); err != nil {
				return err
			}
		}
	}
}

// magic gives the byte order, and the nanoseconds in a unit of the fraction.
func magic(b []byte) (binary.ByteOrder, int64, error) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(b) {
		case 0xa1b2c3d4:
			return order, 1000, nil
		case 0xa1b23c4d:
			return order, 1, nil
		}
	}
	if binary.BigEndian.Uint32(b) == 0x0a0d0d0a {
		return nil, 0, fmt.Errorf("%w but a pcapng: convert it with `editcap -F pcap IN OUT`, or capture with tcpdump -w", ErrFormat)
	}
	return nil, 0, fmt.Errorf("%w: it begins with %x", ErrFormat, b)
}

var errNotIP = errors.New("not an IP packet")

// payloadOfLink takes off the link header. A link type that is not known is ErrFormat.
func payloadOfLink(b []byte, link uint32) ([]byte, error) {
	skip := func(head, typeAt int) ([]byte, error) {
		if len(b) < head {
			return nil, errNotIP
		}
		t := binary.BigEndian.Uint16(b[typeAt:])
		for b = b[head:]; t == 0x8100 || t == 0x88a8; b = b[4:] { // VLAN tags
			if len(b) < 4 {
				return nil, errNotIP
			}
			t = binary.BigEndian.Uint16(b[2:])
		}
		if t != 0x0800 && t != 0x86dd {
			return nil, errNotIP
		}
		return b, nil
	}
	switch link {
	case 0: // BSD loopback: the address family; the IP version says the same
		if len(b) < 4 {
			return nil, errNotIP
		}
		return b[4:], nil
	case 1: // Ethernet
		return skip(14, 12)
	case 12, linkRaw, 228, 229: // IP, without a link header
		return b, nil
	case 113: // Linux cooked (tcpdump -i any)
		return skip(16, 14)
	case 276: // the same, version 2
		return skip(20, 0)
	}
	return nil, fmt.Errorf("%w of a link that is understood: type %d; capture on eth0, lo or any", ErrFormat, link)
}

// segment is a TCP segment. payload may be shorter than size: the capture may have cut the packet.
type segment struct {
	from, to      netip.AddrPort
	seq           uint32
	syn, ack, fin bool
	rst           bool
	payload       []byte
	size          int
}

// parseIP reads IP and TCP headers; false for what is not TCP, or a fragment, or broken.
func parseIP(b []byte) (s segment, ok bool) {
	if len(b) < 1 {
		return s, false
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return s, false
}

func parseIPv4(b []byte) (s segment, ok bool) {
	if len(b) < 20 {
		return s, false
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) // segmentation by the network card: the kernel leaves it to the captured length
	}
	fragment := binary.BigEndian.Uint16(b[6:])&0x3fff != 0
	if head < 20 || len(b) < head || total < head || fragment || b[9] != 6 {
		return s, false
	}
	return parseTCP(b[head:], total-head, netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])))
}

func parseIPv6(b []byte) (s segment, ok bool) {
	const head = 40
	if len(b) < head {
		return s, false
	}
	from, to := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	size, next := int(binary.BigEndian.Uint16(b[4:])), b[6]
	rest := b[head:]
	if size == 0 {
		size = len(rest)
	}
	for next == 0 || next == 43 || next == 60 { // hop by hop, routing, destination options; each says how long it is
		if len(rest) < 8 {
			return s, false
		}
		n := (int(rest[1]) + 1) * 8
		if len(rest) < n || size < n {
			return s, false
		}
		next, rest, size = rest[0], rest[n:], size-n
	}
	if next != 6 {
		return s, false
	}
	return parseTCP(rest, size, from, to)
}

func parseTCP(b []byte, size int, from, to netip.Addr) (s segment, ok bool) {
	if len(b) < 20 {
		return s, false
	}
	head := int(b[12]>>4) * 4
	if head < 20 || len(b) < head || size < head {
		return s, false
	}
	flags := b[13]
	s = segment{
		from: netip.AddrPortFrom(from, binary.BigEndian.Uint16(b)), to: netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:])),
		seq: binary.BigEndian.Uint32(b[4:]), fin: flags&1 != 0, syn: flags&2 != 0, rst: flags&4 != 0, ack: flags&16 != 0,
		payload: b[head:min(len(b), size)], size: size - head,
	}
	return s, true
}
