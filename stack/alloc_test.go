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

// allocates counts the allocations of one round of fn, once it is warm.
func allocates(fn func()) float64 {
	for range 10 {
		fn()
	}
	return testing.AllocsPerRun(100, fn)
}

func TestAllocs_NothingOnceWarm(t *testing.T) {
	h := newHost(t, hostConfig{Config: Config{ARP: ARPConfig{Size: 8}}})
	h.quiet()
	h.mayDrop()
	ps := make([]*pbuf.Pbuf, 8)
	echo := h.NewUDP()
	require.NoError(t, echo.Bind(ap(userIP, 7)))
	echo.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) { _ = u.SendTo(p, from) })
	conn := h.NewUDP()
	require.NoError(t, conn.Connect(ap(peerIP, 9)))
	ping, err := h.NewPing(peerIP, nil, func(any, *Ping, PingReply) {})
	require.NoError(t, err)

	udp := ipv4{}.udp(4000, 7, pattern(100))
	check := func(what string, fn func()) {
		t.Helper()
		require.Zero(t, allocates(fn), what)
	}
	check("UDP echo", func() { h.receive(ps, udp) })
	check("UDP send", func() { _ = conn.Send(h.pool.Alloc(pbuf.LayerTransport, 100, pbuf.KindRAM)); h.Flush(h.now) })
	check("UDP bind, connect, close", func() {
		u, v := h.NewUDP(), h.NewUDP()
		if u.Connect(ap(peerIP, 10)) != nil || v.Bind(ap(netip.Addr{}, 0)) != nil {
			t.Fatal("connect or bind")
		}
		u.Close()
		v.Close()
	})
	closed := ipv4{}.udp(4000, 8, pattern(100))
	check("port unreachable", func() { h.now += 1e7; h.receive(ps, closed) })
	icmp := ipv4{}.icmp(header.ICMPv4Echo, 0, 1, pattern(56))
	check("echo", func() { h.receive(ps, icmp) })
	check("ping", func() { _, _ = ping.Send(56); h.Flush(h.now) })
	arp := arpRequest(otherIP, otherMAC, userIP)
	check("ARP", func() { h.receive(ps, arp) })
	frags := ipv4{proto: header.ProtoUDP}.cut(ipv4{}.udpBody(4000, 7, pattern(3000)), 1480)
	check("reassembly and fragmentation", func() { h.receive(ps, frags...) })
	i := 0
	check("resolution that fails, eviction", func() {
		u := h.NewUDP()
		i++
		to := netip.AddrFrom4([4]byte{198, 18, 0, byte(100 + i%100)})
		_ = u.SendTo(h.pool.Alloc(pbuf.LayerTransport, 10, pbuf.KindRAM), ap(to, 9))
		u.Close()
		h.now += int64(300 * time.Millisecond)
		h.Poll(h.now)
		h.Flush(h.now)
	})
	check("to ourselves", func() {
		_ = conn.SendTo(h.pool.Alloc(pbuf.LayerTransport, 10, pbuf.KindRAM), ap(userIP, 7))
		for h.loop.Len() != 0 && h.stats.UDP.InDatagrams%16 != 0 {
			h.Poll(h.now)
		}
		h.loop.FreeAll()
	})
}

func BenchmarkUDPEcho(b *testing.B) {
	h := newHost(b, hostConfig{})
	h.quiet()
	u := h.NewUDP()
	require.NoError(b, u.Bind(ap(userIP, 7)))
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) { _ = u.SendTo(p, from) })
	frame := ipv4{}.udp(4000, 7, pattern(18))
	frames := make([][]byte, 32)
	for i := range frames {
		frames[i] = frame
	}
	ps := make([]*pbuf.Pbuf, 32)
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(frames) {
		h.receive(ps, frames...)
	}
}

// BenchmarkUDPLookup: the cost of a datagram does not grow with the PCBs.
func BenchmarkUDPLookup(b *testing.B) {
	for _, n := range []int{10, 1000, 30000} {
		b.Run(map[int]string{10: "10", 1000: "1000", 30000: "30000"}[n], func(b *testing.B) {
			h := newHost(b, hostConfig{})
			h.quiet()
			frames := make([][]byte, n, n+32)
			for i := range n {
				u := h.NewUDP()
				require.NoError(b, u.Connect(ap(peerIP, uint16(1+i%5))))
				u.SetRecv(func(_ any, _ *UDP, p *pbuf.Pbuf, _ netip.AddrPort) { p.Free() })
				frames[i] = ipv4{}.udp(u.RemoteAddr().Port(), u.LocalAddr().Port(), pattern(18))
			}
			for i := range 32 { // so that a burst may begin anywhere
				frames = append(frames, frames[i%n])
			}
			ps := make([]*pbuf.Pbuf, 32)
			b.ReportAllocs()
			for i := 0; i < b.N; i += 32 {
				at := i % n
				h.receive(ps, frames[at:at+32]...)
			}
		})
	}
}
