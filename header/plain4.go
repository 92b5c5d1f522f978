package header

import "encoding/binary"

// Plain4Len is the length in bytes of an Ethernet header without tag and an IPv4
// header without options.
const Plain4Len = EthernetLen + IPv4Len

// Plain4 is a view of those two headers as one, what TCP4 and UDP4 have in
// common:
//
//	0 Ethernet | 14 IPv4
type Plain4 [Plain4Len]byte

// Words of plain headers and what they have to be.
const (
	// EtherType IPv4, version 4, header of 20 bytes, at offset 12 with any TOS.
	plainKind     = uint32(EtherTypeIPv4)<<16 | 0x45<<8
	plainKindMask = 0xffffff00
	// Offset and MF 0, any TTL, and the protocol, at offset 20.
	plainWholeMask = uint32(ipv4MF|ipv4OffsetMask)<<16 | 0xff
)

// DstMAC returns the destination MAC as a number, to compare with MAC.Uint64.
func (h *Plain4) DstMAC() uint64 { return binary.BigEndian.Uint64(h[0:8]) >> 16 }

// Protocol returns the byte of the protocol, if it is one: the frame may not have
// passed a gate yet.
func (h *Plain4) Protocol() Protocol { return Protocol(h[23]) }

// Src and Dst return the IPv4 addresses as Addr.Uint32 gives them.
func (h *Plain4) Src() uint32 { return binary.BigEndian.Uint32(h[26:30]) }
func (h *Plain4) Dst() uint32 { return binary.BigEndian.Uint32(h[30:34]) }

// SumIPv4 returns the ones-complement sum of the IPv4 header: 0xffff if its
// checksum is right (RFC 1071).
func (h *Plain4) SumIPv4() uint16 {
	return sum20(binary.BigEndian.Uint64(h[14:22]), binary.BigEndian.Uint64(h[22:30]), binary.BigEndian.Uint32(h[30:34]))
}

// PseudoSum returns the sum of the pseudo-header of n bytes of transport header
// and data (RFC 9293 3.1, RFC 768).
func (h *Plain4) PseudoSum(n int) uint16 {
	a := binary.BigEndian.Uint64(h[26:34])
	return fold(a>>32 + a&0xffffffff + uint64(h[23]) + uint64(n))
}

// Uint64 returns the address as a number of 48 bits, m[0] the highest byte.
func (m MAC) Uint64() uint64 {
	return uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(binary.BigEndian.Uint32(m[2:6]))
}

// Link is the Ethernet header in front of IPv4 packets to one neighbour, ready
// to be written as two words.
type Link struct {
	w0 uint64 // destination, first two bytes of the source
	w1 uint64 // in the upper 48 bits: the rest of the source, the EtherType
}

// MakeLink6 makes the Link of frames with IPv6 packets from src to dst.
func MakeLink6(dst, src MAC) Link {
	s := src.Uint64()
	return Link{w0: dst.Uint64()<<16 | s>>32, w1: s<<32 | uint64(EtherTypeIPv6)<<16}
}

// MakeLink makes the Link of frames with IPv4 packets from src to dst.
func MakeLink(dst, src MAC) Link {
	s := src.Uint64()
	return Link{w0: dst.Uint64()<<16 | s>>32, w1: s<<32 | uint64(EtherTypeIPv4)<<16}
}
