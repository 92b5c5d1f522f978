package header

import "encoding/binary"

// IPv6 lengths in bytes.
const (
	IPv6Len    = 40   // fixed header
	IPv6MinMTU = 1280 // every link carries this much (RFC 8200 5)
)

// IPv6 is a view of an IPv6 header (RFC 8200 3):
//
//	0 version, traffic class, flow label | 4 payload length | 6 next header | 7 hop limit
//	8 source | 24 destination
type IPv6 [IPv6Len]byte

// ParseIPv6 is the gate of IPv6: the version is 6 and the payload lies within
// b. payloadLen, in bytes, counts extension headers and the upper layer;
// what lies behind is padding of the link. Of jumbograms (RFC 2675) it is 0:
// IsJumbo tells, and ParseIPv6Jumbo says what it is.
//
// IPv4-mapped addresses don't belong on the wire (RFC 6890 table 20) and are
// refused, or else an IPv6 packet could pass for one of IPv4: both have the
// same Addr.
//
// Nor do link-local addresses with a zone in them (see Addr.WithZone).
func ParseIPv6(b []byte) (h *IPv6, payloadLen int, f Fault) { return ParseIPv6Head(b, len(b)) }

// addrFault says what no address on the wire can be.
func (h *IPv6) addrFault() Fault {
	src, dst := h.Src(), h.Dst()
	if src.Is4() || dst.Is4() {
		return FaultIPv6Mapped
	}
	if src.DirtyZone() || dst.DirtyZone() {
		return FaultIPv6Zone
	}
	return OK
}

// ParseIPv6Head is ParseIPv6 for a packet of n bytes of which b is the first
// part, with the fixed header at least.
func ParseIPv6Head(b []byte, n int) (h *IPv6, payloadLen int, f Fault) {
	if len(b) < IPv6Len {
		return nil, 0, FaultIPv6Short
	}
	h = (*IPv6)(b)
	if h[0]>>4 != 6 {
		return nil, 0, FaultIPv6Version
	}
	payloadLen = int(h.PayloadLen())
	if payloadLen > n-IPv6Len {
		return nil, 0, FaultIPv6Payload
	}
	if f = h.addrFault(); f != OK {
		return nil, 0, f
	}
	return h, payloadLen, OK
}

// Version returns the version, 6 past the gate.
func (h *IPv6) Version() int { return int(h[0] >> 4) }

// TrafficClass returns DSCP (6 bits) and ECN (2 bits), as IPv4.TOS.
func (h *IPv6) TrafficClass() uint8 { return uint8(binary.BigEndian.Uint16(h[0:2]) >> 4) }

// FlowLabel returns the flow label, 20 bits (RFC 6437).
func (h *IPv6) FlowLabel() uint32 { return binary.BigEndian.Uint32(h[0:4]) & 0xfffff }

// PayloadLen returns the length of what follows the 40 bytes, in bytes.
func (h *IPv6) PayloadLen() uint16 { return binary.BigEndian.Uint16(h[4:6]) }

// NextHeader returns what follows: an upper layer or an extension header.
func (h *IPv6) NextHeader() Protocol { return Protocol(h[6]) }

// HopLimit returns the hop limit.
func (h *IPv6) HopLimit() uint8 { return h[7] }

// Src returns the source address.
func (h *IPv6) Src() Addr {
	return Addr{binary.BigEndian.Uint64(h[8:16]), binary.BigEndian.Uint64(h[16:24])}
}

// Dst returns the destination address.
func (h *IPv6) Dst() Addr {
	return Addr{binary.BigEndian.Uint64(h[24:32]), binary.BigEndian.Uint64(h[32:40])}
}

// SetTrafficClass sets DSCP and ECN.
func (h *IPv6) SetTrafficClass(tc uint8) {
	h[0] = 6<<4 | tc>>4
	h[1] = h[1]&0xf | tc<<4
}

// SetPayloadLen sets the length of what follows the 40 bytes, in bytes.
func (h *IPv6) SetPayloadLen(n uint16) { binary.BigEndian.PutUint16(h[4:6], n) }

// SetNextHeader sets what follows.
func (h *IPv6) SetNextHeader(p Protocol) { h[6] = uint8(p) }

// SetHopLimit sets the hop limit.
func (h *IPv6) SetHopLimit(n uint8) { h[7] = n }

// SetSrc sets the source address.
func (h *IPv6) SetSrc(a Addr) { putAddr((*[16]byte)(h[8:24]), a.Unzoned()) }

// SetDst sets the destination address.
func (h *IPv6) SetDst(a Addr) { putAddr((*[16]byte)(h[24:40]), a.Unzoned()) }

// putAddr writes a in network order.
func putAddr(b *[16]byte, a Addr) {
	binary.BigEndian.PutUint64(b[0:8], a.hi)
	binary.BigEndian.PutUint64(b[8:16], a.lo)
}

// IPv6Fields is what varies in an IPv6 header.
type IPv6Fields struct {
	TrafficClass uint8
	HopLimit     uint8
	NextHeader   Protocol
	PayloadLen   uint16 // what follows the 40 bytes, in bytes
	FlowLabel    uint32 // 20 bits
	Src, Dst     Addr
}

// Encode fills the whole header.
func (h *IPv6) Encode(f *IPv6Fields) {
	binary.BigEndian.PutUint32(h[0:4], 6<<28|uint32(f.TrafficClass)<<20|f.FlowLabel&0xfffff)
	h.SetPayloadLen(f.PayloadLen)
	h[6] = uint8(f.NextHeader)
	h[7] = f.HopLimit
	h.SetSrc(f.Src)
	h.SetDst(f.Dst)
}
