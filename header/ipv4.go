package header

import "encoding/binary"

// IPv4 lengths in bytes.
const (
	IPv4Len    = 20    // header without options
	IPv4MaxLen = 60    // header with the most options
	IPv4MinMTU = 68    // every link carries this much (RFC 791 3.2)
	IPv4MaxAll = 65535 // longest packet
)

// Bits of the 16-bit field of flags and fragment offset (RFC 791 3.1).
const (
	ipv4DF         = 0x4000
	ipv4MF         = 0x2000
	ipv4OffsetMask = 0x1fff
)

// IPv4 is a view of an IPv4 header without options (RFC 791 3.1):
//
//	0 version, IHL | 1 TOS | 2 total length | 4 ID | 6 flags, fragment offset
//	8 TTL | 9 protocol | 10 checksum | 12 source | 16 destination
type IPv4 [IPv4Len]byte

// ParseIPv4 is the gate of IPv4: the version is 4, and
// 20 <= header length <= total length <= len(b). Bytes behind totalLen are
// padding of the link. Lengths are in bytes. The options, if hdrLen is over 20,
// are at b[20:hdrLen] and have a gate of their own, ParseIPv4Options; the
// checksum is left to VerifyChecksum because the NIC may have done it.
func ParseIPv4(b []byte) (h *IPv4, hdrLen, totalLen int, f Fault) {
	if len(b) < IPv4Len {
		return nil, 0, 0, FaultIPv4Short
	}
	h = (*IPv4)(b)
	if h[0]>>4 != 4 {
		return nil, 0, 0, FaultIPv4Version
	}
	hdrLen, totalLen = h.HdrLen(), int(h.TotalLen())
	if hdrLen < IPv4Len || hdrLen > totalLen {
		return nil, 0, 0, FaultIPv4IHL
	}
	if totalLen > len(b) {
		return nil, 0, 0, FaultIPv4Total
	}
	return h, hdrLen, totalLen, OK
}

// VerifyChecksum tells whether the checksum of the header hdr, with options,
// is right (RFC 1122 3.2.1.2). Nothing is padded: hdr is b[:hdrLen] of
// ParseIPv4.
func (h *IPv4) VerifyChecksum(hdr []byte) bool {
	if len(hdr) == IPv4Len {
		return h.sum() == 0xffff
	}
	return Checksum(hdr, 0) == 0xffff
}

// sum returns the ones-complement sum of the 20 bytes.
func (h *IPv4) sum() uint16 {
	return sum20(binary.BigEndian.Uint64(h[0:8]), binary.BigEndian.Uint64(h[8:16]), binary.BigEndian.Uint32(h[16:20]))
}

// sum20 returns the ones-complement sum of 20 bytes given as numbers.
func sum20(a, b uint64, c uint32) uint16 {
	return fold(a>>32 + a&0xffffffff + b>>32 + b&0xffffffff + uint64(c))
}

// Version returns the version, 4 past the gate.
func (h *IPv4) Version() int { return int(h[0] >> 4) }

// IHL returns the header length in units of 4 bytes, 5 to 15.
func (h *IPv4) IHL() int { return int(h[0] & 0xf) }

// HdrLen returns the header length in bytes, 20 to 60.
func (h *IPv4) HdrLen() int { return int(h[0]&0xf) << 2 }

// TOS returns the type of service byte: DSCP (6 bits, RFC 2474) and ECN (2
// bits, RFC 3168).
func (h *IPv4) TOS() uint8 { return h[1] }

// TotalLen returns the length of header and payload in bytes.
func (h *IPv4) TotalLen() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// ID returns the identification, which has a meaning in fragments only
// (RFC 6864 4).
func (h *IPv4) ID() uint16 { return binary.BigEndian.Uint16(h[4:6]) }

// FragOffset returns where the payload belongs in the original packet's
// payload, in bytes.
func (h *IPv4) FragOffset() uint16 {
	return (binary.BigEndian.Uint16(h[6:8]) & ipv4OffsetMask) << 3
}

// MoreFragments returns the MF flag: this is not the last fragment.
func (h *IPv4) MoreFragments() bool { return h[6]&(ipv4MF>>8) != 0 }

// DontFragment returns the DF flag.
func (h *IPv4) DontFragment() bool { return h[6]&(ipv4DF>>8) != 0 }

// IsFragment tells whether the packet is only a part: MF is set or the offset
// is not zero.
func (h *IPv4) IsFragment() bool {
	return binary.BigEndian.Uint16(h[6:8])&(ipv4MF|ipv4OffsetMask) != 0
}

// TTL returns the time to live.
func (h *IPv4) TTL() uint8 { return h[8] }

// Protocol returns what the payload is.
func (h *IPv4) Protocol() Protocol { return Protocol(h[9]) }

// Checksum returns the header checksum field.
func (h *IPv4) Checksum() uint16 { return binary.BigEndian.Uint16(h[10:12]) }

// Src returns the source address.
func (h *IPv4) Src() Addr { return AddrFrom4Uint(binary.BigEndian.Uint32(h[12:16])) }

// Dst returns the destination address.
func (h *IPv4) Dst() Addr { return AddrFrom4Uint(binary.BigEndian.Uint32(h[16:20])) }

// The setters below leave the checksum as it is. After them call FillChecksum,
// or bring the field up to date with UpdateChecksum16 or UpdateChecksum32.

// SetTOS sets the type of service byte.
func (h *IPv4) SetTOS(tos uint8) { h[1] = tos }

// SetTotalLen sets the length of header and payload in bytes.
func (h *IPv4) SetTotalLen(n uint16) { binary.BigEndian.PutUint16(h[2:4], n) }

// SetID sets the identification.
func (h *IPv4) SetID(id uint16) { binary.BigEndian.PutUint16(h[4:6], id) }

// SetFrag sets flags and fragment offset; off is in bytes and a multiple of 8
// (its three low bits are dropped).
func (h *IPv4) SetFrag(off uint16, more, dont bool) {
	binary.BigEndian.PutUint16(h[6:8], fragField(off, more, dont))
}

// fragField puts flags and offset together (RFC 791 3.1).
func fragField(off uint16, more, dont bool) uint16 {
	v := off >> 3
	if more {
		v |= ipv4MF
	}
	if dont {
		v |= ipv4DF
	}
	return v
}

// SetTTL sets the time to live.
func (h *IPv4) SetTTL(ttl uint8) { h[8] = ttl }

// SetProtocol sets what the payload is.
func (h *IPv4) SetProtocol(p Protocol) { h[9] = uint8(p) }

// SetChecksum sets the header checksum field.
func (h *IPv4) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[10:12], c) }

// SetSrc sets the source address, which is IPv4.
func (h *IPv4) SetSrc(a Addr) { binary.BigEndian.PutUint32(h[12:16], a.Uint32()) }

// SetDst sets the destination address, which is IPv4.
func (h *IPv4) SetDst(a Addr) { binary.BigEndian.PutUint32(h[16:20], a.Uint32()) }

// DecTTL takes one from the time to live and brings the checksum up to date
// (RFC 1812 5.3.1, RFC 1624). The time to live must be over 0.
func (h *IPv4) DecTTL() {
	old := binary.BigEndian.Uint16(h[8:10])
	h[8]--
	h.SetChecksum(UpdateChecksum16(h.Checksum(), old, old-0x100))
}

// FillChecksum computes the checksum of the header hdr, which starts at h and
// includes the options, and stores it.
func (h *IPv4) FillChecksum(hdr []byte) {
	h.SetChecksum(0)
	if len(hdr) == IPv4Len {
		h.SetChecksum(^h.sum())
		return
	}
	h.SetChecksum(^Checksum(hdr, 0))
}

// IPv4Fields is what varies in an IPv4 header. Src and Dst are IPv4 addresses.
type IPv4Fields struct {
	TOS           uint8
	TTL           uint8
	Protocol      Protocol
	DontFragment  bool
	MoreFragments bool
	HdrLen        uint8  // bytes, a multiple of 4; 0 = 20
	TotalLen      uint16 // header and payload in bytes
	ID            uint16
	FragOffset    uint16 // bytes, a multiple of 8
	Src, Dst      Addr
}

// Encode fills the 20 bytes and their checksum. A header with options
// (HdrLen over 20) needs FillChecksum once the options are written.
//
// It puts the header together in registers: reading back single fields just
// written, for the checksum, would wait for the stores.
func (h *IPv4) Encode(f *IPv4Fields) {
	ihl := f.HdrLen >> 2
	if ihl == 0 {
		ihl = IPv4Len / 4
	}
	frag := fragField(f.FragOffset, f.MoreFragments, f.DontFragment)
	a := uint64(4<<4|ihl)<<56 | uint64(f.TOS)<<48 | uint64(f.TotalLen)<<32 | uint64(f.ID)<<16 | uint64(frag)
	b := uint64(f.TTL)<<56 | uint64(f.Protocol)<<48 | uint64(f.Src.Uint32())
	c := f.Dst.Uint32()
	check := ^sum20(a, b, c)
	binary.BigEndian.PutUint64(h[0:8], a)
	binary.BigEndian.PutUint64(h[8:16], b|uint64(check)<<32)
	binary.BigEndian.PutUint32(h[16:20], c)
}
