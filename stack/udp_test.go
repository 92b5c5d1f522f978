package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// inbox is what a UDP PCB of a test has received.
type inbox struct {
	got  [][]byte
	from []netip.AddrPort
	dst  []netip.Addr
}

// collect makes a PCB keep what it receives.
func collect(u *UDP) *inbox {
	b := &inbox{}
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) {
		data := make([]byte, p.TotLen())
		p.CopyPartial(data, 0)
		p.Free()
		b.got, b.from, b.dst = append(b.got, data), append(b.from, from), append(b.dst, u.Stack().RecvDst())
	})
	return b
}

func ap(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// bound is a PCB that is bound to any address and keeps what it receives.
func (h *host) bound(port uint16) (*UDP, *inbox) {
	h.t.Helper()
	u := h.NewUDP()
	require.NoError(h.t, u.Bind(ap(netip.Addr{}, port)))
	return u, collect(u)
}

func TestUDP_RFC768_Receive(t *testing.T) {
	h := newHost(t, hostConfig{})
	_, b := h.bound(53)
	for _, n := range []int{0, 1, 512, 1472} {
		h.in(ipv4{}.udp(4000, 53, pattern(n)))
		require.Equal(t, pattern(n), b.got[len(b.got)-1])
	}
	require.Equal(t, ap(peerIP, 4000), b.from[0])
	require.Equal(t, userIP, b.dst[0], "RFC 1122 4.1.3.5: the specific-destination address")
	require.Equal(t, uint64(4), h.stats.UDP.InDatagrams)
}

func TestUDP_RFC768_Checksum(t *testing.T) {
	h := newHost(t, hostConfig{})
	_, b := h.bound(53)
	good := ipv4{}.udp(4000, 53, pattern(33))
	udp := func(b []byte) *header.UDP { return (*header.UDP)(b[header.EthernetLen+header.IPv4Len:]) }
	bad := append([]byte{}, good...)
	udp(bad).SetChecksum(udp(bad).Checksum() ^ 1)
	h.in(bad)
	h.dropped(DropUDPChecksum, 1)
	require.Equal(t, uint64(1), h.stats.UDP.InErrors)
	h.none()
	none := append([]byte{}, bad...)
	udp(none).SetChecksum(0)
	h.in(none)
	require.Len(t, b.got, 1, "0: the sender computed none")

	p := h.packet(bad)
	p.Flags |= pbuf.RxL4CsumGood
	h.inPackets(p)
	require.Len(t, b.got, 2, "the NIC's word is taken")
	p = h.packet(good)
	p.Flags |= pbuf.RxL4CsumBad
	h.inPackets(p)
	h.dropped(DropUDPChecksum, 2)
}

// TestUDP_RFC768_ChecksumZeroIsSentAsOnes: over data that sums up to nothing.
func TestUDP_RFC768_ChecksumZeroIsSentAsOnes(t *testing.T) {
	for _, caps := range []offload.Caps{0, offload.TxIPCsum} {
		h := newHost(t, hostConfig{Netif: NetifConfig{Caps: caps}})
		u := h.NewUDP()
		require.NoError(t, u.Bind(ap(userIP, 1000)))
		p := h.data(2)
		sum := header.PseudoHeader(hdr(userIP), hdr(peerIP), header.ProtoUDP, 10)
		sum = header.CombineChecksum(sum, 1000+9+10)
		require.NoError(t, p.Take([]byte{byte(^sum >> 8), byte(^sum)}))
		require.NoError(t, u.SendTo(p, ap(peerIP, 9)))
		require.Equal(t, uint16(0xffff), h.one().udp.Checksum())
	}
}

func TestUDP_ChecksumOfChains(t *testing.T) {
	h := newHost(t, hostConfig{})
	_, b := h.bound(53)
	for n := 1; n < 40; n++ {
		h.inPackets(h.chain(ipv4{}.udp(4000, 53, pattern(200)), header.EthernetLen+header.IPv4Len+header.UDPLen+n))
		require.Equal(t, pattern(200), b.got[n-1])
	}
	bad := ipv4{}.udp(4000, 53, pattern(200))
	bad[100] ^= 1
	h.inPackets(h.chain(bad, 77))
	h.dropped(DropUDPChecksum, 1)
	// Outgoing: buffers of odd lengths.
	u := h.NewUDP()
	p := h.data(33)
	for _, n := range []int{1, 77, 2, 0, 99} {
		p.Cat(h.data(n))
	}
	require.NoError(t, u.SendTo(p, ap(peerIP, 9)))
	require.Len(t, h.one().body, 212) // with a right checksum
}

func TestUDP_RFC768_Length(t *testing.T) {
	h := newHost(t, hostConfig{})
	_, b := h.bound(53)
	with := func(length uint16, n int) []byte {
		body := ipv4{}.udpBody(4000, 53, pattern(n))
		u := (*header.UDP)(body)
		u.SetLength(length)
		u.SetChecksum(0)
		return ipv4{proto: header.ProtoUDP}.frame(body)
	}
	h.in(with(7, 20), with(29, 20), with(0, 20), ipv4{proto: header.ProtoUDP}.frame(pattern(7)))
	h.dropped(DropUDPMalformed, 4)
	require.Empty(t, b.got)
	h.inPackets(h.chain(with(400, 300), 100))
	h.inPackets(h.chain(with(3, 300), 100))
	h.dropped(DropUDPMalformed, 6)
	h.in(with(18, 20)) // IP carries more than the datagram
	require.Equal(t, pattern(10), b.got[0])
	h.inPackets(h.chain(with(208, 300), 100))
	require.Equal(t, pattern(200), b.got[1])
}

func TestUDP_RFC1122_4_1_3_1_PortUnreachable(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.in(ipv4{}.udp(4000, 53, pattern(10)))
	f := h.one()
	require.Equal(t, header.ICMPv4DstUnreachable, f.icmp.Type())
	require.Equal(t, header.ICMPv4PortUnreachable, f.icmp.Code())
	h.dropped(DropUDPNoPort, 1)
	require.Equal(t, uint64(1), h.stats.UDP.NoPorts)
}

func TestUDP_NobodyTakesIt(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(userIP, 53)))
	h.in(ipv4{}.udp(4000, 53, nil))
	h.dropped(DropUDPNoPort, 1)
	h.none()
}

func TestUDP_Send(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	u.SetTTL(7)
	u.SetTOS(0x2e << 2)
	require.Equal(t, ap(netip.IPv4Unspecified(), 0), u.LocalAddr())
	for _, n := range []int{0, 1, 1472} {
		require.NoError(t, u.SendTo(h.data(n), ap(peerIP, 9)))
		f := h.one()
		require.Equal(t, pattern(n), f.body)
		require.Equal(t, uint16(9), f.udp.DstPort())
		require.Equal(t, u.LocalAddr().Port(), f.udp.SrcPort(), "bound on first use")
		require.Equal(t, uint8(7), f.ip.TTL())
		require.Equal(t, uint8(0xb8), f.ip.TOS())
		require.False(t, f.ip.DontFragment())
	}
	require.Equal(t, uint64(3), h.stats.UDP.OutDatagrams)
	u.SetTTL(0)
	require.NoError(t, u.SendTo(h.data(1), ap(peerIP, 9)))
	require.Equal(t, uint8(64), h.one().ip.TTL())
}

// TestUDP_EchoOfFragments: the answer is cut where the question was, and its
// checksum is that of the whole.
func TestUDP_EchoOfFragments(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(userIP, 7)))
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) { require.NoError(t, u.SendTo(p, from)) })
	h.in(ipv4{proto: header.ProtoUDP}.cut(ipv4{}.udpBody(4000, 7, pattern(4000)), 1480)...)
	b := join(t, h.take(), 1500)
	require.Equal(t, pattern(4000), b[header.UDPLen:])
	sum := header.PseudoHeader(hdr(userIP), hdr(peerIP), header.ProtoUDP, uint32(len(b)))
	require.Equal(t, uint16(0xffff), header.Checksum(b, sum))
}

func TestUDP_MulticastNeedsNoPermission(t *testing.T) {
	h := newHost(t, hostConfig{})
	require.NoError(t, h.sendUDP(netip.MustParseAddr("224.1.2.3"), 1))
	require.NotNil(t, h.one().udp)
}

// TestUDP_EchoInPlace: what was received can be sent as it is.
func TestUDP_EchoInPlace(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(userIP, 7)))
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) { require.NoError(t, u.SendTo(p, from)) })
	p := h.packet(ipv4{}.udp(4000, 7, pattern(100)))
	p.Flags |= pbuf.RxHash | pbuf.RxVLAN | pbuf.RxL4CsumGood
	h.inPackets(p)
	f := h.one()
	require.Equal(t, pattern(100), f.body)
	require.Equal(t, uint16(4000), f.udp.DstPort())
	h.inPackets(h.chain(ipv4{}.udp(4000, 7, pattern(100)), 60))
	require.Equal(t, pattern(100), h.one().body)
}

func TestUDP_SharedPacketToMany(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	p := h.data(100)
	for port := range uint16(5) {
		p.Ref()
		require.NoError(t, u.SendTo(p, ap(peerIP, 9+port)))
	}
	p.Free()
	for i, f := range h.take() {
		require.Equal(t, uint16(9+i), f.udp.DstPort())
		require.Equal(t, pattern(100), f.body)
	}
}

func TestUDP_SendErrors(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	for _, to := range []string{"198.18.0.2:0", "0.0.0.0:9", "[2001:db8::1]:9", "255.255.255.255:9", "198.18.0.255:9"} {
		require.ErrorIs(t, u.SendTo(h.data(1), netip.MustParseAddrPort(to)), ErrVal, to)
	}
	h.dropped(DropUDPBadDest, 5)
	require.ErrorIs(t, u.SendTo(h.data(1), netip.MustParseAddrPort("203.0.113.1:9")), ErrRoute)
	h.dropped(DropIPNoRoute, 1)
	require.ErrorIs(t, u.SendTo(h.data(65508), ap(peerIP, 9)), ErrTooLong)
	h.dropped(DropIPTooLong, 1)
	require.NoError(t, u.SendTo(h.data(65507), ap(peerIP, 9)))
	h.take()
	require.ErrorIs(t, u.Send(h.data(1)), ErrConn)
	u.Close()
	u.Close()
	require.ErrorIs(t, u.Send(h.data(1)), ErrConn)
	require.ErrorIs(t, u.SendTo(h.data(1), ap(peerIP, 9)), ErrClosed)
	require.ErrorIs(t, u.Bind(ap(userIP, 1)), ErrClosed)
	require.ErrorIs(t, u.Connect(ap(peerIP, 1)), ErrClosed)
	h.none()
	h.Close()
	require.Nil(t, h.NewUDP())
}

func TestUDP_SendWithoutBuffer(t *testing.T) {
	h := newHost(t, hostConfig{Bufs: pbuf.Config{Small: -1, Buffers: 1, Jumbo: -1}})
	u := h.NewUDP()
	p := h.data(10)
	p.Ref()
	require.ErrorIs(t, u.SendTo(p, ap(peerIP, 9)), ErrMem)
	h.dropped(DropNoBuf, 1)
	p.Free()
}

func TestUDP_Bind(t *testing.T) {
	h := newHost(t, hostConfig{})
	second := netip.MustParsePrefix("198.18.0.50/24")
	require.NoError(t, h.nif.AddAddr(second))
	h.take()
	bind := func(u *UDP, a netip.Addr, port uint16) error { return u.Bind(ap(a, port)) }
	a, b, c := h.NewUDP(), h.NewUDP(), h.NewUDP()
	require.NoError(t, bind(a, userIP, 53))
	require.ErrorIs(t, bind(b, userIP, 53), ErrUse)
	require.ErrorIs(t, bind(b, netip.Addr{}, 53), ErrUse, "any covers what is bound")
	require.NoError(t, bind(b, second.Addr(), 53))
	require.NoError(t, bind(c, netip.IPv4Unspecified(), 54))
	require.ErrorIs(t, bind(b, userIP, 54), ErrUse)
	require.Equal(t, ap(second.Addr(), 53), b.LocalAddr(), "a bind that fails changes nothing")
	require.ErrorIs(t, bind(b, peerIP, 60), ErrVal)
	require.NoError(t, bind(a, userIP, 55), "moves")
	require.NoError(t, bind(h.NewUDP(), userIP, 53))
	a.Close()
	require.NoError(t, bind(h.NewUDP(), userIP, 55))
	c.Close()
	require.NoError(t, bind(h.NewUDP(), userIP, 54))
}

func TestUDP_LookupPrefersTheClosest(t *testing.T) {
	h := newHost(t, hostConfig{})
	second := netip.MustParsePrefix("198.18.0.50/24")
	require.NoError(t, h.nif.AddAddr(second))
	h.take()
	one, two := h.NewUDP(), h.NewUDP()
	require.NoError(t, one.Bind(ap(userIP, 53)))
	require.NoError(t, two.Bind(ap(second.Addr(), 53)))
	b1, b2 := collect(one), collect(two)
	conn := h.NewUDP()
	require.NoError(t, conn.Connect(ap(peerIP, 4000)))
	b3 := collect(conn)
	h.in(ipv4{}.udp(4001, 53, nil), ipv4{dst: second.Addr()}.udp(4001, 53, nil), ipv4{}.udp(4000, conn.LocalAddr().Port(), nil))
	require.Len(t, b1.got, 1)
	require.Len(t, b2.got, 1)
	require.Len(t, b3.got, 1)
	h.in(ipv4{}.udp(4001, conn.LocalAddr().Port(), nil), ipv4{src: otherIP}.udp(4000, conn.LocalAddr().Port(), nil))
	require.Len(t, b3.got, 1, "connected: from there only")
	h.dropped(DropUDPNoPort, 2)
	h.take()
}

func TestUDP_ConnectAndDisconnect(t *testing.T) {
	h := newHost(t, hostConfig{})
	u, b := h.bound(53)
	require.NoError(t, u.Connect(ap(peerIP, 4000)))
	require.ErrorIs(t, u.Connect(ap(peerIP, 4000)), ErrIsConn)
	require.ErrorIs(t, u.Bind(ap(userIP, 54)), ErrIsConn)
	require.Equal(t, ap(userIP, 53), u.LocalAddr(), "the source is settled now")
	require.Equal(t, ap(peerIP, 4000), u.RemoteAddr())
	h.in(ipv4{src: otherIP}.udp(4000, 53, nil))
	h.dropped(DropUDPNoPort, 1)
	h.take()
	h.in(ipv4{}.udp(4000, 53, nil))
	require.Len(t, b.got, 1)
	require.NoError(t, u.Send(h.data(5)))
	require.Equal(t, uint16(4000), h.one().udp.DstPort())
	require.ErrorIs(t, h.NewUDP().Bind(ap(netip.Addr{}, 53)), ErrUse, "the port stays taken")
	u.Disconnect()
	u.Disconnect()
	require.Equal(t, ap(netip.IPv4Unspecified(), 53), u.LocalAddr())
	require.ErrorIs(t, u.Send(h.data(5)), ErrConn)
	h.in(ipv4{src: otherIP}.udp(4000, 53, nil))
	require.Len(t, b.got, 2)

	w := h.NewUDP()
	require.NoError(t, w.Bind(ap(userIP, 99)))
	require.NoError(t, w.Connect(ap(peerIP, 4000)))
	wBox := collect(w)
	h.in(ipv4{}.udp(4001, 99, nil), ipv4{src: otherIP}.udp(4000, 99, nil), ipv4{}.udp(4000, 99, nil))
	require.Len(t, wBox.got, 1)
	h.dropped(DropUDPNoPort, 3)
	h.take()

	v := h.NewUDP()
	require.NoError(t, v.Connect(ap(peerIP, 4000)))
	v.Disconnect()
	require.Equal(t, ap(netip.IPv4Unspecified(), 0), v.LocalAddr(), "the port was for that remote end")
	for _, to := range []string{"198.18.0.2:0", "0.0.0.0:1", "[2001:db8::1]:1"} {
		require.ErrorIs(t, v.Connect(netip.MustParseAddrPort(to)), ErrVal, to)
	}
	require.ErrorIs(t, v.Connect(netip.MustParseAddrPort("203.0.113.1:1")), ErrRoute)
}

func TestUDP_SameFlowTwice(t *testing.T) {
	h := newHost(t, hostConfig{})
	flow := h.NewUDP()
	require.NoError(t, flow.Connect(ap(peerIP, 4000)))
	u := h.NewUDP()
	require.NoError(t, u.Bind(flow.LocalAddr()))
	require.ErrorIs(t, u.Connect(ap(peerIP, 4000)), ErrUse)
	require.NoError(t, u.Connect(ap(peerIP, 4001)))
}

func TestUDP_Broadcast(t *testing.T) {
	h := newHost(t, hostConfig{})
	_, anyBox := h.bound(67)
	one := h.NewUDP()
	require.NoError(t, one.Bind(ap(userIP, 68)))
	oneBox := collect(one)
	for _, port := range []uint16{67, 68} {
		b := ipv4{dst: netip.MustParseAddr("255.255.255.255"), src: netip.IPv4Unspecified()}.udp(68, port, nil)
		h.in(etherTo(header.Broadcast, header.EtherTypeIPv4, b[header.EthernetLen:]))
	}
	require.Len(t, anyBox.got, 1)
	require.Len(t, oneBox.got, 1)
	require.Equal(t, "255.255.255.255", oneBox.dst[0].String())
	require.NoError(t, one.Connect(ap(peerIP, 9)))
	b := ipv4{dst: netip.MustParseAddr("198.18.0.255"), src: otherIP}.udp(68, 68, nil)
	h.in(etherTo(header.Broadcast, header.EtherTypeIPv4, b[header.EthernetLen:]))
	require.Len(t, oneBox.got, 1)
	h.dropped(DropUDPNoPort, 1)
}

func TestUDP_RFC1122_4_1_4_SourceForAnswers(t *testing.T) {
	h := newHost(t, hostConfig{})
	second := netip.MustParsePrefix("198.18.0.50/24")
	require.NoError(t, h.nif.AddAddr(second))
	h.take()
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(netip.Addr{}, 53)))
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) {
		require.NoError(t, u.SendFrom(p, u.Stack().RecvDst(), from))
	})
	for _, dst := range []netip.Addr{second.Addr(), userIP, second.Addr()} {
		h.in(ipv4{dst: dst}.udp(4000, 53, nil))
		require.Equal(t, hdr(dst), h.one().ip.Src())
	}
	require.NoError(t, u.SendTo(h.data(1), ap(peerIP, 4000)))
	require.Equal(t, hdr(userIP), h.one().ip.Src(), "SendTo chooses anew")
	require.ErrorIs(t, u.SendFrom(h.data(1), peerIP, ap(peerIP, 9)), ErrRoute)
	h.dropped(DropIPNoRoute, 1)
}

func TestUDP_PathCacheFollowsRoutes(t *testing.T) {
	h := newHost(t, hostConfig{})
	require.NoError(t, h.AddNeighbor(h.nif, otherIP, otherMAC))
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("203.0.113.0/24"), peerIP, h.nif))
	far := netip.MustParseAddr("203.0.113.1")
	u := h.NewUDP()
	send := func() header.MAC {
		require.NoError(t, u.SendTo(h.data(1), ap(far, 9)))
		return h.one().dst
	}
	require.Equal(t, scriptPeer, send())
	require.Equal(t, scriptPeer, send())
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("203.0.113.1/32"), otherIP, h.nif))
	require.Equal(t, otherMAC, send())
	require.NoError(t, h.DelRoute(netip.MustParsePrefix("203.0.113.1/32"), h.nif))
	require.Equal(t, scriptPeer, send())
	require.NoError(t, h.AddNeighbor(h.nif, peerIP, otherMAC))
	require.Equal(t, otherMAC, send())
}

func TestUDP_RFC6056_EphemeralPorts(t *testing.T) {
	h := newHost(t, hostConfig{Config: Config{TCP: TCPConfig{PortMin: 40000, PortMax: 40063}}})
	seen := map[uint16]bool{}
	inOrder := 0
	for i, last := 0, uint16(0); i < 64; i++ {
		u := h.NewUDP()
		require.NoError(t, u.Bind(ap(netip.Addr{}, 0)))
		port := u.LocalAddr().Port()
		require.False(t, seen[port])
		require.True(t, port >= 40000 && port <= 40063)
		if port == last+1 {
			inOrder++
		}
		seen[port], last = true, port
	}
	require.Less(t, inOrder, 40, "not predictable one from the other")
	require.ErrorIs(t, h.NewUDP().Bind(ap(netip.Addr{}, 0)), ErrNoPort)
	require.ErrorIs(t, h.NewUDP().Connect(ap(peerIP, 9)), ErrNoPort)
	require.ErrorIs(t, h.sendUDP(peerIP, 1), ErrNoPort)
	h.dropped(DropUDPBadDest, 1)
	moved := h.udp.pcb(0)
	was := moved.LocalAddr()
	require.NoError(t, moved.Bind(ap(netip.Addr{}, 0)), "its own port is free for itself")
	require.Equal(t, was, moved.LocalAddr())
}

// TestUDP_RFC6056_PortsAreReusedForOtherRemotes: connected PCBs may be more than
// there are ports.
func TestUDP_RFC6056_PortsAreReusedForOtherRemotes(t *testing.T) {
	h := newHost(t, hostConfig{Config: Config{TCP: TCPConfig{PortMin: 40000, PortMax: 40063}}})
	var boxes []*inbox
	var us []*UDP
	for i := range 64 * 50 {
		u := h.NewUDP()
		require.NoError(t, u.Connect(ap(peerIP, uint16(1000+i%50))))
		us, boxes = append(us, u), append(boxes, collect(u))
	}
	require.ErrorIs(t, h.NewUDP().Connect(ap(peerIP, 1000)), ErrNoPort)
	for i, u := range us {
		h.in(ipv4{}.udp(u.RemoteAddr().Port(), u.LocalAddr().Port(), []byte{byte(i)}))
		require.Equal(t, [][]byte{{byte(i)}}, boxes[i].got)
	}
	for i := 0; i < len(us); i += 2 {
		us[i].Close()
	}
	for i := 1; i < len(us); i += 2 {
		h.in(ipv4{}.udp(us[i].RemoteAddr().Port(), us[i].LocalAddr().Port(), nil))
		require.Len(t, boxes[i].got, 2)
	}
	for i := 1; i < len(us); i += 2 {
		us[i].Close()
	}
	require.Zero(t, h.udp.flows.n)
	require.Zero(t, h.udp.ports.n)
}

func TestUDP_HookPort(t *testing.T) {
	var attempts []uint32
	h := newHost(t, hostConfig{Config: Config{Hooks: Hooks{UDPPort: func(local, remote header.Addr, rport uint16, n uint32) uint16 {
		require.Equal(t, hdr(userIP), local)
		require.Equal(t, hdr(peerIP), remote)
		require.Equal(t, uint16(9), rport)
		attempts = append(attempts, n)
		return uint16(2 - min(len(attempts), 2)) // 1, then no more
	}}}})
	u := h.NewUDP()
	require.NoError(t, u.Connect(ap(peerIP, 9)))
	require.Equal(t, uint16(1), u.LocalAddr().Port())
	require.ErrorIs(t, h.NewUDP().Connect(ap(peerIP, 9)), ErrNoPort)
	require.Equal(t, attempts[0]+1, attempts[1])
}

func TestUDP_ClosingInTheCallback(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(userIP, 53)))
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, _ netip.AddrPort) { p.Free(); u.Close() })
	h.in(ipv4{}.udp(1, 53, nil), ipv4{}.udp(1, 53, nil))
	h.dropped(DropUDPNoPort, 1)
	h.take()
	require.Nil(t, u.Stack())
	require.Same(t, u, h.NewUDP(), "used again")
}

func TestHookAllocPbuf(t *testing.T) {
	h := newHost(t, hostConfig{})
	var asked []int
	h.hooks.AllocPbuf = func(l pbuf.Layer, n int, k pbuf.Kind) *pbuf.Pbuf {
		if asked = append(asked, n); len(asked) > 1 {
			return nil
		}
		return h.pool.Alloc(l, n, k)
	}
	h.in(ipv4{}.udp(1, 2, nil))
	require.NotNil(t, h.one().icmp)
	h.in(ipv4{}.udp(1, 2, nil))
	h.none()
	require.Equal(t, []int{36, 36}, asked)
	h.dropped(DropUDPNoPort, 2)
	h.dropped(DropNoBuf, 1)
}
