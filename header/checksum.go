package header

import "math/bits"

// fold reduces a sum of 16, 32 or 64-bit words to 16 bits: x plus x turned by
// half its width has the sum of both halves, with its carry added back, in the
// upper half.
func fold(s uint64) uint16 {
	s += bits.RotateLeft64(s, 32)
	t := uint32(s >> 32)
	t += bits.RotateLeft32(t, 16)
	return uint16(t >> 16)
}

// vectorMin is the length in bytes from which the vector loops win over the
// detour through memory that calling assembly is.
const vectorMin = 64

// Checksum returns the ones-complement sum of sum and the big-endian words of
// b, an odd last byte padded with zero (RFC 1071). b starts at an even offset
// of the summed data; for a part at an odd offset see ChecksumOdd.
func Checksum(b []byte, sum uint16) uint16 {
	if len(b) < vectorMin {
		return sumShort(b, sum)
	}
	if hasAVX512 {
		return checksumAVX512(&b[0], len(b), sum)
	}
	if hasAVX2 {
		return checksumAVX2(&b[0], len(b), sum)
	}
	if hasNEON {
		return checksumNEON(&b[0], len(b), sum)
	}
	return sumWide(b, sum)
}

// ChecksumCopy copies src to dst and returns Checksum(src, sum), where there is
// assembly in one pass. dst has at least len(src) bytes (it panics otherwise)
// and does not overlap src.
func ChecksumCopy(dst, src []byte, sum uint16) uint16 {
	dst = dst[:len(src)]
	if len(src) >= vectorMin {
		if hasAVX512 {
			return checksumCopyAVX512(&dst[0], &src[0], len(src), sum)
		}
		if hasAVX2 {
			return checksumCopyAVX2(&dst[0], &src[0], len(src), sum)
		}
		if hasNEON {
			return checksumCopyNEON(&dst[0], &src[0], len(src), sum)
		}
	}
	copy(dst, src)
	return Checksum(src, sum)
}

// CombineChecksum returns the ones-complement sum of two sums.
func CombineChecksum(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s>>16 + s)
}

// ChecksumOdd turns the sum of a part into what it contributes if the part
// starts at an odd offset: the bytes swapped (RFC 1071 2 (B)).
func ChecksumOdd(sum uint16) uint16 { return sum<<8 | sum>>8 }

// PseudoHeader4 returns the sum of the IPv4 pseudo-header (RFC 9293 3.1, RFC
// 768): addresses, protocol, and length n of L4 header and data in bytes.
func PseudoHeader4(src, dst Addr, p Protocol, n uint16) uint16 {
	return fold(uint64(src.Uint32()) + uint64(dst.Uint32()) + uint64(p) + uint64(n))
}

// PseudoHeader6 returns the sum of the IPv6 pseudo-header (RFC 8200 8.1):
// addresses, protocol of the upper layer, and length n of its header and data
// in bytes.
func PseudoHeader6(src, dst Addr, p Protocol, n uint32) uint16 {
	src, dst = src.Unzoned(), dst.Unzoned()
	s := src.hi>>32 + src.hi&0xffffffff + src.lo>>32 + src.lo&0xffffffff
	s += dst.hi>>32 + dst.hi&0xffffffff + dst.lo>>32 + dst.lo&0xffffffff
	return fold(s + uint64(p) + uint64(n))
}

// PseudoHeader returns the sum of the pseudo-header of the family of dst; n is
// the length of L4 header and data in bytes.
func PseudoHeader(src, dst Addr, p Protocol, n uint32) uint16 {
	if dst.Is4() { // IPv4's length has 16 bits, but for what never leaves the machine
		return fold(uint64(src.Uint32()) + uint64(dst.Uint32()) + uint64(p) + uint64(n))
	}
	return PseudoHeader6(src, dst, p, n)
}

// UpdateChecksum16 returns the checksum field check after one 16-bit word of
// the data changed (RFC 1624 3, equation 3).
func UpdateChecksum16(check, from, to uint16) uint16 {
	s := uint32(^check) + uint32(^from) + uint32(to)
	s = s>>16 + s&0xffff
	return ^uint16(s>>16 + s)
}

// UpdateChecksum32 returns the checksum field check after 32 bits of the data,
// at an even offset, changed (RFC 1624 3, equation 3).
func UpdateChecksum32(check uint16, from, to uint32) uint16 {
	return ^fold(uint64(^check) + uint64(^from) + uint64(to))
}
