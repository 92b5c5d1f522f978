package header

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestZones(t *testing.T) {
	for _, s := range []string{"fe80::1", "febf::1", "ff02::1", "ff01::1", "ff12::7"} {
		a := addr(t, s)
		z := a.WithZone(7)
		require.True(t, a.NeedsZone(), s)
		require.Equal(t, uint8(7), z.Zone())
		require.NotEqual(t, a, z)
		require.Equal(t, a, z.Unzoned())
		require.True(t, z.DirtyZone())
		require.False(t, a.DirtyZone())
		require.Equal(t, PseudoHeader6(a, a, ProtoTCP, 9), PseudoHeader6(z, z, ProtoTCP, 9))
		var x, y IPv6
		x.Encode(&IPv6Fields{Src: a, Dst: a})
		y.Encode(&IPv6Fields{Src: z, Dst: z})
		require.Equal(t, x, y, "zones are not on the wire")
	}
	for _, s := range []string{"2001:db8::1", "::1", "::", "10.0.0.1", "ff05::1", "ff0e::1", "fec0::1"} {
		a := addr(t, s)
		require.False(t, a.NeedsZone(), s)
		require.Equal(t, a, a.WithZone(7))
		require.Zero(t, a.Zone())
	}
}

func TestInterfaceID(t *testing.T) {
	m := MAC{0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde} // RFC 2464 4
	require.Equal(t, uint64(0x365678fffe9abcde), m.InterfaceID())
	require.Equal(t, "fe80::3656:78ff:fe9a:bcde", LinkLocalOf(m.InterfaceID()).String())
}

func TestScopesAndPrefixes(t *testing.T) {
	for s, want := range map[string]uint8{"fe80::1": 2, "::1": 2, "fec0::1": 5, "2001:db8::1": 14, "fd00::1": 14, "ff05::1": 5, "ff02::1": 2} {
		require.Equal(t, want, addr(t, s).Scope(), s)
	}
	a := addr(t, "2001:db8::1")
	require.Equal(t, 128, a.CommonPrefix(a))
	require.Equal(t, 126, a.CommonPrefix(addr(t, "2001:db8::2")))
	require.Equal(t, 32, a.CommonPrefix(addr(t, "2001:db8:8000::")))
	require.Zero(t, a.CommonPrefix(addr(t, "8000::")))
}

func TestMLDv2MaxResponse(t *testing.T) { // RFC 3810 5.1.3
	for code, want := range map[uint16]uint32{0: 0, 1000: 1000, 0x7fff: 0x7fff, 0x8000: 0x1000 << 3, 0xffff: 0x1fff << 10} {
		ip, b := mldQuery(code)
		q, fault := ParseMLDQuery(ip, b)
		require.Equal(t, OK, fault)
		require.Equal(t, want, q.MaxDelay, "%#x", code)
	}
}

// mldQuery is a general query of version 2.
func mldQuery(code uint16) (*IPv6, []byte) {
	ip := new(IPv6)
	ip.Encode(&IPv6Fields{HopLimit: 1, Src: FromNetip(netip.MustParseAddr("fe80::1")), Dst: AddrAllNodes})
	b := make([]byte, MLDv2QueryLen)
	(*MLD)(b).Encode(ICMPv6MLDQuery, code, Addr{})
	return ip, b
}

func FuzzParseMLD(f *testing.F) {
	ip, b := mldQuery(1000)
	f.Add(ip[:], b)
	f.Add(ip[:], b[:MLDLen])
	f.Add(ip[:], append(b[:26:26], 0, 1, 0, 0))
	f.Fuzz(func(t *testing.T, head, b []byte) {
		if len(head) < IPv6Len {
			return
		}
		ip := (*IPv6)(head)
		if q, fault := ParseMLDQuery(ip, b); fault == OK {
			if len(b) < MLDLen || q.V2 && len(b) < MLDv2QueryLen+16*q.Sources || !q.V2 && len(b) != MLDLen {
				t.Fatal(len(b), q)
			}
		}
		if h, fault := ParseMLDReport(ip, b); fault == OK && !h.Group().IsMulticast() {
			t.Fatal(h.Group())
		}
	})
}
