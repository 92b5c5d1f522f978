package shard

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/stack"
)

var (
	ip6A    = netip.MustParsePrefix("2001:db8::1/64")
	ip6B    = netip.MustParsePrefix("2001:db8::2/64")
	echo6   = netip.MustParseAddrPort("[2001:db8::2]:7")
	router6 = netip.MustParseAddr("fe80::99")
)

// newBed6 is a bed of n shards whose ends have IPv6 addresses, used at once. Its
// servers are on all shards of b.
func newBed6(t *testing.T, wire mem.Config, n int) *bed {
	t.Helper()
	bd := newBed(t, bedConfig{wire: wire, shardsA: n, shardsB: n, edit: func(c *Config, side byte) {
		c.Stack.IPv6.DADTransmits = -1
		c.Ports[0].Addrs = append(c.Ports[0].Addrs, map[byte]netip.Prefix{'a': ip6A, 'b': ip6B}[side])
	}})
	bd.step(t)
	require.NoError(t, bd.b.Do(func(s *Shard) error {
		l := s.Stack().NewTCP()
		l.SetAccept(func(_ any, pcb *stack.TCP, _ error) error {
			pcb.SetRecv(echoRecv)
			return nil
		})
		if err := l.Bind(netip.AddrPortFrom(netip.Addr{}, 7)); err != nil {
			return err
		}
		return l.Listen(1 << 10)
	}))
	return bd
}

// TestIP6ConnectionsLandAtHome: over a wire that hashes, TCP over IPv6 needs no
// hand-over but for discovery; over one that does not, it works all the same.
func TestIP6ConnectionsLandAtHome(t *testing.T) {
	const n, each = 4, 20
	for _, rss := range []bool{true, false} {
		wire := mem.Config{Pause: true, A: mem.EndConfig{Queues: n}, B: mem.EndConfig{Queues: n}}
		if !rss {
			wire.A.Queues, wire.B.Queues = 1, 1
		}
		bd := newBed6(t, wire, n)
		var clients []*echoClient
		for _, s := range bd.a.Shards() {
			c := newEchoClient(s, each, 3, 100)
			c.to = echo6
			clients = append(clients, c)
			require.NoError(t, c.open())
		}
		bd.run(t, func() bool {
			for _, c := range clients {
				if err := c.err.Load(); err != nil {
					require.NoError(t, *err)
				}
				if c.finished.Load() < each {
					return false
				}
			}
			return true
		}, "echoes over IPv6")
		if !rss {
			continue
		}
		for _, g := range []*Group{bd.a, bd.b} {
			for _, h := range g.Handovers() {
				h.Packets[CauseND] = 0
				require.Zero(t, h.Total(), "%s", h.String())
			}
		}
	}
}

// icmp6Frame is a frame from the peer with an ICMPv6 message to dst.
func icmp6Frame(src, dst netip.Addr, hops uint8, msg []byte) []byte {
	b := make([]byte, header.EthernetLen+header.IPv6Len, header.EthernetLen+header.IPv6Len+len(msg))
	from, to := header.FromNetip(src), header.FromNetip(dst)
	mac := header.MAC{2, 0, 0, 0, 0, 1}
	if dst.IsMulticast() {
		mac = to.MulticastMAC()
	}
	(*header.Ethernet)(b).Encode(mac, peerMAC, header.EtherTypeIPv6)
	(*header.IPv6)(b[header.EthernetLen:]).Encode(&header.IPv6Fields{HopLimit: hops, NextHeader: header.ProtoICMPv6, PayloadLen: uint16(len(msg)), Src: from, Dst: to})
	m := (*header.ICMPv6)(msg)
	m.SetChecksum(0)
	m.SetChecksum(^header.Checksum(msg, header.PseudoHeader6(from, to, header.ProtoICMPv6, uint32(len(msg)))))
	return append(b, msg...)
}

// TestIP6DiscoveryIsTold: what one shard hears of routers, prefixes and neighbours
// all know, and addresses are looked for duplicates of by the first alone.
func TestIP6DiscoveryIsTold(t *testing.T) {
	p := newFakePort(4)
	cfg := manual(4, PortConfig{Port: p, Autoconf: true})
	g := newGroup(t, cfg)
	now := int64(1e9)
	until := func(sec int64) {
		for end := now + sec*1e9; now < end; now += 50e6 {
			_, err := g.Step(now)
			require.NoError(t, err)
		}
	}
	until(3)
	frames, queues := p.take()
	probes := 0
	for i, f := range frames {
		require.Zero(t, queues[i], "the first shard sends them")
		if (*header.Ethernet)(f).Type() == header.EtherTypeIPv6 && f[header.EthernetLen+6] == byte(header.ProtoICMPv6) &&
			f[header.EthernetLen+header.IPv6Len] == header.ICMPv6NeighborSol {
			probes++
		}
	}
	require.Equal(t, 1, probes, "one probe for the link-local address")

	ra := make([]byte, header.NDRouterAdvertLen+header.NDLinkAddrLen+header.NDPrefixLen)
	(*header.NDRouterAdvert)(ra).Encode(&header.NDRouterAdvertFields{Lifetime: 1800})
	header.PutNDLinkAddr(ra[header.NDRouterAdvertLen:], header.NDOptSourceLink, peerMAC)
	header.PutNDPrefix(ra[header.NDRouterAdvertLen+header.NDLinkAddrLen:], &header.NDPrefix{
		Prefix: netip.MustParsePrefix("2001:db8:a::/64"), Flags: header.NDPrefixAutonomous | header.NDPrefixOnLink, Valid: 9000, Preferred: 9000,
	})
	p.inject(2, icmp6Frame(router6, netip.MustParseAddr("ff02::1"), 255, ra)) // to any queue
	until(4)
	for _, s := range g.Shards() {
		require.Len(t, s.Stack().Routers6(), 1, "shard %d", s.ID())
		addrs := s.Stack().Netifs()[0].Addrs6()
		require.Len(t, addrs, 2)
		for _, a := range addrs {
			require.False(t, a.Tentative || a.Duplicate, "shard %d: %v", s.ID(), a.Prefix)
		}
		require.Len(t, s.Stack().Neighbors(), 1)
	}
	handed := 0
	for _, h := range g.Handovers() {
		handed += int(h.Packets[CauseND])
	}
	require.Equal(t, 1, handed, "the advertisement, once")

	// Another node has an address that is added now.
	require.NoError(t, g.AddAddr(0, ip6A))
	until(0)
	na := make([]byte, header.NDAdvertLen)
	(*header.NDAdvert)(na).Encode(header.FromNetip(ip6A.Addr()), header.NDFlagOverride)
	p.inject(3, icmp6Frame(router6, netip.MustParseAddr("ff02::1"), 255, na))
	until(2)
	for _, s := range g.Shards() {
		for _, a := range s.Stack().Netifs()[0].Addrs6() {
			require.Equal(t, a.Prefix == ip6A, a.Duplicate, "shard %d: %v", s.ID(), a.Prefix)
		}
	}
	require.NoError(t, g.DelAddr(0, ip6A))
	require.ErrorIs(t, g.DelAddr(0, ip6A), stack.ErrVal)
	require.NoError(t, g.JoinGroup(0, netip.MustParseAddr("ff0e::1")))
	require.NoError(t, g.LeaveGroup(0, netip.MustParseAddr("ff0e::1")))
	require.ErrorIs(t, g.LeaveGroup(0, netip.MustParseAddr("ff0e::1")), stack.ErrVal)
	require.NoError(t, g.AddRoute(0, netip.MustParsePrefix("2001:db8:9::/48"), router6))
	require.NoError(t, g.AddNeighbor(0, router6, peerMAC))
	require.NoError(t, g.DelNeighbor(0, router6))
	require.NoError(t, g.DelRoute(0, netip.MustParsePrefix("2001:db8:9::/48")))
	until(1)
	p.take()
}

// TestIP6Steering: errors go to the shard of the connection that they quote, echo
// replies to that of their identifier, discovery to the first.
func TestIP6Steering(t *testing.T) {
	st := steeringOf(t, PortConfig{}, rssInfo(t, keyOf(t, 1), 8), keyOf(t, 1), 8)
	a, b := header.FromNetip(ip6A.Addr()), header.FromNetip(ip6B.Addr())
	want := int(st.table.Queue(st.hasher.HashTuple(b, a, 80, 5000)))
	quoted := make([]byte, header.IPv6Len+header.TCPLen)
	(*header.IPv6)(quoted).Encode(&header.IPv6Fields{NextHeader: header.ProtoTCP, PayloadLen: header.TCPLen, Src: a, Dst: b})
	(*header.TCP)(quoted[header.IPv6Len:]).Encode(&header.TCPFields{SrcPort: 5000, DstPort: 80})
	home := func(frame []byte) (int, Cause) { return homeCause(t, st, frame) }
	message := func(typ uint8, rest uint32, body []byte) []byte {
		m := make([]byte, header.ICMPv6Len)
		(*header.ICMPv6)(m).Encode(typ, 0, rest)
		return icmp6Frame(ip6B.Addr(), ip6A.Addr(), 64, append(m, body...))
	}
	for _, typ := range []uint8{header.ICMPv6DstUnreachable, header.ICMPv6PacketTooBig, header.ICMPv6TimeExceeded} {
		h, why := home(message(typ, 0, quoted))
		require.Equal(t, []any{want, CauseICMP}, []any{h, why})
	}
	h, why := home(message(header.ICMPv6EchoReply, 0x0005_0001, nil))
	require.Equal(t, []any{5, CauseICMP}, []any{h, why})
	for typ := header.ICMPv6MLDQuery; typ <= header.ICMPv6Redirect; typ++ {
		h, why = home(message(typ, 0, make([]byte, 16)))
		require.Equal(t, []any{0, CauseND}, []any{h, why})
	}
	f, ok := flowOf(message(header.ICMPv6PacketTooBig, 1300, quoted), 3)
	require.True(t, ok)
	require.Equal(t, flow{header.ProtoTCP, a, b, 5000, 80}, f)
	ll := header.FromNetip(router6)
	(*header.IPv6)(quoted).SetDst(ll)
	f, ok = flowOf(message(header.ICMPv6PacketTooBig, 1300, quoted), 3)
	require.True(t, ok)
	require.Equal(t, ll.WithZone(3), f.remote)
	for n := range len(quoted) { // any bytes are safe
		flowOf(message(header.ICMPv6PacketTooBig, 1300, quoted[:n]), 3)
		home(message(header.ICMPv6PacketTooBig, 1300, quoted[:n]))
	}
}

// homeCause is where a frame belongs that arrived at shard 2, and why.
func homeCause(t *testing.T, st *steering, frame []byte) (int, Cause) {
	t.Helper()
	pool, err := pbuf.NewPool(pbuf.Config{Small: 8, Buffers: 8, Jumbo: -1})
	require.NoError(t, err)
	p := pool.Alloc(pbuf.LayerLink, len(frame), pbuf.KindRAM)
	copy(p.Payload(), frame)
	home, why := st.home(p, 2)
	p.Free()
	require.NoError(t, pool.Close())
	return home, why
}

// TestIP6FragmentsReachTheirFlow: a datagram in fragments is put together on one
// shard and goes on to the one whose flow it is.
func TestIP6FragmentsReachTheirFlow(t *testing.T) {
	const n = 4
	bd := newBed6(t, mem.Config{Pause: true, A: mem.EndConfig{Queues: n}, B: mem.EndConfig{Queues: n}}, n)
	var got [n]int
	var socks [n]*stack.UDP
	for i, s := range bd.a.Shards() {
		u := s.Stack().NewUDP()
		require.NoError(t, u.Connect(netip.AddrPortFrom(ip6B.Addr(), 9)))
		u.SetRecv(func(_ any, _ *stack.UDP, p *pbuf.Pbuf, _ netip.AddrPort) { got[i] += p.TotLen(); p.Free() })
		socks[i] = u
	}
	for _, s := range bd.b.Shards() {
		u := s.Stack().NewUDP()
		require.NoError(t, u.Bind(netip.AddrPortFrom(netip.IPv6Unspecified(), 9)))
		u.SetRecv(func(_ any, u *stack.UDP, p *pbuf.Pbuf, from netip.AddrPort) { _ = u.SendTo(p, from) })
	}
	for i, s := range bd.a.Shards() {
		p := s.Pool().Alloc(pbuf.LayerTransport, 4000, pbuf.KindPool)
		require.NoError(t, socks[i].Send(p))
	}
	bd.run(t, func() bool { return got == [n]int{4000, 4000, 4000, 4000} }, "echoes in fragments")
}
