package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

func TestIP6_RFC8200_3_Gate(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	good := ipv6{proto: testProto}.frame(pattern(100))
	change := func(at int, v byte) []byte {
		b := append([]byte{}, good...)
		b[header.EthernetLen+at] = v
		return b
	}
	bad := [][]byte{
		good[:header.EthernetLen+39],     // short
		change(0, 0x45),                  // version 4
		change(4, 1),                     // payload length beyond the frame
		good[:len(good)-1],               // the same, by one byte
		ether(header.EtherTypeIPv6, nil), // nothing at all
		ipv6{src: netip.MustParseAddr("::ffff:198.18.0.2"), proto: testProto}.frame(nil),
		ipv6{src: netip.MustParseAddr("fe80:0:1::2"), proto: testProto}.frame(nil)[:header.EthernetLen+20],
	}
	for i, b := range bad {
		h.in(b)
		require.Equal(t, uint64(i+1), h.stats.IP6.InHdrErrors, "case %d", i)
	}
	h.dropped(DropIPMalformed, len(bad))
	h.in(good)
	h.in(append(append([]byte{}, good...), 1, 2, 3)) // the link's padding
	h.inPackets(h.chain(good, 60))
	require.Len(t, k.got, 3)
	for _, got := range k.got {
		require.Equal(t, good[header.EthernetLen:], got)
	}
	require.Equal(t, peer6, k.from[0])
	h.none()
}

func TestIP6_RFC4291_2_5_6_ZoneBitsAreNotOnTheWire(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	h.in(ipv6{src: peerLL, dst: userLL, proto: testProto}.frame(nil))
	require.Len(t, k.got, 1)
	require.Equal(t, peerLL.WithZone("if"), k.from[0], "whose link it is, the application hears")
	b := ipv6{src: peerLL, dst: userLL, proto: testProto}.frame(nil)
	b[header.EthernetLen+8+3] = 1 // the zone of the source
	h.in(b)
	h.dropped(DropIPMalformed, 1)
}

func TestIP6_RFC4291_BadAddresses(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	for _, src := range []string{"ff02::1", "::1", "2001:db8::1", "::"} {
		h.in(ipv6{src: netip.MustParseAddr(src), proto: testProto}.frame(nil))
	}
	for _, dst := range []string{"::1", "::"} {
		h.in(ether(header.EtherTypeIPv6, ipv6{dst: netip.MustParseAddr(dst), proto: testProto}.packet(nil)))
	}
	h.dropped(DropIPBadSource, 6)
	for _, dst := range []string{"2001:db8::77", "ff01::1", "ff02::77", "ff05::1", "fe80::1"} {
		h.in(ipv6{dst: netip.MustParseAddr(dst), proto: testProto}.frame(nil))
	}
	h.dropped(DropIPNotForUs, 2)
	h.dropped(DropIPGroup, 3)
	h.in(etherTo(header.Broadcast, header.EtherTypeIPv6, ipv6{proto: testProto}.packet(nil)))
	h.dropped(DropIPLinkGroup, 1)
	require.Empty(t, k.got)
	require.Equal(t, uint64(12), h.stats.IP6.InAddrErrors)
	h.none()
}

func TestIP6_RFC4291_2_8_GroupsOfANode(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	for _, dst := range []netip.Addr{all6, solicited(user6), solicited(userLL)} {
		h.in(ipv6{dst: dst, proto: testProto}.frame(nil))
	}
	require.Len(t, k.got, 3)
	group := netip.MustParseAddr("ff0e::1234")
	require.NoError(t, h.nif.JoinGroup(group))
	h.in(ipv6{dst: group, proto: testProto}.frame(nil))
	require.Len(t, k.got, 4)
	require.NoError(t, h.nif.LeaveGroup(group))
	require.ErrorIs(t, h.nif.LeaveGroup(group), ErrVal)
	h.in(ipv6{dst: group, proto: testProto}.frame(nil))
	h.dropped(DropIPGroup, 1)
	for _, bad := range []string{"2001:db8::1", "224.0.0.1", "ff01::1", "ff00::1"} {
		require.ErrorIs(t, h.nif.JoinGroup(netip.MustParseAddr(bad)), ErrVal, bad)
	}
}

func TestIP6_RFC8200_4_UnknownNextHeader(t *testing.T) {
	h := newHost6(t, host6Config{})
	b := ipv6{proto: testProto}.frame(pattern(2000))
	h.in(b)
	h.error6(header.ICMPv6ParamProblem, header.ICMPv6UnknownNextHeader, 6, b[header.EthernetLen:])
	opts := []byte{byte(testProto), 0, 1, 4, 0, 0, 0, 0}
	b = ipv6{first: header.ProtoDestOpts, ext: opts}.frame(nil)
	h.in(b)
	h.error6(header.ICMPv6ParamProblem, header.ICMPv6UnknownNextHeader, 40, b[header.EthernetLen:])
	h.dropped(DropIPUnknownProto, 2)
	h.in(ipv6{proto: header.ProtoNone}.frame(pattern(3))) // RFC 8200 4.7: no more than ignored
	h.dropped(DropIPUnknownProto, 3)
	h.none()
	require.Equal(t, uint64(3), h.stats.IP6.InUnknownProtos)
}

// opt is a hop-by-hop or destination options header with one option.
func opt(next header.Protocol, typ byte) []byte { return []byte{byte(next), 0, typ, 2, 0, 0, 1, 0} }

func TestIP6_RFC8200_4_2_OptionsThatAreNotKnown(t *testing.T) {
	for _, first := range []header.Protocol{header.ProtoHopByHop, header.ProtoDestOpts} {
		h := newHost6(t, host6Config{})
		k := h.listenRaw(testProto)
		in := func(typ byte, dst netip.Addr) []byte {
			b := ipv6{dst: dst, first: first, ext: opt(testProto, typ)}.frame(pattern(5))
			h.in(b)
			return b[header.EthernetLen:]
		}
		in(0x1e, user6) // 00: skip over it
		require.Len(t, k.got, 1)
		require.Len(t, k.got[0], header.IPv6Len+8+5, "raw PCBs see the extension headers")
		in(0x5e, user6) // 01: discard
		h.none()
		b := in(0x9e, user6) // 10: discard and tell
		h.error6(header.ICMPv6ParamProblem, header.ICMPv6UnknownOption, 42, b)
		b = in(0x9e, all6)
		h.error6(header.ICMPv6ParamProblem, header.ICMPv6UnknownOption, 42, b)
		b = in(0xde, user6) // 11: tell, if it was not to a group
		h.error6(header.ICMPv6ParamProblem, header.ICMPv6UnknownOption, 42, b)
		in(0xde, all6)
		h.none()
		h.dropped(DropIPExtension, 5)
		require.Len(t, k.got, 1)
	}
}

func TestIP6_RFC8200_4_1_HopByHopComesFirst(t *testing.T) {
	h := newHost6(t, host6Config{})
	b := ipv6{first: header.ProtoDestOpts, ext: append(opt(header.ProtoHopByHop, 1), opt(testProto, 1)...)}.frame(nil)
	h.in(b)
	h.error6(header.ICMPv6ParamProblem, header.ICMPv6UnknownNextHeader, 40, b[header.EthernetLen:])
	h.dropped(DropIPMalformed, 1)
}

func TestIP6_RFC5095_3_RoutingHeaders(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	routing := func(typ, left byte) []byte { return []byte{byte(testProto), 0, typ, left, 0, 0, 0, 0} }
	for _, typ := range []byte{0, 4, 200} {
		h.in(ipv6{first: header.ProtoRouting, ext: routing(typ, 0)}.frame(nil))
		b := ipv6{first: header.ProtoRouting, ext: routing(typ, 1)}.frame(nil)
		h.in(b)
		h.error6(header.ICMPv6ParamProblem, header.ICMPv6BadField, 42, b[header.EthernetLen:])
	}
	require.Len(t, k.got, 3, "without segments left it is ignored")
	h.dropped(DropIPSourceRoute, 3)
}

func TestIP6_RFC8504_5_3_LimitsOnExtensionHeaders(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	long := make([]byte, 216)
	long[0], long[1] = byte(testProto), byte(len(long)/8-1)
	h.in(ipv6{first: header.ProtoDestOpts, ext: long}.frame(pattern(9)))
	h.dropped(DropIPMalformed, 1)
	long = long[:208]
	long[1] = byte(len(long)/8 - 1)
	b := ipv6{first: header.ProtoDestOpts, ext: long}.frame(pattern(9))
	h.in(b)
	h.inPackets(h.chain(b, 70)) // headers in several buffers
	require.Len(t, k.got, 2)
	require.Equal(t, b[header.EthernetLen:], k.got[1])
	var many []byte
	for range header.MaxIPv6Extensions + 1 {
		many = append(many, opt(header.ProtoDestOpts, 1)...)
	}
	h.in(ipv6{first: header.ProtoDestOpts, ext: many}.frame(nil))
	h.in(ipv6{first: header.ProtoDestOpts, ext: opt(testProto, 1)[:6]}.frame(nil)) // cut short
	h.dropped(DropIPMalformed, 3)
}

func TestIP6_HookInput(t *testing.T) {
	eat, seen := false, 0
	h := newHost6(t, host6Config{hostConfig: hostConfig{Config: Config{Hooks: Hooks{IP6Input: func(nif *Netif, p *pbuf.Pbuf) bool {
		seen++
		require.Equal(t, byte(0x60), p.GetAt(0))
		if eat {
			p.Free()
		}
		return eat
	}}}}})
	k := h.listenRaw(testProto)
	h.in(ipv6{proto: testProto}.frame(nil))
	eat = true
	h.in(ipv6{proto: testProto}.frame(nil))
	h.in(ipv6{proto: testProto}.frame(nil)[:20])
	require.Equal(t, 2, seen)
	require.Len(t, k.got, 1)
	h.dropped(DropHook, 1)
	h.dropped(DropIPMalformed, 1)
}

func TestIP6_ToOurselves(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	r := h.NewRaw(testProto)
	for _, to := range []netip.Addr{user6, userLL} {
		require.NoError(t, r.SendTo(h.data(10), to))
		h.settle()
	}
	require.Equal(t, []netip.Addr{user6, userLL.WithZone("if")}, k.from)
	h.none()
}

func TestIP6_RawSendsToBothScopes(t *testing.T) {
	h := newHost6(t, host6Config{})
	require.NoError(t, h.AddNeighbor(h.nif, peerLL, scriptPeer))
	r := h.NewRaw(testProto)
	r.SetTOS(0x2e)
	require.NoError(t, r.SendTo(h.data(3), peer6))
	f := h.one()
	require.Equal(t, []any{hdr(user6), hdr(peer6), uint8(64), uint8(0x2e), testProto},
		[]any{f.ip6.Src(), f.ip6.Dst(), f.ip6.HopLimit(), f.ip6.TrafficClass(), f.ip6.NextHeader()})
	require.Equal(t, scriptPeer, f.dst)
	r.SetTTL(3)
	for _, to := range []netip.Addr{peerLL, peerLL.WithZone("if"), peerLL.WithZone("1")} {
		require.NoError(t, r.SendTo(h.data(3), to), to)
		f = h.one()
		require.Equal(t, []any{hdr(userLL), hdr(peerLL), uint8(3)}, []any{f.ip6.Src(), f.ip6.Dst(), f.ip6.HopLimit()})
	}
	require.NoError(t, r.SendTo(h.data(3), all6))
	f = h.one()
	require.Equal(t, header.MAC{0x33, 0x33, 0, 0, 0, 1}, f.dst)
	require.Equal(t, hdr(userLL), f.ip6.Src(), "the smallest scope that reaches it (RFC 6724 5 rule 2)")
	require.ErrorIs(t, r.SendTo(h.data(3), peerLL.WithZone("other")), ErrRoute, "no such zone")
	require.ErrorIs(t, r.SendTo(h.data(3), peerLL.WithZone("9")), ErrRoute, "no such zone")
	require.ErrorIs(t, r.SendTo(h.data(65536), peer6), ErrTooLong)
	h.dropped(DropIPNoRoute, 2)
	h.dropped(DropIPTooLong, 1)
	require.NoError(t, r.SendTo(h.data(65535), peer6))
	h.take()
}
