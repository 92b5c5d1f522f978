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

// router is a host with a second interface, 203.0.113.1/24, whose neighbour is
// 203.0.113.2, and a default route to that.
type router struct {
	*host
	two   *Netif
	sent2 []frame
}

var (
	farIP     = netip.MustParseAddr("203.0.113.2")
	farMAC    = header.MAC{2, 0, 0, 1, 0, 2}
	beyondIP  = netip.MustParseAddr("192.0.2.77")
	routerTwo = netip.MustParsePrefix("203.0.113.1/24")
)

func newRouter(t testing.TB, mtu int, hooks Hooks) *router {
	t.Helper()
	r := &router{host: newHost(t, hostConfig{Config: Config{Forward: true, Hooks: hooks}})}
	var err error
	r.two, err = r.AddNetif(NetifConfig{Name: "two", MAC: header.MAC{2, 0, 0, 1, 0, 1}, MTU: mtu, Output: func(ps []*pbuf.Pbuf) int {
		kept := r.sent
		r.sent = nil
		n := r.output(ps)
		r.sent2 = append(r.sent2, r.sent...)
		r.sent = kept
		return n
	}})
	require.NoError(t, err)
	require.NoError(t, r.two.AddAddr(routerTwo))
	require.NoError(t, r.AddNeighbor(r.two, farIP, farMAC))
	require.NoError(t, r.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), farIP, r.two))
	r.Flush(r.now)
	r.sent2 = nil
	return r
}

// out is what left by the second interface.
func (r *router) out() []frame {
	r.Flush(r.now)
	fs := r.sent2
	r.sent2 = nil
	return fs
}

func TestForward_RFC1812_5_3_1_TTLIsDecremented(t *testing.T) {
	r := newRouter(t, 1500, Hooks{})
	for _, dst := range []netip.Addr{farIP, beyondIP} {
		pk := ipv4{dst: dst, ttl: 7, id: 99, tos: 0x10, dont: true}
		r.in(pk.udp(1, 2, pattern(100)))
		fs := r.out()
		require.Len(t, fs, 1)
		f := fs[0]
		require.Equal(t, farMAC, f.dst, "the neighbour or the gateway")
		require.Equal(t, r.two.mac, f.src)
		require.Equal(t, uint8(6), f.ip.TTL())
		require.Equal(t, uint16(99), f.ip.ID())
		require.Equal(t, uint8(0x10), f.ip.TOS())
		require.True(t, f.ip.DontFragment())
		require.Equal(t, pattern(100), f.body)
	}
	r.none()
	require.Equal(t, uint64(2), r.stats.IP.ForwDatagrams)
}

func TestForward_RFC1812_5_3_1_TTLExceeded(t *testing.T) {
	r := newRouter(t, 1500, Hooks{})
	for _, ttl := range []uint8{1} {
		pk := ipv4{dst: beyondIP, ttl: ttl}
		b := pk.udp(1, 2, pattern(10))
		r.in(b)
		f := r.one()
		require.Equal(t, header.ICMPv4TimeExceeded, f.icmp.Type())
		require.Equal(t, header.ICMPv4TTLExceeded, f.icmp.Code())
		require.Equal(t, b[header.EthernetLen:], f.body)
		require.Equal(t, hdr(userIP), f.ip.Src(), "RFC 1812 4.3.2.4: the address of the interface it leaves by")
	}
	require.Empty(t, r.out())
	r.dropped(DropIPTTL, 1)
}

func TestForward_RFC1812_5_2_7_1_NetUnreachable(t *testing.T) {
	r := newRouter(t, 1500, Hooks{})
	require.NoError(t, r.DelRoute(netip.MustParsePrefix("0.0.0.0/0"), r.two))
	pk := ipv4{dst: beyondIP}
	r.in(pk.udp(1, 2, nil))
	f := r.one()
	require.Equal(t, header.ICMPv4DstUnreachable, f.icmp.Type())
	require.Equal(t, header.ICMPv4NetUnreachable, f.icmp.Code())
	r.dropped(DropIPNoRoute, 1)
}

func TestForward_RFC1812_5_2_7_1_HostUnreachable(t *testing.T) {
	r := newRouter(t, 1500, Hooks{})
	pk := ipv4{dst: netip.MustParseAddr("203.0.113.50")}
	r.in(pk.udp(1, 2, nil))
	require.NotNil(t, r.out()[0].arp)
	r.advance(10 * time.Second)
	f := r.one()
	require.Equal(t, header.ICMPv4DstUnreachable, f.icmp.Type())
	require.Equal(t, header.ICMPv4HostUnreachable, f.icmp.Code())
	require.Equal(t, hdr(peerIP), f.ip.Dst())
	r.dropped(DropARPUnresolved, 1)
	// Our own packet: nobody to be told (RFC 1122 2.4).
	require.NoError(t, r.sendUDP(netip.MustParseAddr("203.0.113.51"), 1))
	r.advance(10 * time.Second)
	r.none()
	r.dropped(DropARPUnresolved, 2)
}

func TestForward_RFC1191_4_FragmentationNeeded(t *testing.T) {
	r := newRouter(t, 600, Hooks{})
	pk := ipv4{dst: beyondIP, dont: true}
	r.in(pk.udp(1, 2, pattern(1000)))
	f := r.one()
	require.Equal(t, header.ICMPv4DstUnreachable, f.icmp.Type())
	require.Equal(t, header.ICMPv4FragNeeded, f.icmp.Code())
	require.Equal(t, uint16(600), f.icmp.MTU())
	require.Len(t, f.ipb, 576, "RFC 1812 4.3.2.3")
	r.dropped(DropIPNeedsFrag, 1)
	require.Empty(t, r.out())
}

func TestForward_RFC791_3_2_FragmentsWithOptions(t *testing.T) {
	r := newRouter(t, 600, Hooks{})
	// Router alert is copied to all fragments, record route is not.
	opts := []byte{148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0}
	pk := ipv4{dst: beyondIP, opts: opts, id: 5}
	r.in(pk.udp(1, 2, pattern(1200)))
	fs := r.out()
	require.Len(t, fs, 3)
	require.Equal(t, opts, fs[0].opts)
	var got []byte
	for i, f := range fs {
		require.LessOrEqual(t, len(f.ipb), 600)
		require.Equal(t, len(got), int(f.ip.FragOffset()))
		require.Equal(t, i < 2, f.ip.MoreFragments())
		require.Equal(t, uint16(5), f.ip.ID())
		if i > 0 {
			require.Equal(t, opts[:4], f.opts)
		}
		got = append(got, f.body...)
	}
	require.Equal(t, pattern(1200), got[header.UDPLen:])
}

func TestForward_RFC791_3_2_FragmentOfAFragment(t *testing.T) {
	r := newRouter(t, 576, Hooks{})
	for _, more := range []bool{true, false} {
		pk := ipv4{dst: beyondIP, proto: header.ProtoUDP, off: 800, more: more, id: 6}
		r.in(pk.frame(pattern(800)))
		fs := r.out()
		require.Len(t, fs, 2)
		require.Equal(t, 800, int(fs[0].ip.FragOffset()))
		require.True(t, fs[0].ip.MoreFragments())
		require.Equal(t, 800+len(fs[0].body), int(fs[1].ip.FragOffset()))
		require.Equal(t, more, fs[1].ip.MoreFragments())
		require.Equal(t, pattern(800), append(fs[0].body, fs[1].body...))
	}
}

func TestForward_RFC1812_5_3_WhatIsNotForwarded(t *testing.T) {
	r := newRouter(t, 1500, Hooks{})
	n := 0
	no := func(why string, b []byte) {
		t.Helper()
		r.in(b)
		n++
		require.Empty(t, r.out(), why)
		r.none()
	}
	udp := func(src, dst string) []byte {
		return ipv4{src: netip.MustParseAddr(src), dst: netip.MustParseAddr(dst)}.udp(1, 2, nil)
	}
	no("back where it came from", udp("198.18.0.2", "198.18.0.9"))
	no("RFC 2644: directed broadcast", udp("198.18.0.2", "203.0.113.255"))
	no("RFC 3927 2.7: link-local destination", udp("198.18.0.2", "169.254.1.1"))
	no("RFC 3927 2.7: link-local source", udp("169.254.1.1", "192.0.2.1"))
	no("no source", udp("0.0.0.0", "192.0.2.1"))
	no("loopback", udp("198.18.0.2", "127.0.0.1"))
	no("class E", udp("198.18.0.2", "240.0.0.1"))
	no("network 0", udp("198.18.0.2", "0.1.2.3"))
	no("RFC 1812 5.3.4: link broadcast", etherTo(header.Broadcast, header.EtherTypeIPv4, udp("198.18.0.2", "192.0.2.1")[header.EthernetLen:]))
	r.dropped(DropIPForwardLoop, n)
	no("multicast", udp("198.18.0.2", "224.1.1.1"))
	r.dropped(DropIPGroup, 1)
	no("source route", ipv4{dst: beyondIP, opts: []byte{131, 7, 4, 198, 18, 0, 9, 0}}.udp(1, 2, nil))
	r.dropped(DropIPSourceRoute, 1)
}

func TestForward_UnresolvedThenResolved(t *testing.T) {
	r := newRouter(t, 1500, Hooks{})
	dst := netip.MustParseAddr("203.0.113.50")
	r.in(ipv4{dst: dst}.udp(1, 2, pattern(10)))
	require.NotNil(t, r.out()[0].arp)
	reply := arpFrame(r.two.mac, header.ARPFields{Op: header.ARPReply, SenderMAC: otherMAC, SenderIP: hdr(dst), TargetMAC: r.two.mac, TargetIP: hdr(routerTwo.Addr())})
	r.Input(r.two, r.now, []*pbuf.Pbuf{r.packet(reply)})
	fs := r.out()
	require.Len(t, fs, 1)
	require.Equal(t, otherMAC, fs[0].dst)
}

func TestForward_SharedPacketIsCopied(t *testing.T) {
	var kept *pbuf.Pbuf
	r := newRouter(t, 1500, Hooks{IP4Input: func(_ *Netif, p *pbuf.Pbuf) bool {
		p.Ref()
		kept = p
		return false
	}})
	r.in(ipv4{dst: beyondIP, ttl: 9}.udp(1, 2, nil))
	require.Equal(t, uint8(8), r.out()[0].ip.TTL())
	require.Equal(t, uint8(9), (*header.IPv4)(kept.Payload()).TTL(), "the tap's packet is as it was")
	kept.Free()
}

func TestForward_HookCanForward(t *testing.T) {
	verdict := 0
	r := newRouter(t, 1500, Hooks{IP4CanForward: func(p *pbuf.Pbuf, dst header.Addr) int {
		require.Equal(t, hdr(beyondIP), dst)
		return verdict
	}})
	b := ipv4{dst: beyondIP}.udp(1, 2, nil)
	r.in(b)
	require.Empty(t, r.out())
	r.dropped(DropIPForwardLoop, 1)
	for _, verdict = range []int{1, -1} {
		r.in(b)
		require.Len(t, r.out(), 1)
	}
}

func TestForward_TableFull(t *testing.T) {
	r := newRouter(t, 1500, Hooks{})
	r.cfg.ARP.Size = r.arp.n
	r.in(ipv4{dst: netip.MustParseAddr("203.0.113.50")}.udp(1, 2, nil))
	r.dropped(DropNeighborTableFull, 1)
}

// TestForward_JoinedSegmentsAreCutAgain: what a port has joined, its checksum not
// final, leaves as the segments it came as, whose sums the test's parser checks.
func TestForward_JoinedSegmentsAreCutAgain(t *testing.T) {
	r := newRouter(t, 1000, Hooks{})
	const mss, n = 800, 2000
	f := header.TCPFields{SrcPort: 1, DstPort: 2, Seq: 7, Flags: header.TCPAck | header.TCPPsh, Window: 100}
	p := r.packet(ipv4{dst: beyondIP, ttl: 7, dont: true}.tcp(f, nil, pattern(n)))
	var sum [2]byte
	binary.BigEndian.PutUint16(sum[:], header.PseudoHeader(header.FromNetip(peerIP), header.FromNetip(beyondIP), header.ProtoTCP, header.TCPLen+n))
	require.NoError(t, p.TakeAt(sum[:], header.EthernetLen+header.IPv4Len+16))
	p.Flags |= pbuf.RxLRO | pbuf.RxL4CsumGood | pbuf.RxL4Partial
	p.SegSize, p.L2Len, p.L3Len, p.L4Len = mss, header.EthernetLen, header.IPv4Len, header.TCPLen
	r.inPackets(p)
	fs := r.out()
	require.Len(t, fs, 3)
	var data []byte
	for i, f := range fs {
		require.Equal(t, header.Seq(7+i*mss), f.tcp.Seq())
		require.Equal(t, i == 2, f.tcp.Flags()&header.TCPPsh != 0)
		require.Equal(t, uint8(6), f.ip.TTL())
		data = append(data, f.body...)
	}
	require.Equal(t, pattern(n), data)
}
