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
	for _, to := range []string{"198.18.0.2:0", "0.0.0.0:9", "[::]:9", "255.255.255.255:9", "198.18.0.255:9"} {
		require.ErrorIs(t, u.SendTo(h.data(1), netip.MustParseAddrPort(to)), ErrVal, to)
	}
	h.dropped(DropUDPBadDest, 5)
	for _, to := range []string{"203.0.113.1:9", "[2001:db8::1]:9"} {
		require.ErrorIs(t, u.SendTo(h.data(1), netip.MustParseAddrPort(to)), ErrRoute, to)
	}
	h.dropped(DropIPNoRoute, 2)
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
