package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

func TestARP_RFC1112_6_4_MulticastAndBroadcastNeedNoAnswer(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	u := h.NewUDP()
	u.SetBroadcast(true)
	for dst, mac := range map[string]header.MAC{
		"224.1.2.3":       {1, 0, 0x5e, 1, 2, 3},
		"239.255.255.250": {1, 0, 0x5e, 0x7f, 0xff, 0xfa}, // 23 bits only
		"198.18.0.255":    header.Broadcast,
		"255.255.255.255": header.Broadcast,
	} {
		require.NoError(t, u.SendTo(h.data(1), netip.AddrPortFrom(netip.MustParseAddr(dst), 9)), dst)
		f := h.one()
		require.Equal(t, mac, f.dst, dst)
		require.Equal(t, hdr(netip.MustParseAddr(dst)), f.ip.Dst())
	}
	require.Empty(t, h.Neighbors(), "not neighbours that ARP found")
}

func TestARP_SharedPacketWaitsAsACopy(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	p := h.data(100)
	p.Ref()
	u := h.NewUDP()
	require.NoError(t, u.SendTo(p, netip.AddrPortFrom(peerIP, 9)))
	h.take()
	require.NoError(t, p.Take(make([]byte, 100))) // its other holder goes on using it
	var q pbuf.Queue
	q.Push(p)
	h.in(arpReply(peerIP, scriptPeer, userIP, scriptMAC))
	require.Len(t, h.one().body, 100)
	require.Equal(t, 1, q.FreeAll())
}

func TestARP_SharedIPPacketIsCloned(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	for _, n := range []int{100, 1400, 5000} {
		p := h.pool.Alloc(pbuf.LayerTransport, n, pbuf.KindPool)
		require.NoError(t, p.Take(pattern(n)))
		p.Ref() // as TCP does with a segment it keeps
		h.nif.mtu = 9000
		require.NoError(t, h.ip4Output(p, header.Addr{}, hdr(peerIP), 99, 0, 0))
		require.Equal(t, 1, p.RefCount())
		require.NoError(t, p.Take(make([]byte, n)))
		p.Free()
	}
	h.take()
	h.in(arpReply(peerIP, scriptPeer, userIP, scriptMAC))
	fs := h.take()
	require.Len(t, fs, 3)
	for i, n := range []int{100, 1400, 5000} {
		require.Equal(t, pattern(n), fs[i].body)
	}
}

func TestARP_SharedPacketWithoutBufferIsDropped(t *testing.T) {
	h := newHost(t, hostConfig{ARP: true, Bufs: pbuf.Config{Small: 4, Buffers: 1, Jumbo: -1}})
	p := h.data(1000)
	p.Ref()
	require.NoError(t, h.ip4Output(p, header.Addr{}, hdr(peerIP), 99, 0, 0))
	h.dropped(DropNoBuf, 1)
	p.Free()
}

func TestARP_TableFullEvictsTheLeastUsed(t *testing.T) {
	h := newARPHost(t, ARPConfig{Size: 3})
	ip := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 0, byte(10 + i)}) }
	for i := range 3 {
		h.in(arpRequest(ip(i), header.MAC{2, 1, 0, 0, 0, byte(i)}, userIP))
		h.advance(time.Second)
	}
	require.NoError(t, h.sendUDP(ip(0), 1)) // in use, unlike 1
	h.advance(time.Second)
	require.NoError(t, h.sendUDP(ip(2), 1))
	h.in(arpRequest(ip(3), header.MAC{2, 1, 0, 0, 0, 3}, userIP))
	require.Nil(t, h.entry(ip(1)))
	for _, i := range []int{0, 2, 3} {
		require.NotNil(t, h.entry(ip(i)), i)
	}
	h.take()
}

func TestARP_TableFullEvictsPendingLast(t *testing.T) {
	h := newARPHost(t, ARPConfig{Size: 2})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	require.NoError(t, h.sendUDP(otherIP, 1)) // pending, with a packet
	third, fourth := netip.MustParseAddr("198.18.0.20"), netip.MustParseAddr("198.18.0.21")
	require.NoError(t, h.sendUDP(third, 1))
	require.Nil(t, h.entry(peerIP), "the resolved one went first")
	h.advance(100 * time.Millisecond)
	require.NoError(t, h.sendUDP(fourth, 1))
	require.Nil(t, h.entry(otherIP), "then the oldest pending one")
	h.dropped(DropNeighborTableFull, 1)
	h.take()
}

func TestARP_StaticTableFull(t *testing.T) {
	freed := ""
	h := newHost(t, hostConfig{Config: Config{ARP: ARPConfig{Size: 1}, Hooks: Hooks{MemAvailable: func(what string) { freed += what }}}})
	require.ErrorIs(t, h.AddNeighbor(h.nif, otherIP, otherMAC), ErrMem)
	require.ErrorIs(t, h.sendUDP(otherIP, 1), ErrRoute)
	h.dropped(DropNeighborTableFull, 1)
	require.Empty(t, freed)
	require.NoError(t, h.DelNeighbor(h.nif, peerIP))
	require.Equal(t, "neighbor", freed)
	require.NoError(t, h.AddNeighbor(h.nif, otherIP, otherMAC))
	require.Equal(t, "neighbor", freed, "only when somebody missed one")
}

func TestARP_StaticEntry(t *testing.T) {
	h := newARPHost(t, ARPConfig{MaxAge: 10 * time.Second})
	require.NoError(t, h.sendUDP(peerIP, 1))
	h.take()
	require.NoError(t, h.AddNeighbor(h.nif, peerIP, scriptPeer))
	require.Equal(t, scriptPeer, h.one().dst, "what waited goes")
	h.in(arpReply(peerIP, otherMAC, userIP, scriptMAC))
	h.LearnNeighbor(h.nif, hdr(peerIP), otherMAC)
	h.advance(time.Minute)
	e := h.entry(peerIP)
	require.True(t, e.Static)
	require.Equal(t, scriptPeer, e.MAC)
	require.NoError(t, h.DelNeighbor(h.nif, peerIP))
	require.ErrorIs(t, h.DelNeighbor(h.nif, peerIP), ErrVal)
	require.ErrorIs(t, h.DelNeighbor(nil, peerIP), ErrVal)
	require.Empty(t, h.Neighbors())
}

func TestARP_AddNeighborRefusesNonsense(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	for _, a := range []string{"0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.255", "198.18.0.1", "2001:db8::1"} {
		require.ErrorIs(t, h.AddNeighbor(h.nif, netip.MustParseAddr(a), otherMAC), ErrVal, a)
	}
	require.ErrorIs(t, h.AddNeighbor(h.nif, peerIP, header.Broadcast), ErrVal)
	require.ErrorIs(t, h.AddNeighbor(h.nif, peerIP, header.MAC{}), ErrVal)
	require.ErrorIs(t, h.AddNeighbor(nil, peerIP, otherMAC), ErrVal)
	require.ErrorIs(t, h.AddNeighbor(h.nif, netip.Addr{}, otherMAC), ErrVal)
	require.NoError(t, h.AddNeighbor(h.nif, netip.MustParseAddr("::ffff:198.18.0.9"), otherMAC))
}

func TestARP_NetifDownForgets(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	require.NoError(t, h.AddNeighbor(h.nif, otherIP, otherMAC))
	require.NoError(t, h.sendUDP(netip.MustParseAddr("198.18.0.9"), 1))
	h.take()
	gen := h.pathGen
	h.nif.SetUp(false)
	require.NotEqual(t, gen, h.pathGen)
	require.Len(t, h.Neighbors(), 1)
	require.True(t, h.entry(otherIP).Static)
	h.dropped(DropNetifDown, 1)
}

func TestARP_OurNewAddressIsNoNeighbour(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	require.NoError(t, h.nif.AddAddr(netip.PrefixFrom(peerIP, 24)))
	require.Empty(t, h.Neighbors())
	require.NoError(t, h.sendUDP(peerIP, 1))
	h.settle()
	h.dropped(DropUDPNoPort, 1) // it came by the loop, and so did the answer,
	h.dropped(DropICMPIgnored, 1)
	require.NoError(t, h.nif.DelAddr(netip.PrefixFrom(peerIP, 24)))
	h.take()
	require.NoError(t, h.sendUDP(peerIP, 1))
	h.wantRequest(h.one(), header.Broadcast, peerIP)
}

func TestResolve(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	ok, err := h.Resolve(peerIP)
	require.NoError(t, err)
	require.False(t, ok)
	h.wantRequest(h.one(), header.Broadcast, peerIP)
	ok, _ = h.Resolve(peerIP)
	require.False(t, ok)
	h.none()
	h.in(arpReply(peerIP, scriptPeer, userIP, scriptMAC))
	ok, _ = h.Resolve(peerIP)
	require.True(t, ok)
	ok, _ = h.Resolve(userIP)
	require.True(t, ok, "ourselves")
	_, err = h.Resolve(netip.MustParseAddr("203.0.113.1"))
	require.ErrorIs(t, err, ErrRoute)
}
