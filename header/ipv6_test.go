package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRFC8200_3_Layout writes every field and reads the bytes.
func TestRFC8200_3_Layout(t *testing.T) {
	b := make([]byte, IPv6Len)
	h := (*IPv6)(b)
	want := IPv6Fields{
		TrafficClass: 0xa5, HopLimit: 64, NextHeader: ProtoTCP, PayloadLen: 0, FlowLabel: 0xfedcb,
		Src: addr(t, "2001:db8::1"), Dst: addr(t, "ff02::1:ff00:2"),
	}
	h.Encode(&want)
	require.Equal(t, []byte{0x6a, 0x5f, 0xed, 0xcb, 0, 0, 6, 64}, b[:8])
	require.Equal(t, []byte{0x20, 0x01, 0x0d, 0xb8}, b[8:12])
	require.Equal(t, byte(2), b[39])
	h, n, f := ParseIPv6(b)
	require.Equal(t, OK, f)
	require.Zero(t, n)
	require.Equal(t, 6, h.Version())
	require.Equal(t, want, IPv6Fields{
		h.TrafficClass(), h.HopLimit(), h.NextHeader(), h.PayloadLen(), h.FlowLabel(), h.Src(), h.Dst(),
	})
}

func TestIPv6Setters(t *testing.T) {
	h := new(IPv6)
	h.Encode(&IPv6Fields{FlowLabel: 0x12345})
	h.SetTrafficClass(0xff)
	require.Equal(t, uint32(0x12345), h.FlowLabel())
	require.Equal(t, uint8(0xff), h.TrafficClass())
	h.SetTrafficClass(0)
	h.SetPayloadLen(0x102)
	h.SetNextHeader(3)
	h.SetHopLimit(4)
	require.Equal(t, []byte{0x60, 1, 0x23, 0x45, 1, 2, 3, 4}, h[:8])
	h.SetSrc(addr(t, "2001:db8::1"))
	h.SetDst(addr(t, "2001:db8::2"))
	require.Equal(t, "2001:db8::1", h.Src().String())
	require.Equal(t, "2001:db8::2", h.Dst().String())
}

func TestRFC8200_3_Gate(t *testing.T) {
	b := make([]byte, IPv6Len+100)
	h := (*IPv6)(b)
	h.Encode(&IPv6Fields{PayloadLen: 100})
	for n := range b {
		_, _, f := ParseIPv6(b[:n])
		if n < IPv6Len {
			require.Equal(t, FaultIPv6Short, f)
		} else {
			require.Equal(t, FaultIPv6Payload, f)
		}
	}
	_, n, f := ParseIPv6(append(b, 0, 0, 0))
	require.Equal(t, OK, f)
	require.Equal(t, 100, n)
	b[0] = 0x40
	_, _, f = ParseIPv6(b)
	require.Equal(t, FaultIPv6Version, f)
}

func TestRFC6890_2_2_3_MappedIsRefused(t *testing.T) {
	v4, v6 := addr(t, "127.0.0.1"), addr(t, "2001:db8::1")
	for _, c := range []struct {
		src, dst Addr
		want     Fault
	}{{v6, v6, OK}, {v4, v6, FaultIPv6Mapped}, {v6, v4, FaultIPv6Mapped}} {
		h := new(IPv6)
		h.Encode(&IPv6Fields{Src: c.src, Dst: c.dst})
		_, _, f := ParseIPv6(h[:])
		require.Equal(t, c.want, f)
	}
}

func TestRFC8200_4_5_FragmentHeaderLayout(t *testing.T) {
	h := new(IPv6Fragment)
	h.Encode(ProtoUDP, 1448, true, 0xdeadbeef)
	require.Equal(t, []byte{17, 0, 0x05, 0xa9, 0xde, 0xad, 0xbe, 0xef}, h[:])
	require.Equal(t, ProtoUDP, h.NextHeader())
	require.Equal(t, uint16(1448), h.Offset())
	require.True(t, h.More())
	require.Equal(t, uint32(0xdeadbeef), h.ID())
	h.Encode(ProtoUDP, 65535, false, 0)
	require.Equal(t, uint16(65528), h.Offset())
	require.False(t, h.More())
}

// ext returns an extension header: next header, length, and body, padded with
// Pad1 options to a multiple of 8.
func ext(next Protocol, body ...byte) []byte {
	b := append([]byte{byte(next), 0}, body...)
	for len(b)&7 != 0 {
		b = append(b, 0)
	}
	b[1] = byte(len(b)/8 - 1)
	return b
}

// chain puts headers one behind the other.
func chain(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// fragment returns a fragment header.
func fragment(next Protocol, off uint16, more bool) []byte {
	h := new(IPv6Fragment)
	h.Encode(next, off, more, 1)
	return h[:]
}

func TestRFC8200_4_1_ChainIsWalked(t *testing.T) {
	b := chain(
		ext(ProtoDestOpts, 5, 2, 0, 0),                          // 0: hop-by-hop, router alert
		ext(ProtoRouting, 1, 4, 0, 0, 0, 0),                     // 8: PadN
		ext(ProtoFragment, make([]byte, 22)...),                 // 16: routing
		fragment(ProtoAH, 0, false),                             // 40: atomic (RFC 6946)
		[]byte{byte(ProtoTCP), 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}, // 48: AH, 24 bytes
		make([]byte, 12),                                        //
		make([]byte, TCPLen),                                    // 72
	)
	var x IPv6Extensions
	require.Equal(t, OK, ParseIPv6Extensions(ProtoHopByHop, b, &x))
	require.Equal(t, IPv6Extensions{
		Protocol: ProtoTCP, Off: 72, NextOff: 48, Fragment: 40, Routing: 16, Options: -1, RouterAlert: true,
	}, x)
}

func TestRFC8200_4_NoExtensions(t *testing.T) {
	for _, p := range []Protocol{ProtoTCP, ProtoUDP, ProtoICMPv6, ProtoNone, ProtoESP, 200} {
		var x IPv6Extensions
		require.Equal(t, OK, ParseIPv6Extensions(p, nil, &x))
		require.Equal(t, IPv6Extensions{Protocol: p, NextOff: -34, Fragment: -1, Routing: -1, Options: -1}, x)
		require.Equal(t, 6, IPv6Len+x.NextOff, "the next header field of the IPv6 header")
	}
}

func TestRFC8200_4_1_HopByHopOnlyFirst(t *testing.T) {
	var x IPv6Extensions
	b := chain(ext(ProtoHopByHop), ext(ProtoTCP))
	require.Equal(t, FaultIPv6Order, ParseIPv6Extensions(ProtoDestOpts, b, &x))
	require.Zero(t, x.NextOff, "the byte that named it")
	require.Equal(t, FaultIPv6Order, ParseIPv6Extensions(ProtoHopByHop, b, &x))
}

// TestRFC8200_4_5_FragmentStopsTheWalk: what follows is no header until the
// packet is whole.
func TestRFC8200_4_5_FragmentStopsTheWalk(t *testing.T) {
	for _, h := range [][]byte{fragment(ProtoDestOpts, 0, true), fragment(ProtoDestOpts, 8, false), fragment(ProtoDestOpts, 8, true)} {
		var x IPv6Extensions
		b := chain(h, []byte{0xff, 0xff, 0xff})
		require.Equal(t, OK, ParseIPv6Extensions(ProtoFragment, b, &x))
		require.Equal(t, ProtoDestOpts, x.Protocol)
		require.Equal(t, 8, x.Off)
		require.Zero(t, x.Fragment)
	}
}

func TestRFC8200_4_CutShort(t *testing.T) {
	var x IPv6Extensions
	for _, p := range []Protocol{ProtoHopByHop, ProtoRouting, ProtoFragment, ProtoAH, ProtoDestOpts} {
		for n := range 8 {
			require.Equal(t, FaultIPv6Ext, ParseIPv6Extensions(p, make([]byte, n), &x))
		}
	}
	long := ext(ProtoTCP, make([]byte, 30)...)
	for n := range long {
		require.Equal(t, FaultIPv6Ext, ParseIPv6Extensions(ProtoDestOpts, long[:n], &x))
	}
	require.Equal(t, OK, ParseIPv6Extensions(ProtoDestOpts, long, &x))
	require.Equal(t, FaultIPv6Ext, ParseIPv6Extensions(ProtoAH, []byte{6, 1, 0, 0, 0, 0, 0, 0}, &x))
}

func TestRFC8504_5_3_LongChainsAreRefused(t *testing.T) {
	var x IPv6Extensions
	var b []byte
	for range MaxIPv6Extensions - 1 {
		b = append(b, ext(ProtoDestOpts)...)
	}
	b = append(b, ext(ProtoTCP)...)
	require.Equal(t, OK, ParseIPv6Extensions(ProtoDestOpts, b, &x))
	require.Equal(t, 8*MaxIPv6Extensions, x.Off)
	b = append(ext(ProtoDestOpts), b...)
	require.Equal(t, FaultIPv6ExtMany, ParseIPv6Extensions(ProtoDestOpts, b, &x))
}

// TestRFC8200_4_2_UnknownOptions: the first that asks for a drop is told.
func TestRFC8200_4_2_UnknownOptions(t *testing.T) {
	for _, c := range []struct {
		body    []byte
		options int
		action  IPv6OptAction
	}{
		{[]byte{0x1e, 1, 0xff}, -1, IPv6OptSkip},
		{[]byte{0, 0x5e, 0}, 3, IPv6OptDrop},
		{[]byte{1, 0, 0x9e, 1, 7}, 4, IPv6OptReport},
		{[]byte{0xde, 0, 0x5e, 0}, 2, IPv6OptReportUnicast},
	} {
		var x IPv6Extensions
		require.Equal(t, OK, ParseIPv6Extensions(ProtoDestOpts, ext(ProtoTCP, c.body...), &x))
		require.Equal(t, c.options, x.Options)
		require.Equal(t, c.action, x.Action)
	}
	var x IPv6Extensions
	b := chain(ext(ProtoDestOpts), ext(ProtoTCP, 0x5e, 0))
	require.Equal(t, OK, ParseIPv6Extensions(ProtoHopByHop, b, &x))
	require.Equal(t, 10, x.Options, "counted from the start of the payload")
}

func TestRFC8200_4_2_OptionOverrunsItsHeader(t *testing.T) {
	var x IPv6Extensions
	for _, body := range [][]byte{{1, 5, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 1}, {5, 0xff, 0, 0, 0, 0}} {
		require.Equal(t, FaultIPv6Option, ParseIPv6Extensions(ProtoHopByHop, chain(ext(ProtoTCP, body...), make([]byte, 300)), &x))
	}
}

func TestRFC2711_RouterAlertIsHopByHop(t *testing.T) {
	var x IPv6Extensions
	require.Equal(t, OK, ParseIPv6Extensions(ProtoDestOpts, ext(ProtoTCP, 5, 2, 0, 0), &x))
	require.False(t, x.RouterAlert)
	require.Equal(t, OK, ParseIPv6Extensions(ProtoHopByHop, ext(ProtoTCP, 5, 1, 0), &x))
	require.False(t, x.RouterAlert)
}
