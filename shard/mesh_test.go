package shard

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// listen has every shard of a group count the datagrams to a UDP port.
func listen(t testing.TB, g *Group, port string) []int {
	t.Helper()
	n := make([]int, len(g.shards))
	require.NoError(t, g.Do(func(s *Shard) error {
		u := s.Stack().NewUDP()
		u.SetRecv(func(_ any, _ *stack.UDP, p *pbuf.Pbuf, _ addrPort) {
			n[s.ID()]++
			p.Free()
		})
		return u.Bind(ap(port))
	}))
	return n
}

// TestHandOverWithoutRSS: a port with one queue and no hash feeds all shards;
// each packet reaches the shard of its flow, and its buffer comes home.
func TestHandOverWithoutRSS(t *testing.T) {
	p := newFakePort(1)
	g := newGroup(t, manual(4, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24"),
		Neighbors: []NeighborConfig{{Addr: ap("10.0.0.2:0").Addr(), MAC: peerMAC}}}))
	got := listen(t, g, "10.0.0.1:2000")
	want := make([]int, 4)
	for sport := uint16(1); sport <= 400; sport++ {
		p.inject(0, udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, []byte("hello")))
		want[g.Home(ap("10.0.0.1:2000"), addrPortFrom("10.0.0.2", sport))]++
	}
	step(t, g, 40)
	require.Equal(t, want, got)
	for _, n := range want {
		require.Greater(t, n, 50, "flows spread")
	}
	st := g.Stats()
	away := uint64(400 - want[0])
	require.Equal(t, away, st.Shards[0].Loop.HandedOut)
	require.Equal(t, away, st.Total.Loop.HandedIn-st.Total.Loop.RelayedIn)
	require.Equal(t, st.Total.Loop.HandedOut, st.Total.Loop.HomeOut)
	require.Equal(t, away, st.Shards[0].Loop.HomeIn)
	require.Zero(t, st.Total.Loop.MeshFull)
	require.EqualValues(t, 400, st.Total.Stack.UDP.InDatagrams)
	require.Zero(t, st.Total.Stack.Dropped())
	require.Zero(t, st.Total.Pool.ForeignHeld)
}

// A shard that can't keep up loses packets, and they are counted; none leaks.
func TestFullMeshDropsAndCounts(t *testing.T) {
	p := newFakePort(1)
	cfg := manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")})
	cfg.MeshDepth = 16
	g := newGroup(t, cfg)
	got := listen(t, g, "10.0.0.1:2000")
	sent := 0
	for sport := uint16(1); sent < 100; sport++ {
		if g.Home(ap("10.0.0.1:2000"), addrPortFrom("10.0.0.2", sport)) == 1 {
			p.inject(0, udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, nil))
			sent++
		}
	}
	s := g.shards[0]
	require.NoError(t, g.begin(1000))
	for now := int64(1000); s.n.HandedOut+s.n.MeshFull < 100; now += 1000 {
		s.round(now) // only this shard runs
	}
	require.EqualValues(t, 16, s.n.HandedOut)
	require.EqualValues(t, 84, s.n.MeshFull)
	step(t, g, 3)
	require.Equal(t, []int{0, 16}, got)
}

// TestStopWithPacketsInTheMesh: what is under way when the group stops is
// freed at home.
func TestStopWithPacketsInTheMesh(t *testing.T) {
	p := newFakePort(1)
	g := newGroup(t, manual(3, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	for sport := uint16(1); sport <= 100; sport++ {
		p.inject(0, udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, nil))
	}
	require.NoError(t, g.begin(1000))
	g.shards[0].round(1000)
	g.shards[0].round(2000)
	g.shards[0].round(3000)
	require.NoError(t, g.Stop())
}

// Shards without a queue of their own send through that of another; what the
// stack keeps for retransmission is copied.
func TestShardsWithoutAQueueSendThroughAnother(t *testing.T) {
	p := newFakePort(2)
	g := newGroup(t, manual(5, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24"),
		Neighbors: []NeighborConfig{{Addr: ap("10.0.0.2:0").Addr(), MAC: peerMAC}}}))
	step(t, g, 3)
	p.take() // announcements
	before := g.Stats().Total.Loop
	require.NoError(t, g.Do(func(s *Shard) error {
		return s.Stack().NewTCP().Connect(ap("10.0.0.2:80"), nil)
	}))
	step(t, g, 3)
	frames, queues := p.take()
	require.Len(t, frames, 5)
	byQueue := map[int]int{}
	for i, f := range frames {
		tcp := (*header.TCP)(f[header.EthernetLen+header.IPv4Len:])
		require.Equal(t, header.TCPSyn, tcp.Flags())
		home := g.Home(addrPortFrom("10.0.0.1", tcp.SrcPort()), ap("10.0.0.2:80"))
		require.Equal(t, home%2, queues[i], "a SYN of shard %d", home)
		byQueue[queues[i]]++
	}
	require.Equal(t, map[int]int{0: 3, 1: 2}, byQueue)
	loop := g.Stats().Total.Loop
	require.EqualValues(t, 3, loop.RelayedOut-before.RelayedOut)
	require.EqualValues(t, 3, loop.RelayedIn-before.RelayedIn)
	require.EqualValues(t, 3, loop.MeshCopies-before.MeshCopies)
}

// When the ring to the shard with the queue is full, frames stay with the
// interface, and when there is no buffer for a copy, they are lost and counted.
func TestRelayRefusesAndRunsOutOfBuffers(t *testing.T) {
	p := newFakePort(1)
	cfg := manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24"),
		Neighbors: []NeighborConfig{{Addr: ap("10.0.0.2:0").Addr(), MAC: peerMAC}}})
	cfg.MeshDepth = 4
	g := newGroup(t, cfg)
	step(t, g, 3)
	p.take()
	s := g.shards[1]
	u := s.Stack().NewUDP()
	for range 10 {
		require.NoError(t, u.SendTo(s.Pool().Alloc(pbuf.LayerTransport, 1, pbuf.KindRAM), ap("10.0.0.2:9")))
	}
	u.Close()
	s.round(s.now + 1000) // the other does not run
	require.EqualValues(t, 4, s.n.HandedOut-1, "and the announcement before")
	require.EqualValues(t, 6, s.n.TxRefused)
	require.True(t, s.blocked())
	step(t, g, 5)
	frames, _ := p.take()
	require.Len(t, frames, 10)

	var held pbuf.Queue
	require.NoError(t, s.Stack().NewTCP().Connect(ap("10.0.0.2:80"), nil))
	for _, n := range []int{1, 1000} { // small, standard
		for q := s.Pool().Alloc(pbuf.LayerRaw, n, pbuf.KindPool); q != nil; q = s.Pool().Alloc(pbuf.LayerRaw, n, pbuf.KindPool) {
			held.Push(q)
		}
	}
	step(t, g, 1)
	require.EqualValues(t, 1, s.n.MeshNoBuf, "the SYN is kept for retransmission")
	held.FreeAll()
	frames, _ = p.take()
	require.Empty(t, frames)
}

// What the relaying shard's port refuses waits, in order, up to a limit.
func TestRelayWaitsForTheFullPort(t *testing.T) {
	p := newFakePort(1)
	cfg := manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24"),
		Neighbors: []NeighborConfig{{Addr: ap("10.0.0.2:0").Addr(), MAC: peerMAC}}})
	cfg.Pool.Small = 8192
	g := newGroup(t, cfg)
	step(t, g, 3)
	p.take()
	p.room = 0
	send := func(n int) {
		u := g.shards[1].Stack().NewUDP()
		for i := range n {
			q := g.shards[1].Pool().Alloc(pbuf.LayerTransport, 2, pbuf.KindRAM)
			require.NotNil(t, q)
			q.Payload()[0], q.Payload()[1] = byte(i>>8), byte(i)
			require.NoError(t, u.SendTo(q, ap("10.0.0.2:9")))
			if i%64 == 63 {
				step(t, g, 2)
			}
		}
		step(t, g, 2)
		u.Close()
	}
	send(500)
	require.Equal(t, 500, g.shards[0].ports[0].relay.Len())
	require.True(t, g.shards[0].blocked())
	p.room = -1
	step(t, g, 2)
	frames, _ := p.take()
	require.Len(t, frames, 500)
	for i, f := range frames {
		data := f[header.EthernetLen+header.IPv4Len+header.UDPLen:]
		require.Equal(t, []byte{byte(i >> 8), byte(i)}, data[:2])
	}
	require.False(t, g.shards[0].blocked())

	p.room = 0
	send(relayLimit + 300)
	step(t, g, 50)
	st := g.Stats().Total.Loop
	require.EqualValues(t, 300, st.RelayFull)
	require.Equal(t, relayLimit, g.shards[0].ports[0].relay.Len())
}

// Fragments meet on the shard of their addresses, and the packet goes on to the
// shard of its ports (RFC 791 3.2).
func TestReassembledPacketsGoToTheirFlow(t *testing.T) {
	p := newFakePort(1)
	g := newGroup(t, manual(4, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	got := listen(t, g, "10.0.0.1:2000")
	want := make([]int, 4)
	src, dst := addr4("10.0.0.2"), addr4("10.0.0.1")
	for i := range uint16(40) {
		m := udpMessage(src, dst, 100+i, 2000, make([]byte, 100))
		want[g.Home(ap("10.0.0.1:2000"), addrPortFrom("10.0.0.2", 100+i))]++
		f := header.IPv4Fields{ID: i, Protocol: header.ProtoUDP, Src: src, Dst: dst}
		for off := 0; off < len(m); off += 48 {
			end := min(off+48, len(m))
			f.FragOffset, f.MoreFragments = uint16(off), end < len(m)
			p.inject(0, frame4(f, m[off:end]))
		}
	}
	step(t, g, 20)
	require.Equal(t, want, got)
	st := g.Stats()
	require.EqualValues(t, 40, st.Total.Stack.IP.ReasmOKs)
	at := g.port(0).steer.Load().table.Queue(g.hasher.HashAddrs(src, dst))
	require.EqualValues(t, 40, st.Shards[at].Stack.IP.ReasmOKs, "all on one shard")
}

// A stop-and-go consumer gets its buffers back in time: those that others hold
// are sent home within some rounds even if they are few.
func TestFewBuffersComeHomeToo(t *testing.T) {
	p := newFakePort(1)
	g := newGroup(t, manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	listen(t, g, "10.0.0.1:2000")
	sport := uint16(1)
	for g.Home(ap("10.0.0.1:2000"), addrPortFrom("10.0.0.2", sport)) != 1 {
		sport++
	}
	busy := &pollFunc{poll: func(int64) int { return 1 }} // never an idle round
	g.shards[0].AddPoller(busy)
	g.shards[1].AddPoller(busy)
	step(t, g, 10)
	full := g.shards[0].pool.Avail(pbuf.ClassStandard)
	p.inject(0, udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, nil))
	step(t, g, 2)
	require.Less(t, g.shards[0].pool.Avail(pbuf.ClassStandard), full)
	step(t, g, homeRounds+2)
	require.Equal(t, full, g.shards[0].pool.Avail(pbuf.ClassStandard))
}

// Buffers of a pool outside of the group stay for the poller that brought them.
func TestForeignBuffersOfOthersAreLeftAlone(t *testing.T) {
	g := newGroup(t, manual(2))
	app, err := pbuf.NewPool(testPool)
	require.NoError(t, err)
	s := g.shards[0]
	p := app.Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM)
	require.True(t, pbuf.Handover(p, s.pool.ID()))
	p.Free()
	step(t, g, 20)
	require.Equal(t, 1, s.pool.ForeignLen())
	require.False(t, s.blocked(), "it is nothing to stay awake for")
	s.OnClose(func() {
		var ps [4]*pbuf.Pbuf
		n := s.pool.TakeForeign(app.ID(), ps[:])
		app.Return(ps[:n])
	})
	require.NoError(t, g.Stop())
	require.NoError(t, app.Close())
}

// TestForeignBuffersThreads passes buffers round between real threads.
func TestForeignBuffersThreads(t *testing.T) {
	p := newFakePort(1)
	cfg := config(3, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")})
	cfg.Idle, cfg.MaxSleep = Park, 10*time.Millisecond
	g := start(t, cfg)
	listen(t, g, "10.0.0.1:2000")
	const total = 20000
	for i := 0; i < total; i += 50 {
		frames := make([][]byte, 50)
		for j := range frames {
			frames[j] = udpFrame("10.0.0.2", "10.0.0.1", uint16(1+(i+j)%60000), 2000, nil)
		}
		p.inject(0, frames...)
		eventually(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.in[0]) < 500
		}, "frames are taken")
	}
	eventually(t, func() bool {
		st := g.statsNow(t)
		return st.Total.Stack.UDP.InDatagrams+st.Total.Loop.MeshFull == total
	}, "all arrive")
	eventually(t, func() bool {
		l := g.statsNow(t).Total.Loop
		return l.HomeIn == l.HandedIn
	}, "all buffers come home")
}

func TestLanes(t *testing.T) {
	g := newGroup(t, manual(5))
	for _, s := range g.shards {
		require.Len(t, s.lanes, 4)
		for _, to := range g.shards {
			if to == s {
				continue
			}
			l := &s.lanes[s.laneTo(to.id)]
			require.Same(t, to, l.peer)
			require.Same(t, l.out.packets, to.lanes[to.laneTo(s.id)].in.packets)
			require.Same(t, l.out.home, to.lanes[to.laneTo(s.id)].in.home)
		}
		require.Same(t, s, g.byPool[s.pool.ID()])
	}
}
