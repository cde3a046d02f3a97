// Package capture turns a file of captured packets into what TCP connections carried: bytes in order, by direction. It also writes such
// files, for a proxy that has the bytes and no packets.
//
// It knows nothing of what the bytes mean. It reads the classic pcap format only (tcpdump -w writes it; `editcap -F pcap` makes it of a
// pcapng), IPv4 and IPv6, no IP fragments, no checksums. Input is hostile: every length is bounded by the bytes that are there, a
// connection holds at most MaxPending bytes that came early, and at most MaxFlows connections are open at once.
//
//	file    | magic 4 | version 2+2 | zone 4 | accuracy 4 | snap length 4 | link type 4 |  then packets, in the byte order of the magic
//	packet  | seconds 4 | fraction 4 | captured 4 | length 4 | captured bytes |             the fraction is µs, or ns if the magic says so
//	bytes   | link header, by type | IPv4 20.. or IPv6 40.. | TCP 20.. | payload |
//
// Sources: draft-ietf-opsawg-pcap; RFC 9293 (TCP), 791, 8200; tcpdump.org/linktypes.html.
package capture

import (
	"errors"
	"net/netip"
	"time"
)

// The bounds.
const (
	MaxFlows   = 16 << 10  // connections open at once
	MaxPending = 4 << 20   // bytes of one direction that came before those in front of them
	maxPackets = 4096      // the same in packets
	maxPacket  = 1 << 20   // bytes captured of one packet; tcpdump's own bound is 256 KiB
	headerSize = 24        // of the file
	packetHead = 16        // of a packet
	sendMost   = 60 << 10  // bytes in one written packet
	windowSize = 65535     // in written packets
	portKafka  = 9092      // the server's where nothing else tells
	linkRaw    = 101       // what Writer writes: no link header
	snapLength = 256 << 10 // what Writer says
)

// ErrFormat is a file that is no pcap file, or goes wrong in the middle.
var ErrFormat = errors.New("not a pcap file")

// Flow is one TCP connection.
type Flow struct {
	ID     int // 1, 2, … in the order of their first packets
	Client netip.AddrPort
	Server netip.AddrPort
}

// Chunk is what came next in one direction of a connection.
type Chunk struct {
	Flow       *Flow
	At         time.Time // of the packet that made it whole
	FromClient bool
	Lost       int64  // bytes that are missing before Data; the capture has a hole
	Data       []byte // valid during the call; empty when End
	End        bool   // the connection is over, or the file
}
