//go:build !pbufdebug

package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

func TestAllocs6_NothingOnceWarm(t *testing.T) {
	h := newHost6(t, host6Config{hostConfig: hostConfig{Config: Config{ARP: ARPConfig{Size: 8}}}})
	h.quiet()
	h.mayDrop()
	require.NoError(t, h.AddNeighbor(h.nif, peerLL, scriptPeer))
	ps := make([]*pbuf.Pbuf, 8)
	echo := h.NewUDP()
	require.NoError(t, echo.Bind(ap(netip.Addr{}, 7)))
	echo.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) { _ = u.SendTo(p, from) })
	ping, err := h.NewPing(peer6, nil, func(any, *Ping, PingReply) {})
	require.NoError(t, err)
	listen6(t, h, func(*pbuf.Pbuf) {})

	check := func(what string, fn func()) {
		t.Helper()
		require.Zero(t, allocates(fn), what)
	}
	udp, local := ipv6{}.udp(4000, 7, pattern(100)), ipv6{src: peerLL, dst: userLL}.udp(4000, 7, pattern(100))
	check("UDP echo", func() { h.receive(ps, udp) })
	check("UDP echo, link-local", func() { h.receive(ps, local) })
	closed := ipv6{}.udp(4000, 8, pattern(100))
	check("port unreachable", func() { h.now += 1e7; h.receive(ps, closed) })
	icmp := ipv6{}.icmp(header.ICMPv6Echo, 0, 1, pattern(56))
	check("echo", func() { h.receive(ps, icmp) })
	check("ping", func() { _, _ = ping.Send(56); h.Flush(h.now) })
	ask := ipv6{src: other6, dst: solicited(user6)}.nd(ndSolicit(user6, otherMAC))
	check("neighbour solicitation", func() { h.receive(ps, ask) })
	frags := ipv6{}.cut(1, header.ProtoUDP, ipv6{}.udpBody(4000, 7, pattern(3000)), 1448)
	check("reassembly and fragmentation", func() { h.receive(ps, frags...) })
	general := ipv6{src: peerLL, dst: all6, hops: 1}.nd(query(header.Addr{}, 10, true))
	check("listener query", func() {
		h.receive(ps, general)
		h.now += int64(time.Second)
		h.Poll(h.now)
		h.Flush(h.now)
	})
	syn := ipv6{}.tcp(header.TCPFields{SrcPort: 1000, DstPort: 80, Seq: 9, Flags: header.TCPSyn, Window: 1000}, nil, nil)
	rst := ipv6{}.tcp(header.TCPFields{SrcPort: 1000, DstPort: 80, Seq: 10, Flags: header.TCPRst}, nil, nil)
	check("TCP handshake and reset", func() { h.receive(ps, syn); h.receive(ps, rst) })
	i := 0
	check("resolution that fails, eviction", func() {
		u := h.NewUDP()
		i++
		to := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(100 + i%100)})
		_ = u.SendTo(h.pool.Alloc(pbuf.LayerTransport, 10, pbuf.KindRAM), ap(to, 9))
		u.Close()
		h.now += int64(300 * time.Millisecond)
		h.Poll(h.now)
		h.Flush(h.now)
	})
}
