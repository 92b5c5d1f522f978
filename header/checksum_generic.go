package header

import (
	"encoding/binary"
	"math/bits"
)

// The sums below add 64 bits at a time with carries. Loads are little-endian
// because that is free where it matters: the sum of byte-swapped words is the
// byte-swapped sum (RFC 1071 2 (B)).

// sumWide is Checksum of any b, best of 64 bytes and more.
func sumWide(b []byte, sum uint16) uint16 {
	s := uint64(bits.ReverseBytes16(sum))
	var c uint64
	for len(b) >= 64 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[0:8]), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:16]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[16:24]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[24:32]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[32:40]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[40:48]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[48:56]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[56:64]), c)
		s, _ = bits.Add64(s, 0, c)
		b = b[64:]
	}
	return sumShort(b, bits.ReverseBytes16(fold(s)))
}

// sumShort is Checksum of fewer than 64 bytes.
func sumShort(b []byte, sum uint16) uint16 {
	start := uint64(bits.ReverseBytes16(sum))
	if len(b) < 8 {
		return bits.ReverseBytes16(fold(start + sumTiny(b)))
	}
	// The bytes behind the last whole 8, by a load that ends with b: those
	// that are summed below are shifted out.
	last := binary.LittleEndian.Uint64(b[len(b)-8:]) >> (64 - len(b)&7*8)
	var s, c uint64
	if len(b) >= 32 {
		s, c = bits.Add64(binary.LittleEndian.Uint64(b[0:8]), binary.LittleEndian.Uint64(b[8:16]), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[16:24]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[24:32]), c)
		s, _ = bits.Add64(s, 0, c)
		b = b[32:]
	}
	if len(b) >= 16 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[0:8]), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:16]), c)
		s, _ = bits.Add64(s, 0, c)
		b = b[16:]
	}
	if len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s, _ = bits.Add64(s, 0, c)
	}
	s, c = bits.Add64(s, last+start, 0) // last is below 2^56: no carry is lost
	return bits.ReverseBytes16(fold(s + c))
}

// sumTiny sums fewer than 8 bytes in little-endian order.
func sumTiny(b []byte) (s uint64) {
	if len(b) >= 4 {
		s = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		s += uint64(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0])
	}
	return s
}
