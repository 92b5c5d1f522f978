package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

const (
	sol = header.NDFlagSolicited
	ovr = header.NDFlagOverride
	rtr = header.NDFlagRouter
)

// ndHost is a host that knows no neighbour.
func ndHost(t testing.TB) *host { return newHost6(t, host6Config{ND: true}) }

// raw6 sends n bytes to an address.
func (h *host) raw6(to netip.Addr, n int) {
	h.t.Helper()
	r := h.NewRaw(testProto)
	require.NoError(h.t, r.SendTo(h.data(n), to))
	r.Close()
}

// nud is what is known of a neighbour, nudNone for nothing.
func (h *host) nudOf(a netip.Addr) nudState {
	if n := h.arp.find(h.nif, h.nif.scoped(a)); n != nil {
		return n.nud
	}
	return nudNone
}

// advert has the host receive an advertisement for target from it.
func (h *host) advert(target netip.Addr, flags uint8, mac header.MAC) {
	h.t.Helper()
	h.in(ipv6{src: target}.nd(ndAdvert(target, flags, mac)))
}

func TestND6_RFC4861_7_2_2_Resolution(t *testing.T) {
	h := ndHost(t)
	h.raw6(peer6, 10)
	h.raw6(peer6, 11)
	f := h.nextIs(header.ICMPv6NeighborSol)
	require.Equal(t, hdr(solicited(peer6)).MulticastMAC(), f.dst)
	require.Equal(t, hdr(solicited(peer6)), f.ip6.Dst())
	require.Equal(t, hdr(user6), f.ip6.Src(), "the source of the packet that waits")
	require.Equal(t, uint8(255), f.ip6.HopLimit())
	s, opts, fault := header.ParseNDSolicit(f.ip6, f.ipb[header.IPv6Len:])
	require.Zero(t, fault)
	require.Equal(t, hdr(peer6), s.Target())
	mac, ok := opts.LinkAddr(header.NDOptSourceLink)
	require.True(t, ok)
	require.Equal(t, scriptMAC, mac)
	h.advert(peer6, sol|ovr, scriptPeer)
	fs := h.take()
	require.Len(t, fs, 2)
	require.Equal(t, scriptPeer, fs[0].dst)
	require.Equal(t, pattern(10), fs[0].body)
	require.Equal(t, pattern(11), fs[1].body)
	require.Equal(t, nudReachable, h.nudOf(peer6))
}

func TestND6_RFC4861_7_2_2_ThreeTriesThenUnreachable(t *testing.T) {
	h := ndHost(t)
	h.raw6(peer6, 10)
	for range 3 {
		h.nextIs(header.ICMPv6NeighborSol)
		h.advance(time.Second + time.Millisecond)
	}
	h.none()
	h.dropped(DropARPUnresolved, 1)
	require.Equal(t, uint64(1), h.stats.ND6.Unreachable)
	require.Nil(t, h.entry(peer6))
}

func TestND6_RFC4861_7_2_3_Answers(t *testing.T) {
	h := ndHost(t)
	for _, to := range []netip.Addr{solicited(user6), user6} {
		h.in(ipv6{dst: to}.nd(ndSolicit(user6, scriptPeer)))
		f := h.nextIs(header.ICMPv6NeighborAdv)
		a, opts, fault := header.ParseNDAdvert(f.ip6, f.ipb[header.IPv6Len:])
		require.Zero(t, fault)
		require.Equal(t, []any{hdr(user6), sol | ovr, hdr(user6), hdr(peer6)}, []any{a.Target(), a.Flags(), f.ip6.Src(), f.ip6.Dst()})
		mac, _ := opts.LinkAddr(header.NDOptTargetLink)
		require.Equal(t, scriptMAC, mac)
		require.Equal(t, scriptPeer, f.dst, "what the question said of its sender")
	}
	require.Equal(t, nudDelay, h.nudOf(peer6), "it was sent something")
	// Somebody else looks for duplicates (RFC 4861 7.2.4).
	h.in(ipv6{src: netip.IPv6Unspecified(), dst: solicited(user6)}.nd(ndSolicit(user6, header.MAC{})))
	f := h.nextIs(header.ICMPv6NeighborAdv)
	a, _, _ := header.ParseNDAdvert(f.ip6, f.ipb[header.IPv6Len:])
	require.Equal(t, []any{ovr, header.AddrAllNodes}, []any{a.Flags(), f.ip6.Dst()})
	h.in(ipv6{dst: user6}.nd(ndSolicit(other6, otherMAC))) // not ours
	h.none()
}

func TestND6_RFC4861_7_1_MessagesThatAreRefused(t *testing.T) {
	h := ndHost(t)
	solicit := func() []byte { return ndSolicit(user6, scriptPeer) }
	with := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	bad := [][]byte{
		ipv6{hops: 254}.nd(solicit()),
		ipv6{}.nd(with(solicit(), 1, 1)),       // code
		ipv6{}.nd(solicit()[:20]),              // short
		ipv6{}.nd(with(solicit(), 25, 0)),      // option of length 0
		ipv6{}.nd(with(solicit(), 25, 2)),      // option beyond the end
		ipv6{}.nd(ndSolicit(all6, scriptPeer)), // group as target
		ipv6{src: netip.IPv6Unspecified(), dst: user6}.nd(ndSolicit(user6, header.MAC{})), // not to the group
		ipv6{src: netip.IPv6Unspecified(), dst: solicited(user6)}.nd(solicit()),           // :: with a link address
		ipv6{dst: all6}.nd(ndAdvert(peer6, sol, scriptPeer)),                              // solicited, to a group
		ipv6{src: peer6}.nd(make([]byte, header.NDRouterAdvertLen)),                       // to be a router's below
		ipv6{src: peerLL}.nd(make([]byte, 30)),
	}
	bad[9][header.EthernetLen+header.IPv6Len] = header.ICMPv6RouterAdvert
	bad[10][header.EthernetLen+header.IPv6Len] = header.ICMPv6Redirect
	for i, b := range bad[9:] {
		bad[9+i] = ipv6{src: []netip.Addr{peer6, peerLL}[i]}.nd(b[header.EthernetLen+header.IPv6Len:])
	}
	for i, b := range bad {
		h.in(b)
		require.Equal(t, uint64(i+1), h.stats.ND6.InErrors, "case %d", i)
	}
	h.dropped(DropND6Malformed, len(bad))
	b := ipv6{}.nd(solicit())
	b[header.EthernetLen+header.IPv6Len+2]++
	h.in(b)
	h.dropped(DropICMPChecksum, 1)
	h.none()
	require.Empty(t, h.Neighbors())
}

func TestND6_RFC4861_7_2_5_Advertisements(t *testing.T) {
	const reachable, stale = nudReachable, nudStale
	for _, c := range []struct {
		was   nudState
		flags uint8
		mac   header.MAC
		then  nudState
		knows header.MAC
	}{
		{reachable, 0, otherMAC, stale, scriptPeer}, // without override: ask again
		{stale, 0, otherMAC, stale, scriptPeer},     // and nothing else
		{reachable, ovr, otherMAC, stale, otherMAC}, // another MAC, unsolicited
		{reachable, ovr | sol, otherMAC, reachable, otherMAC},
		{stale, ovr | sol, header.MAC{}, reachable, scriptPeer},
		{stale, sol, scriptPeer, reachable, scriptPeer},
		{stale, ovr, scriptPeer, stale, scriptPeer},
		{reachable, 0, header.MAC{}, reachable, scriptPeer},
	} {
		h := ndHost(t)
		h.in(ipv6{}.nd(ndSolicit(user6, scriptPeer)))
		h.arp.find(h.nif, hdr(peer6)).nud = c.was
		h.take()
		h.advert(peer6, c.flags, c.mac)
		n := h.arp.find(h.nif, hdr(peer6))
		require.Equal(t, []any{c.then, c.knows}, []any{n.nud, n.mac}, "%+v", c)
		h.none()
	}
	h := ndHost(t)
	h.advert(peer6, sol|ovr, scriptPeer)
	require.Empty(t, h.Neighbors(), "nobody wants to know")
	h.raw6(peer6, 1)
	h.take()
	h.advert(peer6, sol, header.MAC{})
	h.none()
	h.mayDrop(DropARPUnresolved)
}

func TestND6_RFC4861_7_3_3_UnreachabilityDetection(t *testing.T) {
	h := ndHost(t)
	h.raw6(peer6, 1)
	h.advert(peer6, sol|ovr, scriptPeer)
	h.take()
	require.Equal(t, nudReachable, h.nudOf(peer6))
	h.advance(46 * time.Second) // one and a half of REACHABLE_TIME
	require.Equal(t, nudStale, h.nudOf(peer6))
	h.advance(time.Minute) // nothing is sent, nobody asks
	h.none()
	h.raw6(peer6, 1)
	require.NotNil(t, h.one().ip6, "it is sent at once")
	require.Equal(t, nudDelay, h.nudOf(peer6))
	h.advance(5*time.Second + time.Millisecond)
	require.Equal(t, nudProbe, h.nudOf(peer6))
	f := h.nextIs(header.ICMPv6NeighborSol)
	require.Equal(t, []any{scriptPeer, hdr(peer6)}, []any{f.dst, f.ip6.Dst()}, "it itself is asked")
	h.advert(peer6, sol, header.MAC{})
	require.Equal(t, nudReachable, h.nudOf(peer6))
	h.advance(46 * time.Second)
	h.raw6(peer6, 1)
	h.take()
	h.advance(5*time.Second + time.Millisecond)
	for range 3 {
		h.nextIs(header.ICMPv6NeighborSol)
		h.advance(time.Second + time.Millisecond)
	}
	h.none()
	require.Nil(t, h.entry(peer6))
}

func TestND6_RFC4861_7_3_1_TCPVouchesForTheNeighbor(t *testing.T) {
	w := newPair6(t, pairConfig{})
	listen6(t, w.b, func(*pbuf.Pbuf) {})
	c := w.a.NewTCP()
	require.NoError(t, c.Connect(ap(peer6, 80), nil))
	w.run(time.Second)
	asked := w.a.stats.ND6.OutSolicits
	for range 300 { // five minutes of acknowledged data
		require.NoError(t, c.Write(pattern(10), 0))
		_ = c.Output()
		w.run(time.Second)
	}
	require.Equal(t, asked, w.a.stats.ND6.OutSolicits, "nobody has to ask")
	require.NoError(t, c.Close())
	w.run(2 * time.Minute)
}

func TestND6_Groups_TakeNoPlaceInTheTable(t *testing.T) {
	h := ndHost(t)
	for i := range 50 {
		h.raw6(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 10)}), 1)
	}
	require.Equal(t, 50, h.arp.n)
	h.mayDrop(DropARPUnresolved)
}

func TestND6_StaticNeighbors(t *testing.T) {
	h := ndHost(t)
	require.NoError(t, h.AddNeighbor(h.nif, peerLL, scriptPeer))
	require.Equal(t, peerLL.WithZone("if"), h.Neighbors()[0].Addr)
	h.raw6(peerLL, 1)
	require.Equal(t, scriptPeer, h.one().dst)
	h.in(ipv6{src: peerLL}.nd(ndAdvert(peerLL, sol|ovr, otherMAC)))
	h.raw6(peerLL, 1)
	require.Equal(t, scriptPeer, h.one().dst, "nothing changes it")
	h.advance(10 * time.Minute)
	h.none()
	require.NoError(t, h.DelNeighbor(h.nif, peerLL))
	require.Empty(t, h.Neighbors())
	for _, a := range []netip.Addr{all6, user6, userLL, netip.IPv6Unspecified()} {
		require.ErrorIs(t, h.AddNeighbor(h.nif, a, scriptPeer), ErrVal, a)
	}
}

func TestND6_RFC4861_4_3_EventsTellOtherShards(t *testing.T) {
	var told []ND6Event
	a := newHost6(t, host6Config{ND: true, hostConfig: hostConfig{Config: Config{Hooks: Hooks{
		ND6Happened: func(_ *Netif, e ND6Event) { told = append(told, e) },
	}}}})
	b := ndHost(t)
	a.raw6(peer6, 1)
	b.raw6(peer6, 2)
	a.take()
	b.take()
	told = nil
	a.advert(peer6, sol|ovr, scriptPeer)
	require.Len(t, a.take(), 1)
	require.Len(t, told, 1)
	b.ApplyND6(b.nif, told[0])
	require.Equal(t, pattern(2), b.one().body, "what waited there goes, too")
	require.Equal(t, nudReachable, b.nudOf(peer6))
}
