package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

func TestICMP6_RFC4443_4_2_Echo(t *testing.T) {
	h := newHost6(t, host6Config{})
	for _, n := range []int{0, 1, 56, 1452, 4000} {
		data := pattern(n)
		h.in(ipv6{tc: 0x20}.cut6(header.ProtoICMPv6, ipv6{}.icmpBody(header.ICMPv6Echo, 0, 0x12340007, data))...)
		fs := h.take()
		got := []byte{}
		for _, f := range fs {
			require.Equal(t, []any{hdr(user6), hdr(peer6)}, []any{f.ip6.Src(), f.ip6.Dst()})
			got = append(got, f.body...)
		}
		if len(fs) == 1 {
			require.Equal(t, header.ICMPv6EchoReply, fs[0].icmp6.Type())
			require.Equal(t, uint32(0x12340007), fs[0].icmp6.Rest())
			require.Equal(t, uint8(0x20), fs[0].ip6.TrafficClass())
		} else { // fragments are not taken apart
			got = got[header.ICMPv6Len:]
		}
		require.Equal(t, data, got, "all data comes back")
	}
	h.in(ipv6{dst: all6}.icmp(header.ICMPv6Echo, 0, 1, nil))
	require.Equal(t, hdr(user6), h.nextIs(header.ICMPv6EchoReply).ip6.Src(), "from one of ours, if a group was asked")
	h.in(ipv6{src: netip.IPv6Unspecified()}.icmp(header.ICMPv6Echo, 0, 1, nil))
	h.dropped(DropICMPIgnored, 1)
}

// cut6 is a frame, or frames with fragments if the packet is long.
func (h ipv6) cut6(proto header.Protocol, body []byte) [][]byte {
	if len(body) <= 1460 {
		h.proto = proto
		return [][]byte{h.frame(body)}
	}
	return h.cut(99, proto, body, 1448)
}

func TestICMP6_RFC4443_2_3_ChecksumIsVerified(t *testing.T) {
	h := newHost6(t, host6Config{})
	b := ipv6{}.icmp(header.ICMPv6Echo, 0, 1, pattern(9))
	b[len(b)-1]++
	h.in(b)
	h.dropped(DropICMPChecksum, 1)
	h.in(ipv6{proto: header.ProtoICMPv6}.frame(pattern(7)))
	h.dropped(DropICMPMalformed, 1)
	h.in(ipv6{}.icmp(200, 0, 1, nil), ipv6{}.icmp(100, 0, 1, nil)) // RFC 4443 2.4 (a), (b): of no use to us
	h.dropped(DropICMPIgnored, 2)
	h.none()
}

func TestICMP6_RFC4443_2_4_e_NoErrorsAboutThese(t *testing.T) {
	h := newHost6(t, host6Config{})
	for name, b := range map[string][]byte{
		"an error":           ipv6{dst: beyond6}.icmp(header.ICMPv6DstUnreachable, 0, 0, pattern(50)),
		"a redirect":         ipv6{dst: beyond6}.icmp(header.ICMPv6Redirect, 0, 0, pattern(50)),
		"a group":            ipv6{dst: all6}.udp(1, 2, nil),
		"no source":          ipv6{src: netip.IPv6Unspecified()}.icmp(header.ICMPv6Echo, 0, 0, nil),
		"a link-level group": etherTo(header.Broadcast, header.EtherTypeIPv6, ipv6{}.packet(nil)),
	} {
		p := h.packet(b)
		p.RemoveHeader(header.EthernetLen)
		p.L3Len = header.IPv6Len
		if name == "a link-level group" {
			p.Flags |= pbuf.LinkBroadcast
		}
		h.icmp6Error(h.nif, p, header.ICMPv6DstUnreachable, 0, 0)
		p.Free()
		require.Empty(t, h.take(), name)
	}
}

func TestICMP6_RFC4443_2_4_f_RateLimit(t *testing.T) {
	h := newHost6(t, host6Config{})
	b := ipv6{}.udp(1, 9, nil)
	for range 200 {
		h.in(b)
	}
	require.Len(t, h.take(), icmpBurst)
	require.Equal(t, uint64(200-icmpBurst), h.stats.ICMP6.OutRateLimited)
	h.advance(10 * time.Millisecond)
	for range 200 {
		h.in(b)
	}
	require.Len(t, h.take(), 10)
	h.dropped(DropUDPNoPort, 400)
}

func TestPing6(t *testing.T) {
	w := newPair6(t, pairConfig{})
	var got []PingReply
	for _, to := range []netip.Addr{peer6, peerLL.WithZone("if")} {
		g, err := w.a.NewPing(to, nil, func(_ any, _ *Ping, r PingReply) { got = append(got, r) })
		require.NoError(t, err)
		for _, n := range []int{0, 56, 60_000, 65527} {
			_, err = g.Send(n)
			require.NoError(t, err)
			w.run(10 * time.Millisecond)
			require.Len(t, got, 1)
			require.Equal(t, []any{n, to, uint8(64), false}, []any{got[0].Bytes, got[0].From, got[0].TTL, got[0].Duplicate})
			got = nil
		}
		_, err = g.Send(65528)
		require.ErrorIs(t, err, ErrVal)
		g.Close()
	}
	g, err := w.a.NewPing(beyond6, nil, func(_ any, _ *Ping, r PingReply) { got = append(got, r) })
	require.NoError(t, err)
	require.NoError(t, w.a.AddRoute(netip.MustParsePrefix("::/0"), peer6, w.a.nif))
	_, err = g.Send(8)
	require.NoError(t, err)
	w.a.in(ipv6{}.icmp(header.ICMPv6DstUnreachable, 0, 0, ipv6{src: user6, dst: beyond6, proto: header.ProtoICMPv6}.packet(
		ipv6{src: user6, dst: beyond6}.icmpBody(header.ICMPv6Echo, 0, uint32(g.id)<<16, pattern(8)))))
	require.Equal(t, []PingReply{{Err: ErrUnreachable, From: peer6}}, got)
	w.run(time.Second)
	w.b.dropped(DropIPNotForUs, 1) // it forwards nothing
	g.Close()
}

func TestRaw6_RFC3542_3_1_ChecksumIsFilledIn(t *testing.T) {
	h := newHost6(t, host6Config{})
	r := h.NewRaw(header.ProtoICMPv6)
	p := h.data(12)
	b := p.Payload()
	b[0], b[1] = header.ICMPv6Echo, 0
	require.NoError(t, r.SendTo(p, peer6))
	h.nextIs(header.ICMPv6Echo) // parseFrame looks at the checksum
	require.ErrorIs(t, r.SendTo(h.data(7), peer6), ErrVal)
	require.NoError(t, r.Bind(userIP))
	require.ErrorIs(t, r.SendTo(h.data(8), peer6), ErrVal, "families differ")
}

// router6 is a host that forwards to a second interface with 2001:db8:1::1/64, on
// which it knows 2001:db8:1::9.
func newRouter6(t testing.TB) (h *host, two *Netif, sent *[]frame) {
	h = newHost6(t, host6Config{hostConfig: hostConfig{Config: Config{Forward: true}}})
	sent = new([]frame)
	two, err := h.AddNetif(NetifConfig{Name: "two", MAC: otherMAC, MTU: 1400, Output: func(ps []*pbuf.Pbuf) int {
		for _, p := range ps {
			b := make([]byte, p.TotLen())
			p.CopyPartial(b, 0)
			p.Free()
			*sent = append(*sent, parseFrame(t, b))
		}
		return len(ps)
	}})
	require.NoError(t, err)
	require.NoError(t, two.AddAddr(netip.MustParsePrefix("2001:db8:1::1/64")))
	require.NoError(t, h.AddNeighbor(two, beyond6, header.MAC{2, 7}))
	h.advance(3 * time.Second)
	*sent = nil
	h.take()
	h.stats = Stats{}
	return h, two, sent
}

func TestIP6Forward_RFC8200_3(t *testing.T) {
	h, _, sent := newRouter6(t)
	b := ipv6{dst: beyond6, hops: 9, tc: 3}.udp(1, 2, pattern(100))
	h.in(b)
	require.Len(t, *sent, 1)
	f := (*sent)[0]
	want := append([]byte{}, b[header.EthernetLen:]...)
	want[7]--
	require.Equal(t, want, f.ipb)
	require.Equal(t, []header.MAC{{2, 7}, otherMAC}, []header.MAC{f.dst, f.src})
	require.Equal(t, uint64(1), h.stats.IP6.ForwDatagrams)
	h.none()
}

func TestIP6Forward_RFC4443_3_Errors(t *testing.T) {
	h, _, sent := newRouter6(t)
	for _, c := range []struct {
		typ, code uint8
		rest      uint32
		frame     []byte
		why       DropReason
	}{
		{header.ICMPv6TimeExceeded, 0, 0, ipv6{dst: beyond6, hops: 1}.udp(1, 2, nil), DropIPTTL},
		{header.ICMPv6DstUnreachable, header.ICMPv6NoRoute, 0, ipv6{dst: netip.MustParseAddr("2001:db8:99::1")}.udp(1, 2, nil), DropIPNoRoute},
		{header.ICMPv6PacketTooBig, 0, 1400, ipv6{dst: beyond6}.udp(1, 2, pattern(1353)), DropIPNeedsFrag},
		{header.ICMPv6DstUnreachable, header.ICMPv6BeyondScope, 0, ipv6{src: peerLL, dst: beyond6}.udp(1, 2, nil), DropIPForwardLoop},
		{header.ICMPv6ParamProblem, header.ICMPv6UnknownOption, 42,
			ipv6{dst: beyond6, first: header.ProtoHopByHop, ext: opt(testProto, 0x9e)}.frame(nil), DropIPExtension},
	} {
		if h.arp.find(h.nif, h.nif.scoped(peerLL)) == nil {
			require.NoError(t, h.AddNeighbor(h.nif, peerLL, scriptPeer))
		}
		h.in(c.frame)
		h.error6(c.typ, c.code, c.rest, c.frame[header.EthernetLen:])
		h.dropped(c.why, 1)
	}
	for _, b := range [][]byte{
		ipv6{dst: other6}.udp(1, 2, nil), // it came from there
		etherTo(header.Broadcast, header.EtherTypeIPv6, ipv6{dst: beyond6, proto: testProto}.packet(nil)), // RFC 1812 5.3.4
		ipv6{src: netip.IPv6Unspecified(), dst: beyond6}.udp(1, 2, nil),
		ipv6{dst: netip.MustParseAddr("fe80::99")}.udp(1, 2, nil),
	} {
		h.in(b)
		h.none()
	}
	h.dropped(DropIPForwardLoop, 5)
	h.in(ipv6{dst: beyond6}.udp(1, 2, pattern(1352))) // this one fits
	h.in(ipv6{dst: beyond6, first: header.ProtoHopByHop, ext: opt(testProto, 1)}.frame(nil))
	require.Len(t, *sent, 2)
}

func TestIP6Forward_RFC4861_7_2_2_AddressUnreachable(t *testing.T) {
	h, _, sent := newRouter6(t)
	b := ipv6{dst: netip.MustParseAddr("2001:db8:1::77")}.udp(1, 2, nil)
	h.in(b)
	h.advance(4 * time.Second)
	require.Len(t, *sent, 3, "it was asked for")
	f := h.nextIs(header.ICMPv6DstUnreachable)
	require.Equal(t, header.ICMPv6AddrUnreachable, f.icmp6.Code())
	h.dropped(DropARPUnresolved, 1)
}

func TestIP6Forward_RFC4861_6_2_7_ARouterListensToNone(t *testing.T) {
	h, _, _ := newRouter6(t)
	require.NoError(t, h.nif.SetAutoconfig(true))
	h.fromRouter(routerAdvert(header.NDRouterAdvertFields{Lifetime: 1800}, scriptPeer, 0, autoPrefix))
	require.Empty(t, h.Routers6())
	require.Len(t, h.nif.Addrs6(), 2)
	h.in(ipv6{src: peerLL, dst: netip.MustParseAddr("ff02::2")}.nd(ndLink(func() []byte {
		b := make([]byte, header.NDRouterSolicitLen)
		(*header.NDRouterSolicit)(b).Encode()
		return b
	}(), header.NDOptSourceLink, scriptPeer)))
	require.Equal(t, nudStale, h.nudOf(peerLL))
	h.in(ipv6{dst: user6}.nd(ndSolicit(user6, scriptPeer)))
	a := (*header.NDAdvert)(h.nextIs(header.ICMPv6NeighborAdv).ipb[header.IPv6Len:])
	require.NotZero(t, a.Flags()&rtr)
}
