package stack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// fuzzHost6 is a stack with a bit of everything open for IPv6: how says whether it
// is a router, and whether its addresses are still probed for.
func fuzzHost6(t testing.TB, how byte) *host {
	cfg := host6Config{hostConfig: hostConfig{
		Config: Config{Forward: how&0x10 != 0, Reassembly: ReassemblyConfig{MaxBuffers: 32}, TCP: TCPConfig{TimeWait: time.Second}},
		Bufs:   pbuf.Config{Small: 512, Buffers: 256, Jumbo: -1},
	}}
	h := newHost6(t, cfg)
	h.mayDrop()
	require.NoError(t, h.nif.SetAutoconfig(true))
	require.NoError(t, h.nif.JoinGroup(testGroup))
	if how&0x40 != 0 {
		h.cfg.IPv6.DADTransmits = 1
		require.NoError(t, h.nif.AddAddr(netip.MustParsePrefix("2001:db8:5::1/64")))
	}
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(netip.Addr{}, 7)))
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) { _ = u.SendTo(p, from) })
	conn := h.NewUDP()
	require.NoError(t, conn.Bind(ap(user6, 1000)))
	require.NoError(t, conn.Connect(ap(peer6, 2000)))
	conn.SetRecv(func(_ any, _ *UDP, p *pbuf.Pbuf, _ netip.AddrPort) { p.Free() })
	h.NewRaw(testProto).SetRecv(func(_ any, _ *Raw, p *pbuf.Pbuf, _ netip.Addr) bool { p.Free(); return true })
	g, err := h.NewPing(peer6, nil, nil)
	require.NoError(t, err)
	_, err = g.Send(8)
	require.NoError(t, err)
	listen6(t, h, func(*pbuf.Pbuf) {})
	c := h.NewTCP()
	require.NoError(t, c.Bind(ap(user6, 5000)))
	require.NoError(t, c.Connect(ap(peer6, 80), nil))
	h.wire = func([]byte) {} // what the stack answers is looked at elsewhere
	h.Flush(h.now)
	return h
}

// consumed6 counts every way for an IPv6 packet to come to an end other than a
// drop, or to stay for a while.
func consumed6(st *Stats) uint64 {
	return consumed(st) + st.IP6.InDelivers + st.IP6.ForwDatagrams + st.IP6.ReasmReqds
}

// repair6 makes a frame good in the places where chance would hardly ever hit:
// lengths, hop limit and checksums, each if a bit of how says so.
func repair6(b []byte, how byte) {
	if len(b) < header.EthernetLen+header.IPv6Len || (*header.Ethernet)(b).Type() != header.EtherTypeIPv6 {
		return
	}
	if how&1 != 0 {
		copy(b, scriptMAC[:])
	}
	p := b[header.EthernetLen:]
	ip := (*header.IPv6)(p)
	if how&2 != 0 {
		p[0] = 0x60
		ip.SetPayloadLen(uint16(len(p) - header.IPv6Len))
	}
	if how&8 != 0 {
		ip.SetHopLimit(255)
	}
	var x header.IPv6Extensions
	if how&4 == 0 || header.ParseIPv6Extensions(ip.NextHeader(), p[header.IPv6Len:], &x) != 0 || x.Fragment >= 0 {
		return
	}
	l4 := p[header.IPv6Len+x.Off:]
	at := map[header.Protocol]int{header.ProtoTCP: 16, header.ProtoUDP: 6, header.ProtoICMPv6: 2}[x.Protocol]
	if at == 0 || len(l4) < at+2 {
		return
	}
	if x.Protocol == header.ProtoUDP {
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
	}
	l4[at], l4[at+1] = 0, 0
	sum := header.Checksum(l4, header.PseudoHeader6(ip.Src(), ip.Dst(), x.Protocol, uint32(len(l4))))
	binary.BigEndian.PutUint16(l4[at:], header.UDPChecksum(sum))
}

func fuzzSeeds6() [][]byte {
	redirect := make([]byte, header.NDRedirectLen)
	(*header.NDRedirect)(redirect).Encode(hdr(other6), hdr(beyond6))
	syn := header.TCPFields{SrcPort: 1, DstPort: 80, Seq: 9, Flags: header.TCPSyn, Window: 1000}
	seeds := [][]byte{
		ipv6{dst: solicited(user6)}.nd(ndSolicit(user6, scriptPeer)),
		ipv6{src: netip.IPv6Unspecified(), dst: solicited(user6)}.nd(ndSolicit(user6, header.MAC{})),
		ipv6{}.nd(ndAdvert(peer6, sol|ovr|rtr, otherMAC)),
		ipv6{src: peerLL, dst: all6}.nd(routerAdvert(header.NDRouterAdvertFields{HopLimit: 3, Lifetime: 9, ReachableTime: 1, RetransTimer: 1}, scriptPeer, 1400, autoPrefix)),
		ipv6{src: peerLL}.nd(ndLink(redirect, header.NDOptTargetLink, otherMAC)),
		ipv6{src: peerLL, dst: all6, hops: 1}.nd(query(header.Addr{}, 100, true)),
		ipv6{src: peerLL, dst: all6, hops: 1}.nd(query(hdr(testGroup), 100, false)),
		ipv6{}.icmp(header.ICMPv6Echo, 0, 1, pattern(8)),
		ipv6{}.icmp(header.ICMPv6PacketTooBig, 0, 1300, ipv6{src: user6, dst: peer6}.udp(1000, 2000, nil)[header.EthernetLen:]),
		ipv6{}.icmp(header.ICMPv6DstUnreachable, 4, 0, ipv6{src: user6, dst: peer6}.tcp(header.TCPFields{SrcPort: 5000, DstPort: 80}, nil, nil)[header.EthernetLen:]),
		ipv6{}.udp(4000, 7, pattern(20)),
		ipv6{}.udp(4000, 9, pattern(20)),
		ipv6{dst: beyond6, hops: 1}.udp(4000, 9, pattern(20)),
		ipv6{first: header.ProtoHopByHop, ext: opt(testProto, 0x9e)}.frame(pattern(9)),
		ipv6{first: header.ProtoRouting, ext: []byte{byte(testProto), 0, 0, 1, 0, 0, 0, 0}}.frame(pattern(9)),
		ipv6{first: header.ProtoDestOpts, ext: append(opt(header.ProtoAH, 1), byte(testProto), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)}.frame(pattern(9)),
		ipv6{}.tcp(syn, []byte{2, 4, 5, 160}, nil),
		ipv6{}.fragment(1, testProto, pattern(64), 0, 64),
	}
	return append(seeds, ipv6{}.cut(2, header.ProtoUDP, ipv6{}.udpBody(4000, 7, pattern(100)), 56)...)
}

// FuzzInput6: whole IPv6 frames, some in pieces, into a stack that has sockets
// open. Nothing panics, every frame is accounted for, and every buffer comes home.
func FuzzInput6(f *testing.F) {
	seeds := fuzzSeeds6()
	for i, s := range seeds {
		f.Add(s, seeds[(i+1)%len(seeds)], byte(0x7), uint16(i*7))
		f.Add(s, seeds[(i+5)%len(seeds)], byte(0x5f), uint16(i*7))
		f.Add(s, seeds[(i+9)%len(seeds)], byte(0x2f), uint16(i*7))
	}
	f.Fuzz(func(t *testing.T, one, two []byte, how byte, cut uint16) {
		h := fuzzHost6(t, how)
		for _, b := range [][]byte{one, two, one} {
			if len(b) > 4096 {
				b = b[:4096]
			}
			b = append([]byte{}, b...)
			repair6(b, how)
			p := h.packet(b)
			if how&0x20 != 0 { // as a chain; headers that are cut through are dropped
				p.Free()
				p = h.chain(b, max(len(b)/64, 1)+int(cut%300))
			}
			before := h.stats
			h.Input(h.nif, h.now, []*pbuf.Pbuf{p})
			require.NotEqual(t, before.Dropped()+consumed6(&before), h.stats.Dropped()+consumed6(&h.stats), "a frame vanished")
			h.settleBounded()
		}
		h.advanceBounded(5 * time.Minute)
	})
}
