package header

// Checksum returns the ones-complement sum of sum and the big-endian words of
// b, an odd last byte padded with zero (RFC 1071). b starts at an even offset
// of the summed data; for a part at an odd offset see ChecksumOdd.
func Checksum(b []byte, sum uint16) uint16 { return checksumGeneric(b, sum) }

// ChecksumCopy copies src to dst and returns Checksum(src, sum). dst has at
// least len(src) bytes (it panics otherwise) and does not overlap src.
func ChecksumCopy(dst, src []byte, sum uint16) uint16 { return checksumCopyGeneric(dst, src, sum) }
