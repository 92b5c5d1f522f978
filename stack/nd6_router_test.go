package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// dadHost is a host whose addresses are looked for duplicates of; it has none of
// IPv6 yet.
func dadHost(t testing.TB, hooks Hooks) *host {
	return newHost6(t, host6Config{DAD: true, hostConfig: hostConfig{Config: Config{Hooks: hooks}, ARP: true}})
}

func (h *host) state6(a netip.Addr) Addr6 {
	h.t.Helper()
	for _, x := range h.nif.Addrs6() {
		if x.Prefix.Addr() == a {
			return x
		}
	}
	require.Fail(h.t, "no such address", "%v", a)
	return Addr6{}
}

func TestDAD_RFC4862_5_4_ProbesBeforeUse(t *testing.T) {
	h := dadHost(t, Hooks{})
	require.NoError(t, h.nif.AddAddr(prefix6addr))
	require.ErrorIs(t, h.nif.AddAddr(prefix6addr), ErrUse)
	h.Flush(h.now)
	for i, a := range []netip.Addr{userLL, user6} {
		f := h.sent[i]
		require.Equal(t, []header.Addr{{}, hdr(solicited(a))}, []header.Addr{f.ip6.Src(), f.ip6.Dst()})
		s, opts, fault := header.ParseNDSolicit(f.ip6, f.ipb[header.IPv6Len:])
		require.Zero(t, fault)
		require.Equal(t, hdr(a), s.Target())
		require.False(t, opts.Has(header.NDOptSourceLink))
		require.True(t, h.state6(a).Tentative)
	}
	h.sent = nil
	u := h.NewUDP()
	require.ErrorIs(t, u.Bind(ap(user6, 9)), ErrVal, "it is not ours yet")
	h.in(ipv6{dst: user6}.icmp(header.ICMPv6Echo, 0, 1, nil))
	h.in(ipv6{dst: solicited(user6)}.nd(ndSolicit(user6, scriptPeer))) // RFC 4862 5.4.3: no answer
	require.Empty(t, h.takeType(header.ICMPv6NeighborAdv))
	h.dropped(DropIPNotForUs, 1)
	h.advance(time.Second + time.Millisecond)
	require.False(t, h.state6(user6).Tentative)
	require.NoError(t, u.Bind(ap(user6, 9)))
	h.take()
	h.in(ipv6{dst: solicited(user6)}.nd(ndSolicit(user6, scriptPeer)))
	require.Len(t, h.takeType(header.ICMPv6NeighborAdv), 1)
	require.Equal(t, []netip.Prefix{h.prefix, netip.PrefixFrom(userLL, 64), prefix6addr}, h.nif.Addrs())
}

func TestDAD_RFC4862_5_4_3_SomebodyHasIt(t *testing.T) {
	for name, frame := range map[string][]byte{
		"probes, too": ipv6{src: netip.IPv6Unspecified(), dst: solicited(user6)}.nd(ndSolicit(user6, header.MAC{})),
		"defends it":  ipv6{src: user6, dst: all6}.nd(ndAdvert(user6, ovr, otherMAC)),
	} {
		t.Run(name, func(t *testing.T) {
			h := dadHost(t, Hooks{})
			require.NoError(t, h.nif.AddAddr(prefix6addr))
			h.in(frame)
			require.True(t, h.state6(user6).Duplicate)
			h.advance(5 * time.Second)
			require.True(t, h.state6(user6).Duplicate)
			require.False(t, h.state6(userLL).Tentative)
			require.False(t, h.isLocal(hdr(user6)))
			require.Equal(t, uint64(1), h.stats.ND6.Duplicates)
			require.NoError(t, h.nif.DelAddr(prefix6addr))
			require.Empty(t, h.nif.v6.prefixes)
			h.take()
		})
	}
	h := newHost6(t, host6Config{}) // once it is ours it stays so (RFC 4862 5.4.4)
	h.in(ipv6{src: peer6, dst: all6}.nd(ndAdvert(user6, ovr, otherMAC)))
	require.True(t, h.isLocal(hdr(user6)))
	require.Equal(t, uint64(1), h.stats.ND6.Conflicts)
	h.in(ipv6{src: netip.IPv6Unspecified(), dst: solicited(user6)}.nd(ndSolicit(user6, header.MAC{})))
	h.nextIs(header.ICMPv6NeighborAdv) // that tells the other
}

func TestNetif6_AddressesComeAndGo(t *testing.T) {
	h := newHost6(t, host6Config{})
	second := netip.MustParsePrefix("2001:db8:7::1/64")
	require.NoError(t, h.nif.AddAddr(second))
	c := h.NewTCP()
	require.NoError(t, c.Bind(ap(second.Addr(), 0)))
	var got error
	c.SetErr(func(_ any, err error) { got = err })
	require.NoError(t, h.AddNeighbor(h.nif, netip.MustParseAddr("2001:db8:7::2"), otherMAC))
	require.NoError(t, c.Connect(netip.MustParseAddrPort("[2001:db8:7::2]:80"), nil))
	require.NoError(t, h.nif.DelAddr(second))
	require.ErrorIs(t, got, ErrAborted)
	require.ErrorIs(t, h.nif.DelAddr(second), ErrVal)
	require.False(t, h.isLocal(hdr(second.Addr())))
	_, err := h.findPath(header.Addr{}, hdr(netip.MustParseAddr("2001:db8:7::2")))
	require.ErrorIs(t, err, ErrRoute, "its network is gone, too")
	require.True(t, h.isLocal(hdr(user6)))
	h.nif.SetUp(false)
	h.mayDrop(DropTxQueueFull)
	h.nif.SetUp(true)
	require.True(t, h.isLocal(hdr(user6)))
	small, err := h.AddNetif(NetifConfig{Name: "small", MTU: 1279, Output: func(ps []*pbuf.Pbuf) int { pbuf.FreeBatch(ps); return len(ps) }})
	require.NoError(t, err)
	require.ErrorIs(t, small.AddAddr(netip.MustParsePrefix("2001:db8:9::1/64")), ErrIf, "RFC 8200 5")
}

// routerAdvert is a router advertisement without checksum.
func routerAdvert(f header.NDRouterAdvertFields, mac header.MAC, mtu uint32, ps ...header.NDPrefix) []byte {
	b := make([]byte, header.NDRouterAdvertLen)
	(*header.NDRouterAdvert)(b).Encode(&f)
	b = ndLink(b, header.NDOptSourceLink, mac)
	if mtu != 0 {
		b = append(b, make([]byte, header.NDMTULen)...)
		header.PutNDMTU(b[len(b)-header.NDMTULen:], mtu)
	}
	for i := range ps {
		b = append(b, make([]byte, header.NDPrefixLen)...)
		header.PutNDPrefix(b[len(b)-header.NDPrefixLen:], &ps[i])
	}
	return b
}

var autoPrefix = header.NDPrefix{
	Prefix: netip.MustParsePrefix("2001:db8:a::/64"), Flags: header.NDPrefixOnLink | header.NDPrefixAutonomous, Valid: 86400, Preferred: 14400,
}

// auto is the address that the host makes of the prefix.
var auto = header.FromNetip(autoPrefix.Prefix.Addr()).WithInterfaceID(scriptMAC.InterfaceID()).Netip()

// fromRouter has the host receive a router advertisement of the peer.
func (h *host) fromRouter(b []byte) {
	h.t.Helper()
	h.in(ipv6{src: peerLL, dst: all6}.nd(b))
}

// autoHost has asked for routers.
func autoHost(t testing.TB) *host {
	h := dadHost(t, Hooks{})
	require.NoError(t, h.nif.SetAutoconfig(true))
	h.advance(3 * time.Second)
	return h
}

func TestND6_RFC4861_6_3_7_RouterSolicitations(t *testing.T) {
	h := autoHost(t)
	h.advance(20 * time.Second)
	fs := h.takeType(header.ICMPv6RouterSolicit)
	require.Len(t, fs, 3)
	require.Equal(t, []header.Addr{hdr(userLL), header.AddrAllRouters}, []header.Addr{fs[0].ip6.Src(), fs[0].ip6.Dst()})
	_, opts, fault := header.ParseNDRouterSolicit(fs[0].ip6, fs[0].ipb[header.IPv6Len:])
	require.Zero(t, fault)
	require.True(t, opts.Has(header.NDOptSourceLink))
	h = autoHost(t)
	require.Len(t, h.takeType(header.ICMPv6RouterSolicit), 1)
	h.fromRouter(routerAdvert(header.NDRouterAdvertFields{Lifetime: 1800}, scriptPeer, 0))
	h.advance(20 * time.Second)
	require.Empty(t, h.takeType(header.ICMPv6RouterSolicit), "one has answered")
}

func TestND6_RFC4861_6_3_4_RouterAdvertisement(t *testing.T) {
	h := autoHost(t)
	h.take()
	h.fromRouter(routerAdvert(header.NDRouterAdvertFields{HopLimit: 77, Lifetime: 1800, ReachableTime: 10_000, RetransTimer: 2000}, scriptPeer, 1400, autoPrefix))
	require.Equal(t, []Router6{{Netif: h.nif, Addr: peerLL.WithZone("if"), Until: h.now + int64(1800*time.Second)}}, h.Routers6())
	require.True(t, h.state6(auto).Tentative)
	h.advance(4 * time.Second)
	x := h.state6(auto)
	require.False(t, x.Tentative)
	require.True(t, x.Auto)
	require.Equal(t, 64, x.Prefix.Bits())
	h.take()
	h.raw6(beyond6, 10) // by the router, whose MAC came along
	f := h.one()
	require.Equal(t, []any{scriptPeer, hdr(auto), hdr(beyond6), uint8(77)}, []any{f.dst, f.ip6.Src(), f.ip6.Dst(), f.ip6.HopLimit()})
	h.raw6(beyond6, 1380) // the link's MTU is 1400
	require.Len(t, h.take(), 2)
	require.Equal(t, int64(2*time.Second), h.nif.v6.retrans)
	require.InDelta(t, float64(10*time.Second), float64(h.nif.v6.reachable), float64(5*time.Second))
	h.raw6(netip.MustParseAddr("2001:db8:a::77"), 1) // on link
	require.Equal(t, hdr(netip.MustParseAddr("2001:db8:a::77")).SolicitedNode(), h.takeType(header.ICMPv6NeighborSol)[0].ip6.Dst())
	h.advance(30 * time.Minute)
	require.Empty(t, h.Routers6(), "its life is over")
	h.mayDrop(DropARPUnresolved, DropIPNoRoute)
	r := h.NewRaw(testProto)
	require.ErrorIs(t, r.SendTo(h.data(1), beyond6), ErrRoute)
	h.fromRouter(routerAdvert(header.NDRouterAdvertFields{Lifetime: 1800}, scriptPeer, 0))
	require.NoError(t, r.SendTo(h.data(1), beyond6))
	h.fromRouter(routerAdvert(header.NDRouterAdvertFields{}, scriptPeer, 0)) // it is no router any more
	require.ErrorIs(t, r.SendTo(h.data(1), beyond6), ErrRoute)
	h.take()
}

func TestND6_RFC4862_5_5_3_PrefixesThatAreIgnored(t *testing.T) {
	h := autoHost(t)
	p := func(prefix string, flags uint8, valid, preferred uint32) header.NDPrefix {
		return header.NDPrefix{Prefix: netip.MustParsePrefix(prefix), Flags: flags, Valid: valid, Preferred: preferred}
	}
	const both = header.NDPrefixOnLink | header.NDPrefixAutonomous
	h.fromRouter(routerAdvert(header.NDRouterAdvertFields{}, scriptPeer, 1279,
		p("2001:db8:1::/64", header.NDPrefixOnLink, 100, 100),     // not for addresses
		p("fe80::/64", both, 100, 100),                            // (b)
		p("2001:db8:2::/64", header.NDPrefixAutonomous, 100, 101), // (c)
		p("2001:db8:3::/48", header.NDPrefixAutonomous, 100, 100), // (d)
		p("2001:db8:4::/64", header.NDPrefixAutonomous, 0, 0),     // (d)
		p("ff02::/64", both, 100, 100)))
	require.Len(t, h.nif.Addrs6(), 1, "the link-local address only")
	require.Len(t, h.nif.v6.prefixes, 1)
	require.Zero(t, h.nif.v6.mtu)
	off := dadHost(t, Hooks{})
	require.NoError(t, off.nif.AddAddr(prefix6addr))
	off.fromRouter(routerAdvert(header.NDRouterAdvertFields{Lifetime: 100}, scriptPeer, 0, autoPrefix))
	require.Empty(t, off.Routers6(), "autoconfiguration is off")
	require.Len(t, off.nif.Addrs6(), 2)
}

func TestND6_FloodOfAdvertisements(t *testing.T) {
	h := autoHost(t)
	for i := range 200 {
		p := autoPrefix
		p.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 9, byte(i)}), 64)
		h.in(ipv6{src: netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(i + 1)}), dst: all6}.nd(
			routerAdvert(header.NDRouterAdvertFields{Lifetime: 1800}, header.MAC{2, 1}, 0, p)))
	}
	require.Len(t, h.nif.Addrs6(), 1+maxAutos6)
	require.Len(t, h.nif.v6.prefixes, maxPrefixes6)
	require.Len(t, h.Routers6(), maxRouters)
	require.NoError(t, h.nif.AddAddr(prefix6addr), "what is configured finds room")
	h.advance(3 * time.Second)
	require.True(t, h.isLocal(hdr(user6)))
	h.take()
}

func TestND6_RFC4862_5_5_4_LivesOfAddresses(t *testing.T) {
	h := autoHost(t)
	p := autoPrefix
	p.Valid, p.Preferred = 10_000, 100
	say := func() { h.fromRouter(routerAdvert(header.NDRouterAdvertFields{Lifetime: 9000}, scriptPeer, 0, p)) }
	say()
	h.advance(5 * time.Second)
	require.False(t, h.state6(auto).Deprecated)
	h.advance(100 * time.Second)
	require.True(t, h.state6(auto).Deprecated)
	require.True(t, h.isLocal(hdr(auto)), "it is still ours")
	src, ok := h.nif.sourceFor6(hdr(beyond6))
	require.True(t, ok)
	require.Equal(t, hdr(auto), src, "the only one of that scope")
	require.NoError(t, h.nif.AddAddr(prefix6addr))
	h.advance(2 * time.Second)
	src, _ = h.nif.sourceFor6(hdr(netip.MustParseAddr("2001:db8:a::9")))
	require.Equal(t, hdr(user6), src, "RFC 6724 5 rule 3 comes before the longest prefix")
	p.Preferred = 200
	say()
	require.False(t, h.state6(auto).Deprecated)
	p.Valid, p.Preferred = 0, 0 // RFC 4862 5.5.3 (e): not under two hours
	say()
	require.True(t, h.state6(auto).Deprecated)
	require.Equal(t, h.now+int64(2*time.Hour), h.state6(auto).Valid)
	p.Valid = 7000
	say()
	require.Equal(t, h.now+int64(2*time.Hour), h.state6(auto).Valid, "nor is it cut when less is left")
	h.advance(2*time.Hour + time.Second)
	for _, x := range h.nif.Addrs6() {
		require.NotEqual(t, auto, x.Prefix.Addr())
	}
	require.False(t, h.isLocal(hdr(auto)))
	h.take()
}

func TestND6_RFC4861_6_3_6_RouterThatDoesNotAnswer(t *testing.T) {
	h := autoHost(t)
	say := func(src netip.Addr, mac header.MAC, flags uint8) {
		h.in(ipv6{src: src, dst: all6}.nd(routerAdvert(header.NDRouterAdvertFields{Lifetime: 9000, Flags: flags}, mac, 0, autoPrefix)))
	}
	otherLL := netip.MustParseAddr("fe80::3")
	say(peerLL, scriptPeer, 0)
	h.advance(4 * time.Second)
	say(otherLL, otherMAC, 0)
	h.take()
	h.raw6(beyond6, 1)
	require.Equal(t, scriptPeer, h.one().dst)
	h.advance(10 * time.Second) // it is asked, and does not answer
	h.take()
	h.raw6(beyond6, 1)
	require.Equal(t, otherMAC, h.one().dst)
	h.in(ipv6{src: otherLL, dst: userLL}.nd(ndAdvert(otherLL, sol|rtr, otherMAC)))
	say(peerLL, scriptPeer, 1<<3) // RFC 4191: a better one, but it failed
	h.take()
	h.raw6(beyond6, 1)
	require.Equal(t, otherMAC, h.one().dst)
	h.in(ipv6{src: otherLL, dst: userLL}.nd(ndAdvert(otherLL, sol, otherMAC))) // RFC 4861 7.2.5: it is no router
	h.raw6(beyond6, 1)
	require.Equal(t, scriptPeer, h.one().dst)
}

func TestND6_RFC4191_2_1_Preferences(t *testing.T) {
	h := autoHost(t)
	for i, rank := range []uint8{3, 0, 1, 2} {
		h.nd6Apply(h.nif, &ND6Event{Kind: ND6Router, Addr: hdr(netip.MustParseAddr("fe80::10")).WithZone(1).WithInterfaceID(uint64(i)), Valid: Forever, Flags: rank << 3})
	}
	require.Equal(t, uint64(2), h.defaultRouter(nil).addr.Lo())
	h.take()
}

func TestND6_RFC4861_8_3_Redirects(t *testing.T) {
	h := newHost6(t, host6Config{})
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("::/0"), peerLL, h.nif))
	require.NoError(t, h.AddNeighbor(h.nif, peerLL, scriptPeer))
	redirect := func(src, target, dst netip.Addr) {
		b := make([]byte, header.NDRedirectLen)
		(*header.NDRedirect)(b).Encode(hdr(target), hdr(dst))
		h.in(ipv6{src: src}.nd(ndLink(b, header.NDOptTargetLink, otherMAC)))
	}
	to := func() header.MAC { h.raw6(beyond6, 1); return h.one().dst }
	otherLL := netip.MustParseAddr("fe80::3")
	redirect(otherLL, otherLL, beyond6) // not from the router in use
	require.Equal(t, scriptPeer, to())
	require.Equal(t, uint64(1), h.stats.ND6.InErrors)
	redirect(peerLL, otherLL, beyond6)
	require.Equal(t, otherMAC, to())
	require.Equal(t, otherMAC, to())
	h.raw6(netip.MustParseAddr("2001:db8:2::1"), 1)
	require.Equal(t, scriptPeer, h.one().dst, "others go the old way")
	h.advance(10 * time.Second) // it does not answer: the router is asked again
	h.take()
	require.Equal(t, scriptPeer, to())
	for i := range 2 * maxRedirects {
		redirect(peerLL, otherLL, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 9, 15: byte(i)}))
	}
	require.Len(t, h.nd6.redirects, maxRedirects)
	h.take()
}

func TestIP6_Routes(t *testing.T) {
	h := newHost6(t, host6Config{})
	gws := []netip.Addr{peer6, other6, netip.MustParseAddr("2001:db8::4")}
	for i, gw := range gws {
		require.NoError(t, h.AddNeighbor(h.nif, gw, header.MAC{2, 9, 9, 9, 9, byte(i)}))
	}
	for i, p := range []string{"::/0", "2001:db8:1::/48", "2001:db8:1:2::/64"} {
		require.NoError(t, h.AddRoute(netip.MustParsePrefix(p), gws[i], h.nif))
	}
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("203.0.113.0/24"), peerIP, h.nif))
	require.ErrorIs(t, h.AddRoute(netip.MustParsePrefix("::/0"), peerIP, h.nif), ErrVal, "families differ")
	for i, to := range []string{"2001:db8:9::1", "2001:db8:1::9", "2001:db8:1:2::1"} {
		h.raw6(netip.MustParseAddr(to), 1)
		require.Equal(t, byte(i), h.one().dst[5], to)
	}
	_, err := h.findPath(header.Addr{}, hdr(netip.MustParseAddr("192.0.2.1")))
	require.ErrorIs(t, err, ErrRoute, "::/0 is no way to IPv4")
	require.NoError(t, h.DelRoute(netip.MustParsePrefix("2001:db8:1:2::/64"), h.nif))
	h.raw6(netip.MustParseAddr("2001:db8:1:2::1"), 1)
	require.Equal(t, byte(1), h.one().dst[5])
}

func TestIP6_HooksRouteAndGateway(t *testing.T) {
	var h *host
	deny, routed := false, 0
	h = newHost6(t, host6Config{hostConfig: hostConfig{Config: Config{Hooks: Hooks{
		IP6Route:      func(_, _ header.Addr) *Netif { routed++; return h.nif },
		ND6GetGateway: func(*Netif, header.Addr) (header.Addr, bool) { return hdr(peer6), !deny },
	}}}})
	h.raw6(beyond6, 1)
	require.Equal(t, scriptPeer, h.one().dst)
	require.Equal(t, 1, routed)
	deny = true
	r := h.NewRaw(testProto)
	require.ErrorIs(t, r.SendTo(h.data(1), beyond6), ErrRoute)
	h.dropped(DropIPNoRoute, 1)
}

func TestIP6_RFC6724_5_SourceAddresses(t *testing.T) {
	for _, c := range []struct{ rule, dst, a, b string }{ // a is the better one
		{"1: the same", "2001:db8:2::1", "2001:db8:2::1", "2001:db8:2::2"},
		{"2: scope", "2001:db8:5::1", "2001:db8:1::1", "fe80::7"},
		{"2: scope", "fe80::9", "fe80::7", "2001:db8:1::1"},
		{"6: label", "fd00::1", "fd00:1::1", "2001:db8:1::1"},
		{"6: label", "2002::1", "2002:9::1", "2001:db8:1::1"},
		{"6: label", "2001:db8:5::1", "2001:db8:f000::1", "fd00::1"},
		{"8: prefix", "2001:db8:2::1", "2001:db8:2::5", "2001:db8:3::5"},
	} {
		{
			h := newHost6(t, host6Config{})
			nif := &Netif{s: h.Stack, index: 9}
			for _, a := range []string{c.a, c.b} {
				nif.v6.addrs = append(nif.v6.addrs, addr6{addr: hdr(netip.MustParseAddr(a)), prefix: netip.PrefixFrom(netip.MustParseAddr(a), 64), state: addrPreferred})
			}
			src, ok := nif.sourceFor6(hdr(netip.MustParseAddr(c.dst)))
			require.True(t, ok)
			require.Equal(t, c.a, src.String(), "%s to %s", c.rule, c.dst)
			nif.v6.addrs[0], nif.v6.addrs[1] = nif.v6.addrs[1], nif.v6.addrs[0]
			src, _ = nif.sourceFor6(hdr(netip.MustParseAddr(c.dst)))
			require.Equal(t, c.a, src.String(), "%s to %s, the other way round", c.rule, c.dst)
		}
	}
}
