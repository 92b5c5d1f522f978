package header

import "math/rand/v2"

// plainSum is the sum as RFC 1071 4.1 writes it down: one 16-bit word after
// the other. All others are tested against it.
func plainSum(b []byte, sum uint16) uint16 {
	s := uint32(sum)
	for i, v := range b {
		w := uint32(v)
		if i&1 == 0 {
			w <<= 8
		}
		if s += w; s > 0xffff {
			s -= 0xffff
		}
	}
	return uint16(s)
}

// sumFunc is the signature of all sums.
type sumFunc func(b []byte, sum uint16) uint16

// copyFunc is the signature of all sums that copy.
type copyFunc func(dst, src []byte, sum uint16) uint16

// sums lists all implementations that this machine can run, with the lengths
// that they take; platform files add theirs.
var sums = []struct {
	name     string
	sum      sumFunc
	min, max int
}{
	{"Checksum", Checksum, 0, 1 << 30},
	{"sumWide", sumWide, 0, 1 << 30},
	{"sumShort", sumShort, 0, 63},
}

// copies is the same for sums that copy.
var copies = []struct {
	name string
	sum  copyFunc
	min  int
}{
	{"ChecksumCopy", ChecksumCopy, 0},
}

// addAssembly adds a pair that takes pointers and at least minLen bytes.
func addAssembly(name string, sum func(*byte, int, uint16) uint16, cp func(_, _ *byte, _ int, _ uint16) uint16, minLen int) {
	x, y := sums[0], copies[0]
	x.name, x.min = name, minLen
	x.sum = func(b []byte, s uint16) uint16 { return sum(&b[0], len(b), s) }
	y.name, y.min = name, minLen
	y.sum = func(dst, src []byte, s uint16) uint16 { return cp(&dst[0], &src[0], len(src), s) }
	sums, copies = append(sums, x), append(copies, y)
}

// randomBytes returns n bytes that depend on seed only.
func randomBytes(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// patterns returns buffers of n bytes that strain carries in different ways.
func patterns(n int) map[string][]byte {
	ones, ends := make([]byte, n), make([]byte, n)
	for i := range ones {
		ones[i] = 0xff
		ends[i] = byte(-(i >> 3 & 1)) // words of 64 bits: 0, all ones
	}
	return map[string][]byte{
		"random": randomBytes(n, 7), "zeros": make([]byte, n), "ones": ones, "ends": ends,
	}
}
