package header

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkLengths compares every implementation with the plain loop for each
// step-th length from 0 to len(b).
func checkLengths(t *testing.T, b []byte, step int, start uint16) {
	t.Helper()
	want := start // of b[:n]
	for n := 0; ; n++ {
		for i := range sums {
			if f := &sums[i]; n >= f.min && n <= f.max && n%step == 0 {
				if got := f.sum(b[:n], start); got != want {
					t.Fatalf("%s of %d bytes: %#04x, want %#04x", f.name, n, got, want)
				}
			}
		}
		if n == len(b) {
			return
		}
		if w := uint16(b[n]); n&1 == 0 {
			want = CombineChecksum(want, w<<8)
		} else {
			want = CombineChecksum(want, w)
		}
	}
}

func TestRFC1071_3_NumericalExample(t *testing.T) {
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	require.Equal(t, uint16(0xddf2), Checksum(b, 0))
	require.Equal(t, uint16(0xddf2), plainSum(b, 0))
	require.Equal(t, uint16(0xffff), Checksum(append(b, 0x22, 0x0d), 0))
}

func TestRFC1071_EveryLengthAndAlignment(t *testing.T) {
	for name, b := range patterns(4096 + 64) {
		t.Run(name, func(t *testing.T) {
			for align := range 64 {
				if align > 4 && name != "random" {
					break
				}
				checkLengths(t, b[align:align+4096], 1, uint16(align*1031))
			}
		})
	}
}

func TestRFC1071_LongestPacket(t *testing.T) {
	for name, b := range patterns(65535) {
		t.Run(name, func(t *testing.T) {
			for _, start := range []uint16{0, 1, 0xfffe, 0xffff} {
				want := plainSum(b, start)
				for i := range sums {
					if f := &sums[i]; len(b) <= f.max {
						require.Equal(t, want, f.sum(b, start), f.name)
					}
				}
			}
		})
	}
	b := randomBytes(65535+3, 11)
	for align := range 4 {
		checkLengths(t, b[align:align+65535], 61, 0xffff) // 61: all tails in turn
	}
}

// TestChecksumLanesHoldManyCarries sums far more than a packet: no lane of any
// implementation may overflow.
func TestChecksumLanesHoldManyCarries(t *testing.T) {
	b := make([]byte, 1<<24+2)
	for i := range b {
		b[i] = 0xff
	}
	b[len(b)-1] = 0xfe
	for i := range sums {
		if f := &sums[i]; len(b) <= f.max {
			require.Equal(t, uint16(0xfffe), f.sum(b, 0), f.name)
		}
	}
}

func TestChecksumCopyEveryLength(t *testing.T) {
	const guard, most = 64, 2048
	src := randomBytes(most+64, 21)
	dst := make([]byte, most+2*guard+64)
	for i := range copies {
		f := &copies[i]
		for n := f.min; n <= most; n++ {
			from, to := n%61, guard+n%59
			in, start := src[from:from+n], uint16(n*257)
			for j := range dst {
				dst[j] = 0xa5
			}
			if got, want := f.sum(dst[to:to+n], in, start), Checksum(in, start); got != want {
				t.Fatalf("%s of %d bytes: %#04x, want %#04x", f.name, n, got, want)
			}
			if !slices.Equal(in, dst[to:to+n]) {
				t.Fatalf("%s of %d bytes: wrong copy", f.name, n)
			}
			for j, v := range dst {
				if (j < to || j >= to+n) && v != 0xa5 {
					t.Fatalf("%s of %d bytes wrote outside, at %d", f.name, n, j-to)
				}
			}
		}
	}
}

func TestChecksumCopyLongestPacket(t *testing.T) {
	src, dst := randomBytes(65535, 5), make([]byte, 65535)
	for i := range copies {
		clear(dst)
		require.Equal(t, plainSum(src, 9), copies[i].sum(dst, src, 9), copies[i].name)
		require.True(t, slices.Equal(src, dst), copies[i].name)
	}
}

func TestChecksumCopyNeedsRoom(t *testing.T) {
	for _, n := range []int{1, 63, 64, 1460} {
		require.Panics(t, func() { ChecksumCopy(make([]byte, n-1), make([]byte, n), 0) })
	}
	require.Equal(t, uint16(3), ChecksumCopy(nil, nil, 3))
	require.Equal(t, uint16(3), ChecksumCopy(make([]byte, 8), nil, 3))
}

// TestRFC1071_2A_PartsInAnyOrder: the sum is associative, so a packet may be
// summed in parts.
func TestRFC1071_2A_PartsInAnyOrder(t *testing.T) {
	b := randomBytes(1500, 1)
	want := Checksum(b, 0)
	for k := 0; k <= len(b); k += 2 {
		require.Equal(t, want, Checksum(b[k:], Checksum(b[:k], 0)))
		require.Equal(t, want, CombineChecksum(Checksum(b[:k], 0), Checksum(b[k:], 0)))
	}
}

// TestRFC1071_2B_OddOffset: a part at an odd offset counts with its bytes
// swapped.
func TestRFC1071_2B_OddOffset(t *testing.T) {
	b := randomBytes(1500, 2)
	want := Checksum(b, 0)
	for k := 1; k <= len(b); k += 2 {
		require.Equal(t, want, CombineChecksum(Checksum(b[:k], 0), ChecksumOdd(Checksum(b[k:], 0))))
	}
	require.Equal(t, uint16(0x3412), ChecksumOdd(0x1234))
}

func TestCombineChecksumIsOnesComplement(t *testing.T) {
	for _, c := range []struct{ a, b, want uint16 }{
		{0, 0, 0}, {0, 0xffff, 0xffff}, {0xffff, 0xffff, 0xffff}, {0xffff, 1, 1},
		{0x8000, 0x8000, 1}, {0xfffe, 1, 0xffff}, {0x1234, 0x4321, 0x5555},
	} {
		require.Equal(t, c.want, CombineChecksum(c.a, c.b))
		require.Equal(t, c.want, CombineChecksum(c.b, c.a))
	}
}

func TestRFC1624_4_NumericalExample(t *testing.T) {
	// Equation 3 gives 0x0000 where RFC 1141's gave 0xffff.
	require.Equal(t, uint16(0x0000), UpdateChecksum16(0xdd2f, 0x5555, 0x3285))
	require.Equal(t, uint16(0x0000), UpdateChecksum32(0xdd2f, 0x5555, 0x3285))
}

// TestRFC1624_3_UpdateMatchesRecomputation changes words of random data and
// compares the updated field with a fresh one.
func TestRFC1624_3_UpdateMatchesRecomputation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := randomBytes(64, 4)
	check := ^Checksum(b, 0)
	for range 20000 {
		i := 2 * r.IntN(31)
		from := uint32(b[i])<<24 | uint32(b[i+1])<<16 | uint32(b[i+2])<<8 | uint32(b[i+3])
		if r.IntN(2) == 0 {
			to := uint16(r.Uint32() >> (r.IntN(2) * 31))
			check = UpdateChecksum16(check, uint16(from>>16), to)
			b[i], b[i+1] = byte(to>>8), byte(to)
		} else {
			to := r.Uint32() >> (r.IntN(2) * 31)
			check = UpdateChecksum32(check, from, to)
			b[i], b[i+1], b[i+2], b[i+3] = byte(to>>24), byte(to>>16), byte(to>>8), byte(to)
		}
		require.Equal(t, ^Checksum(b, 0), check)
	}
}

// pseudoBytes lays out the pseudo-header that src and dst belong to.
func pseudoBytes(src, dst Addr, p Protocol, n int) []byte {
	if dst.Is4() {
		s, d := src.As4(), dst.As4()
		b := append(s[:], d[:]...)
		return append(b, 0, byte(p), byte(n>>8), byte(n))
	}
	s, d := src.As16(), dst.As16()
	b := append(s[:], d[:]...)
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 0, 0, 0, byte(p))
}

func TestRFC9293_3_1_PseudoHeader4(t *testing.T) {
	src, dst := addr(t, "192.0.2.1"), addr(t, "198.51.100.255")
	for _, n := range []int{0, 20, 1480, 65515, 65535} {
		want := plainSum(pseudoBytes(src, dst, ProtoTCP, n), 0)
		require.Equal(t, want, PseudoHeader4(src, dst, ProtoTCP, uint16(n)))
		require.Equal(t, want, PseudoHeader(src, dst, ProtoTCP, uint32(n)))
	}
	all := AddrBroadcast4
	want := plainSum(pseudoBytes(all, all, 255, 65535), 0)
	require.Equal(t, want, PseudoHeader4(all, all, 255, 65535))
}

func TestRFC8200_8_1_PseudoHeader6(t *testing.T) {
	src, dst := addr(t, "2001:db8::1:2"), addr(t, "fe80::ffff:abcd:ef01:2345")
	for _, n := range []int{0, 8, 1440, 65535, 1 << 20} {
		want := plainSum(pseudoBytes(src, dst, ProtoICMPv6, n), 0)
		require.Equal(t, want, PseudoHeader6(src, dst, ProtoICMPv6, uint32(n)))
		require.Equal(t, want, PseudoHeader(src, dst, ProtoICMPv6, uint32(n)))
	}
	all := addr(t, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	want := plainSum(pseudoBytes(all, all, 255, 1<<32-1), 0)
	require.Equal(t, want, PseudoHeader6(all, all, 255, 1<<32-1))
}
