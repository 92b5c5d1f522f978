package netem

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// headLen is how much of a frame is looked at: a link header with two tags, and
// an IPv6 header with the ports behind it.
const headLen = header.EthernetLen + 2*header.VLANLen + header.IPv6Len + 4

// network finds the network header of a frame whose first bytes are b: its
// offset, and 4, 6, or 0 if it is of another protocol or cut short.
func network(b []byte) (off, version int) {
	if len(b) < header.EthernetLen {
		return 0, 0
	}
	typ := header.EtherType(binary.BigEndian.Uint16(b[12:]))
	off = header.EthernetLen
	for range 2 {
		if (typ == header.EtherTypeVLAN || typ == header.EtherTypeQinQ) && len(b) >= off+header.VLANLen {
			typ = header.EtherType(binary.BigEndian.Uint16(b[off+2:]))
			off += header.VLANLen
		}
	}
	switch {
	case typ == header.EtherTypeIPv4 && len(b) >= off+header.IPv4Len:
		return off, 4
	case typ == header.EtherTypeIPv6 && len(b) >= off+header.IPv6Len:
		return off, 6
	}
	return 0, 0
}

// Codepoints of the ECN field (RFC 3168 5).
const (
	ecnMask = 3
	notECT  = 0
	ce      = 3
)

// MarkCE sets the frame's ECN field to CE, if its sender takes part, and
// reports whether it is CE now (RFC 3168 5).
func MarkCE(f *pbuf.Pbuf) bool {
	b := f.Payload()
	off, version := network(b)
	switch version {
	case 4:
		h := (*header.IPv4)(b[off : off+header.IPv4Len])
		tos := h.TOS()
		if tos&ecnMask == notECT {
			return false
		}
		was := binary.BigEndian.Uint16(h[0:2])
		h.SetTOS(tos | ce)
		h.SetChecksum(header.UpdateChecksum16(h.Checksum(), was, was|ce))
		return true
	case 6:
		h := (*header.IPv6)(b[off : off+header.IPv6Len])
		if h.TrafficClass()&ecnMask == notECT {
			return false
		}
		h.SetTrafficClass(h.TrafficClass() | ce)
		return true
	}
	return false
}

// flowHash is a hash of the ends of a frame's flow; that of a frame that is not
// IP is of its link addresses.
func flowHash(f *pbuf.Pbuf, salt uint64) uint64 {
	var buf [headLen]byte
	n := min(f.TotLen(), headLen)
	b := f.Contiguous(buf[:], n, 0)
	h := salt
	mix := func(v uint64) {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	be := binary.BigEndian
	off, version := network(b)
	var rest []byte
	switch version {
	case 4:
		mix(be.Uint64(b[off+12:]))
		mix(uint64(b[off+9]))
		if be.Uint16(b[off+6:])&0x3fff == 0 { // fragments have no ports
			rest = b[min(off+int(b[off]&15)*4, n):]
		}
	case 6:
		for i := 8; i < 40; i += 8 {
			mix(be.Uint64(b[off+i:]))
		}
		mix(uint64(b[off+6]))
		rest = b[off+header.IPv6Len:]
	default:
		for _, c := range b[:min(n, 12)] {
			mix(uint64(c))
		}
	}
	if len(rest) >= 4 {
		mix(uint64(be.Uint32(rest)))
	}
	return h
}
