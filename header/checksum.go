package header

// Sums in this package are 16-bit ones-complement sums of big-endian words
// (RFC 1071), running and not complemented: 0 to start with, 0xffff once a
// right checksum is included, and the checksum field is ^sum.

// fold reduces a sum of 32-bit or 16-bit words to 16 bits.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
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
	s := src.hi>>32 + src.hi&0xffffffff + src.lo>>32 + src.lo&0xffffffff
	s += dst.hi>>32 + dst.hi&0xffffffff + dst.lo>>32 + dst.lo&0xffffffff
	return fold(s + uint64(p) + uint64(n))
}

// PseudoHeader returns the sum of the pseudo-header of the family of dst; n is
// the length of L4 header and data in bytes.
func PseudoHeader(src, dst Addr, p Protocol, n uint32) uint16 {
	if dst.Is4() {
		return PseudoHeader4(src, dst, p, uint16(n))
	}
	return PseudoHeader6(src, dst, p, n)
}

// UpdateChecksum16 returns the checksum field check after one 16-bit word of
// the data changed from old to new (RFC 1624 3, equation 3).
func UpdateChecksum16(check, old, new uint16) uint16 {
	s := uint32(^check) + uint32(^old) + uint32(new)
	s = s>>16 + s&0xffff
	return ^uint16(s>>16 + s)
}

// UpdateChecksum32 returns the checksum field check after 32 bits of the data,
// at an even offset, changed from old to new (RFC 1624 3, equation 3).
func UpdateChecksum32(check uint16, old, new uint32) uint16 {
	return ^fold(uint64(^check) + uint64(^old) + uint64(new))
}
