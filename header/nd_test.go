package header

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// ndIP returns the IPv6 header that a message came with.
func ndIP(t testing.TB, src, dst string) *IPv6 {
	t.Helper()
	h := new(IPv6)
	h.Encode(&IPv6Fields{HopLimit: NDHopLimit, NextHeader: ProtoICMPv6, Src: addr(t, src), Dst: addr(t, dst)})
	return h
}

// linkOption returns a link-layer address option.
func linkOption(typ uint8, m MAC) []byte {
	b := make([]byte, NDLinkAddrLen)
	PutNDLinkAddr(b, typ, m)
	return b
}

// ndMessages returns one right message a type with the gate that takes it.
func ndMessages(t testing.TB) map[string]struct {
	size int
	ip   *IPv6
	b    []byte
	gate func(ip *IPv6, b []byte) Fault
} {
	t.Helper()
	type message = struct {
		size int
		ip   *IPv6
		b    []byte
		gate func(ip *IPv6, b []byte) Fault
	}
	target := addr(t, "fe80::2")
	ns, na, rs := new(NDSolicit), new(NDAdvert), new(NDRouterSolicit)
	ra, rd := new(NDRouterAdvert), new(NDRedirect)
	ns.Encode(target)
	na.Encode(target, NDFlagSolicited)
	rs.Encode()
	ra.Encode(&NDRouterAdvertFields{HopLimit: 64, Lifetime: 1800})
	rd.Encode(target, addr(t, "2001:db8::9"))
	link := linkOption(NDOptSourceLink, macA)
	return map[string]message{
		"solicit": {NDSolicitLen, ndIP(t, "fe80::1", "ff02::1:ff00:2"), chain(ns[:], link), func(ip *IPv6, b []byte) Fault {
			_, _, f := ParseNDSolicit(ip, b)
			return f
		}},
		"advert": {NDAdvertLen, ndIP(t, "fe80::2", "fe80::1"), chain(na[:], link), func(ip *IPv6, b []byte) Fault {
			_, _, f := ParseNDAdvert(ip, b)
			return f
		}},
		"router solicit": {NDRouterSolicitLen, ndIP(t, "fe80::1", "ff02::2"), chain(rs[:], link), func(ip *IPv6, b []byte) Fault {
			_, _, f := ParseNDRouterSolicit(ip, b)
			return f
		}},
		"router advert": {NDRouterAdvertLen, ndIP(t, "fe80::1", "ff02::1"), chain(ra[:], link), func(ip *IPv6, b []byte) Fault {
			_, _, f := ParseNDRouterAdvert(ip, b)
			return f
		}},
		"redirect": {NDRedirectLen, ndIP(t, "fe80::1", "fe80::3"), chain(rd[:], link), func(ip *IPv6, b []byte) Fault {
			_, _, f := ParseNDRedirect(ip, b)
			return f
		}},
	}
}

// TestRFC4861_Validation checks what all gates have in common: 6.1.1, 6.1.2,
// 7.1.1, 7.1.2, 8.1.
func TestRFC4861_Validation(t *testing.T) {
	for name, m := range ndMessages(t) {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, OK, m.gate(m.ip, m.b))
			require.Equal(t, OK, m.gate(m.ip, m.b[:m.size]))
			for n := range m.size {
				require.Equal(t, FaultNDShort, m.gate(m.ip, m.b[:n]))
			}
			for n := m.size + 1; n < len(m.b); n++ {
				require.Equal(t, FaultNDOption, m.gate(m.ip, m.b[:n]), "cut option")
			}
			for _, hops := range []uint8{0, 1, 64, 254} {
				m.ip.SetHopLimit(hops)
				require.Equal(t, FaultNDHopLimit, m.gate(m.ip, m.b))
			}
			m.ip.SetHopLimit(NDHopLimit)
			m.b[1] = 1
			require.Equal(t, FaultNDCode, m.gate(m.ip, m.b))
			m.b[1] = 0
			for _, n := range []byte{0, 2} {
				m.b[m.size+1] = n
				require.Equal(t, FaultNDOption, m.gate(m.ip, m.b), "option of length %d", n)
			}
		})
	}
}

func TestRFC4861_7_1_1_Solicitations(t *testing.T) {
	b := make([]byte, NDSolicitLen)
	h := (*NDSolicit)(b)
	h.Encode(addr(t, "fe80::2"))
	require.Equal(t, ICMPv6NeighborSol, b[0])

	// Duplicate address detection: from nowhere, to the solicited node, without
	// a link address.
	got, opts, f := ParseNDSolicit(ndIP(t, "::", "ff02::1:ff00:2"), b)
	require.Equal(t, OK, f)
	require.Equal(t, "fe80::2", got.Target().String())
	_, ok := opts.Next()
	require.False(t, ok)
	_, _, f = ParseNDSolicit(ndIP(t, "::", "ff02::1"), b)
	require.Equal(t, FaultNDAddr, f)
	_, _, f = ParseNDSolicit(ndIP(t, "::", "ff02::1:ff00:2"), chain(b, linkOption(NDOptSourceLink, macA)))
	require.Equal(t, FaultNDOption, f)

	h.Encode(addr(t, "ff02::1"))
	_, _, f = ParseNDSolicit(ndIP(t, "fe80::1", "ff02::1:ff00:1"), b)
	require.Equal(t, FaultNDAddr, f)
}

func TestRFC4861_7_1_2_Advertisements(t *testing.T) {
	b := make([]byte, NDAdvertLen)
	h := (*NDAdvert)(b)
	h.Encode(addr(t, "fe80::2"), NDFlagOverride|NDFlagRouter)
	require.Equal(t, []byte{ICMPv6NeighborAdv, 0, 0, 0, 0xa0, 0, 0, 0}, b[:8])
	got, opts, f := ParseNDAdvert(ndIP(t, "fe80::2", "ff02::1"), chain(b, linkOption(NDOptTargetLink, macB)))
	require.Equal(t, OK, f)
	require.Equal(t, NDFlagOverride|NDFlagRouter, got.Flags())
	require.Equal(t, "fe80::2", got.Target().String())
	mac, ok := opts.LinkAddr(NDOptTargetLink)
	require.True(t, ok)
	require.Equal(t, macB, mac)
	_, ok = opts.LinkAddr(NDOptSourceLink)
	require.False(t, ok)

	h.Encode(addr(t, "fe80::2"), NDFlagSolicited)
	_, _, f = ParseNDAdvert(ndIP(t, "fe80::2", "ff02::1"), b)
	require.Equal(t, FaultNDAddr, f, "solicited and to all")
	_, _, f = ParseNDAdvert(ndIP(t, "fe80::2", "fe80::1"), b)
	require.Equal(t, OK, f)
	h.Encode(addr(t, "ff02::2"), 0)
	_, _, f = ParseNDAdvert(ndIP(t, "fe80::2", "fe80::1"), b)
	require.Equal(t, FaultNDAddr, f, "multicast target")
}

func TestRFC4861_6_1_1_RouterSolicitations(t *testing.T) {
	h := new(NDRouterSolicit)
	h.Encode()
	_, _, f := ParseNDRouterSolicit(ndIP(t, "::", "ff02::2"), h[:])
	require.Equal(t, OK, f)
	_, _, f = ParseNDRouterSolicit(ndIP(t, "::", "ff02::2"), chain(h[:], linkOption(NDOptSourceLink, macA)))
	require.Equal(t, FaultNDOption, f)
	_, _, f = ParseNDRouterSolicit(ndIP(t, "::", "ff02::2"), chain(h[:], linkOption(NDOptTargetLink, macA)))
	require.Equal(t, OK, f)
}

func TestRFC4861_6_1_2_RouterAdvertisements(t *testing.T) {
	want := NDRouterAdvertFields{64, NDFlagManaged | NDFlagOther, 1800, 30000, 1000}
	b := make([]byte, NDRouterAdvertLen+NDMTULen+NDPrefixLen)
	(*NDRouterAdvert)(b).Encode(&want)
	require.Equal(t, []byte{ICMPv6RouterAdvert, 0, 0, 0, 64, 0xc0, 0x07, 0x08}, b[:8])
	prefix := NDPrefix{netip.MustParsePrefix("2001:db8:1::/64"), NDPrefixOnLink | NDPrefixAutonomous, 86400, 14400}
	n := NDRouterAdvertLen
	n += PutNDMTU(b[n:], 1492)
	n += PutNDPrefix(b[n:], &prefix)
	require.Equal(t, len(b), n)

	h, opts, f := ParseNDRouterAdvert(ndIP(t, "fe80::1", "ff02::1"), b)
	require.Equal(t, OK, f)
	require.Equal(t, want, NDRouterAdvertFields{h.HopLimit(), h.Flags(), h.Lifetime(), h.ReachableTime(), h.RetransTimer()})
	opt, ok := opts.Next()
	require.True(t, ok)
	require.Equal(t, NDOptMTU, opt.Type())
	require.Equal(t, uint32(1492), opt.MTU())
	require.Len(t, opt.Body(), 6)
	require.True(t, opts.Has(NDOptPrefix))
	require.False(t, opts.Has(NDOptMTU), "behind us")
	opt, ok = opts.Next()
	require.True(t, ok)
	got, ok := opt.Prefix()
	require.True(t, ok)
	require.Equal(t, prefix, got)
	_, ok = opts.Next()
	require.False(t, ok)

	_, _, f = ParseNDRouterAdvert(ndIP(t, "2001:db8::1", "ff02::1"), b)
	require.Equal(t, FaultNDAddr, f, "source is not link-local")
}

func TestRFC4861_4_6_2_BadPrefixes(t *testing.T) {
	b := make([]byte, NDPrefixLen)
	PutNDPrefix(b, &NDPrefix{Prefix: netip.MustParsePrefix("2001:db8::/128")})
	p, ok := NDOption(b).Prefix()
	require.True(t, ok)
	require.Equal(t, 128, p.Prefix.Bits())
	_, ok = NDOption(b[:24]).Prefix()
	require.False(t, ok)
	b[2] = 129
	_, ok = NDOption(b).Prefix()
	require.False(t, ok)
}

func TestRFC4861_8_1_Redirects(t *testing.T) {
	for _, c := range []struct {
		src, target, dst string
		want             Fault
	}{
		{"fe80::1", "fe80::2", "2001:db8::9", OK},
		{"fe80::1", "2001:db8::9", "2001:db8::9", OK},
		{"fe80::1", "2001:db8::8", "2001:db8::9", FaultNDAddr},
		{"2001:db8::1", "fe80::2", "2001:db8::9", FaultNDAddr},
		{"fe80::1", "fe80::2", "ff02::9", FaultNDAddr},
	} {
		h := new(NDRedirect)
		h.Encode(addr(t, c.target), addr(t, c.dst))
		require.Equal(t, ICMPv6Redirect, h[0])
		require.Equal(t, c.target, h.Target().String())
		require.Equal(t, c.dst, h.Destination().String())
		_, _, f := ParseNDRedirect(ndIP(t, c.src, "fe80::3"), h[:])
		require.Equal(t, c.want, f, c)
	}
}
