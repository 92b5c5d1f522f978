package header

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// jumbogram is the first part of a packet of TCP with a jumbo payload option.
func jumbogram(t testing.TB, n uint32) []byte {
	t.Helper()
	b := make([]byte, IPv6Len+IPv6JumboLen)
	(*IPv6)(b).Encode(&IPv6Fields{HopLimit: 64, NextHeader: ProtoHopByHop, Src: addr(t, "2001:db8::1"), Dst: addr(t, "2001:db8::2")})
	(*IPv6Jumbo)(b[IPv6Len:]).Encode(ProtoTCP, n)
	return b
}

// TestRFC2675_2_Layout: the option's type and length, and where the length is.
func TestRFC2675_2_Layout(t *testing.T) {
	b := jumbogram(t, 0x00012345)
	require.Equal(t, []byte{6, 0, 0xc2, 4, 0, 1, 0x23, 0x45}, b[IPv6Len:])
	h := (*IPv6Jumbo)(b[IPv6Len:])
	require.Equal(t, ProtoTCP, h.NextHeader())
	require.EqualValues(t, 0x12345, h.PayloadLen())
	ip, n, f := ParseIPv6(b)
	require.Equal(t, OK, f)
	require.Zero(t, n, "the length in the IPv6 header")
	require.True(t, ip.IsJumbo())
	n, _, f = ParseIPv6Jumbo(b, IPv6Len+0x12345)
	require.Equal(t, OK, f)
	require.Equal(t, 0x12345, n)
	var x IPv6Extensions
	require.Equal(t, OK, ParseIPv6Extensions(ProtoHopByHop, b[IPv6Len:], &x))
	require.Equal(t, IPv6Extensions{Protocol: ProtoTCP, Off: 8, NextOff: 0, Fragment: -1, Routing: -1, Options: -1, Jumbo: 2}, x)
	ip.SetPayloadLen(8)
	require.False(t, ip.IsJumbo())
}

// TestRFC2675_3_Gate: what is to be reported, and where the pointer points.
func TestRFC2675_3_Gate(t *testing.T) {
	const n = 70000
	parse := func(b []byte, total int) [3]int {
		payload, at, f := ParseIPv6Jumbo(b, total)
		return [3]int{payload, at, int(f)}
	}
	good := jumbogram(t, n)
	require.Equal(t, [3]int{n, 0, 0}, parse(good, IPv6Len+n))
	require.Equal(t, [3]int{n, 0, 0}, parse(good, IPv6Len+n+6), "the link's padding")
	require.Equal(t, [3]int{0, 0, int(FaultIPv6Payload)}, parse(good, IPv6Len+n-1))
	require.Equal(t, [3]int{0, 0, int(FaultIPv6Payload)}, parse(good, 10))
	for i := range IPv6JumboLen {
		require.Equal(t, [3]int{0, 0, int(FaultIPv6Ext)}, parse(good[:IPv6Len+i], IPv6Len+n))
	}
	for _, short := range []uint32{0, 8, 65535} {
		require.Equal(t, [3]int{0, IPv6Len + 4, int(FaultIPv6Jumbo)}, parse(jumbogram(t, short), IPv6Len+n), "not over 65,535")
	}
	require.Equal(t, [3]int{65536, 0, 0}, parse(jumbogram(t, 65536), IPv6Len+n))
	require.Equal(t, [3]int{0, 0, int(FaultIPv6Payload)}, parse(jumbogram(t, 1<<32-1), IPv6Len+n))

	none := jumbogram(t, n)
	copy(none[IPv6Len+2:], []byte{1, 4, 0, 0, 0, 0}) // PadN
	require.Equal(t, [3]int{0, 4, int(FaultIPv6Jumbo)}, parse(none, IPv6Len+n), "no option")
	none[IPv6Len+3] = 200
	require.Equal(t, [3]int{0, 0, int(FaultIPv6Option)}, parse(none, IPv6Len+n))

	late := append(jumbogram(t, n)[:IPv6Len], 6, 1, 5, 2, 0, 0, 0xc2, 4, 0, 2, 0, 0, 1, 2, 0, 0)
	require.Equal(t, [3]int{0x20000, 0, 0}, parse(late, IPv6Len+0x20000), "behind another option")
}

func TestPseudoHeaderBeyond64KiB(t *testing.T) {
	src, dst := addr(t, "198.18.0.1"), addr(t, "198.18.0.2")
	want := CombineChecksum(PseudoHeader4(src, dst, ProtoTCP, 0), CombineChecksum(5, 0x4321))
	require.Equal(t, want, PseudoHeader(src, dst, ProtoTCP, 0x54321))
}

func FuzzParseIPv6Jumbo(f *testing.F) {
	f.Add(jumbogram(f, 70000), 70040)
	f.Add(jumbogram(f, 65535), 70040)
	f.Add(append(jumbogram(f, 70000)[:IPv6Len], 6, 1, 5, 2, 0, 0, 0xc2, 4, 0, 2, 0, 0, 1, 2, 0, 0), 200000)
	f.Fuzz(func(t *testing.T, b []byte, total int) {
		h, _, fault := ParseIPv6(b)
		if fault != OK || !h.IsJumbo() {
			return
		}
		n, at, fault := ParseIPv6Jumbo(b, total)
		switch fault {
		case OK:
			if n <= 65535 || n > total-IPv6Len {
				t.Fatal(n, total)
			}
			var x IPv6Extensions
			if f := ParseIPv6Extensions(ProtoHopByHop, b[IPv6Len:], &x); x.Jumbo == 0 || f == FaultIPv6Option {
				t.Fatal("the walker does not see it", f)
			}
			if uint32(n) != binary.BigEndian.Uint32(b[IPv6Len+x.Jumbo+2:]) {
				t.Fatal("another length")
			}
		case FaultIPv6Jumbo:
			if at != 4 && (at < IPv6Len || at >= len(b)) {
				t.Fatal(at)
			}
		}
	})
}
