package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

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
	for _, to := range []string{"198.18.0.2:0", "0.0.0.0:1", "[::]:1"} {
		require.ErrorIs(t, v.Connect(netip.MustParseAddrPort(to)), ErrVal, to)
	}
	for _, to := range []string{"203.0.113.1:1", "[2001:db8::1]:1"} {
		require.ErrorIs(t, v.Connect(netip.MustParseAddrPort(to)), ErrRoute, to)
	}
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
	h := newHost(t, hostConfig{Config: Config{Hooks: Hooks{UDPPort: func(local, remote header.Addr, rport uint16, start, n uint32) uint16 {
		require.Equal(t, hdr(userIP), local)
		require.Equal(t, hdr(peerIP), remote)
		require.Equal(t, uint16(9), rport)
		attempts = append(attempts, start+n)
		return uint16(2 - min(len(attempts), 2)) // 1, then no more
	}}}})
	u := h.NewUDP()
	require.NoError(t, u.Connect(ap(peerIP, 9)))
	require.Equal(t, uint16(1), u.LocalAddr().Port())
	require.ErrorIs(t, h.NewUDP().Connect(ap(peerIP, 9)), ErrNoPort)
	require.Equal(t, attempts[0]+1, attempts[1])
}
