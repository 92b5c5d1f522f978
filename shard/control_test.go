package shard

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/stack"
)

// image is what a shard's stack is configured to.
type image struct {
	addrs   []netip.Prefix
	routes  []netip.Prefix
	gws     []netip.Addr
	static  map[netip.Addr]header.MAC
	listens int
	up      bool
}

// images are those of all shards.
func images(t testing.TB, g *Group) []image {
	t.Helper()
	list := make([]image, len(g.shards))
	require.NoError(t, g.Do(func(s *Shard) error {
		m := &list[s.id]
		m.addrs, m.up, m.static = s.Netif(0).Addrs(), s.Netif(0).Up(), map[netip.Addr]header.MAC{}
		for _, r := range s.stack.Routes() {
			m.routes, m.gws = append(m.routes, r.Prefix), append(m.gws, r.Gateway)
		}
		for _, n := range s.stack.Neighbors() {
			if n.Static {
				m.static[n.Addr] = n.MAC
			}
		}
		s.stack.EachTCP(func(p *stack.TCP) {
			if p.State() == stack.StateListen {
				m.listens++
			}
		})
		return nil
	}))
	return list
}

// alike asserts that all shards are configured alike, and returns how.
func alike(t testing.TB, g *Group) image {
	t.Helper()
	list := images(t, g)
	for _, m := range list[1:] {
		require.Equal(t, list[0], m)
	}
	return list[0]
}

func noAccept(*Shard, *stack.TCP) error { return nil }

// changes make and undo everything that can be changed; each step has one that
// must fail, as it has been made, or can't be.
func changes(t testing.TB, g *Group) {
	addr, gw := netip.MustParsePrefix("198.18.0.1/24"), netip.MustParseAddr("198.18.0.254")
	dst, host := netip.MustParsePrefix("198.19.0.0/16"), netip.MustParseAddr("198.18.0.9")
	at := netip.AddrPortFrom(addr.Addr(), 80)

	require.NoError(t, g.AddAddr(0, addr))
	require.ErrorIs(t, g.AddAddr(0, addr), stack.ErrUse)
	require.NoError(t, g.AddRoute(0, dst, gw))
	require.ErrorIs(t, g.AddRoute(0, netip.Prefix{}, gw), stack.ErrVal)
	require.NoError(t, g.AddNeighbor(0, host, peerMAC))
	require.ErrorIs(t, g.AddNeighbor(0, host, header.Broadcast), stack.ErrVal)
	l, err := g.ListenTCP(at, 5, noAccept)
	require.NoError(t, err)
	_, err = g.ListenTCP(at, 5, noAccept)
	require.ErrorIs(t, err, stack.ErrUse)
	_, err = g.ListenTCP(netip.AddrPortFrom(addr.Addr(), 0), 5, noAccept)
	require.ErrorIs(t, err, stack.ErrVal)
	m := alike(t, g)
	require.Contains(t, m.addrs, addr)
	require.Equal(t, []netip.Prefix{dst}, m.routes)
	require.Equal(t, []netip.Addr{gw}, m.gws)
	require.Equal(t, map[netip.Addr]header.MAC{host: peerMAC}, m.static)
	require.Equal(t, 1, m.listens)
	require.NoError(t, g.SetUp(0, false))
	require.False(t, alike(t, g).up)
	require.NoError(t, g.SetUp(0, true))

	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.NoError(t, g.AddNeighbor(0, host, peerMAC)) // going down may have forgotten it
	require.NoError(t, g.DelNeighbor(0, host))
	require.ErrorIs(t, g.DelNeighbor(0, host), stack.ErrVal)
	require.NoError(t, g.DelRoute(0, dst))
	require.ErrorIs(t, g.DelRoute(0, dst), stack.ErrVal)
	require.NoError(t, g.DelAddr(0, addr))
	require.ErrorIs(t, g.DelAddr(0, addr), stack.ErrVal)
	require.ErrorIs(t, g.AddAddr(7, addr), ErrConfig)
}

// TestChangesReachEveryShard: with threads and without.
func TestChangesReachEveryShard(t *testing.T) {
	for _, threads := range []bool{false, true} {
		cfg := manual(3, PortConfig{Port: newFakePort(1), Addrs: prefixes("10.0.0.1/24")})
		cfg.Manual = !threads
		g := newGroup(t, cfg)
		if threads {
			require.NoError(t, g.Start())
		}
		before := alike(t, g)
		changes(t, g)
		require.Equal(t, before, alike(t, g), "all is undone")
		require.NoError(t, g.Stop())
		if threads {
			require.ErrorIs(t, g.AddAddr(0, netip.MustParsePrefix("198.18.0.1/24")), ErrStopped)
		}
	}
}

// TestPartialFailureRollsBack: a shard that can't make a change keeps all others
// from having made it.
func TestPartialFailureRollsBack(t *testing.T) {
	cfg := config(4, PortConfig{Port: newFakePort(1), Addrs: prefixes("10.0.0.1/24")})
	cfg.Stack.ARP.Size = 2
	g := start(t, cfg)
	odd := g.shards[2]
	addr, host := netip.MustParsePrefix("198.18.0.1/24"), netip.MustParseAddr("10.0.0.9")
	dst := netip.MustParsePrefix("198.19.0.0/16")
	at := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), 80)
	var own *stack.TCP
	require.NoError(t, odd.Call(func(s *Shard) error { // what makes it fail
		for _, a := range []string{"10.0.0.77", "10.0.0.78"} {
			if err := s.stack.AddNeighbor(s.Netif(0), netip.MustParseAddr(a), peerMAC); err != nil {
				return err
			}
		}
		own = s.stack.NewTCP()
		if err := own.Bind(at); err != nil {
			return err
		}
		return s.Netif(0).AddAddr(addr)
	}))
	before := images(t, g)

	require.ErrorIs(t, g.AddAddr(0, addr), stack.ErrUse)
	err := g.AddNeighbor(0, host, peerMAC)
	require.ErrorIs(t, err, stack.ErrMem)
	require.ErrorContains(t, err, "shard 2")
	_, err = g.ListenTCP(at, 5, noAccept)
	require.ErrorIs(t, err, stack.ErrUse)
	require.ErrorIs(t, g.DelAddr(0, addr), stack.ErrVal, "only shard 2 has it")
	require.ErrorIs(t, g.Apply(func(s *Shard) error {
		if s == odd {
			return errTest
		}
		return s.stack.AddRoute(dst, netip.Addr{}, s.Netif(0))
	}, func(s *Shard) { require.NoError(t, s.stack.DelRoute(dst, s.Netif(0))) }), errTest)
	require.Equal(t, before, images(t, g))

	// A static neighbour and a route come back as they were.
	require.NoError(t, odd.Call(func(s *Shard) error { return s.stack.DelNeighbor(s.Netif(0), netip.MustParseAddr("10.0.0.78")) }))
	require.NoError(t, g.AddNeighbor(0, host, peerMAC))
	other := header.MAC{2, 9}
	require.NoError(t, odd.Call(func(s *Shard) error {
		if err := s.stack.DelNeighbor(s.Netif(0), host); err != nil {
			return err
		}
		return s.stack.AddNeighbor(s.Netif(0), netip.MustParseAddr("10.0.0.78"), peerMAC)
	}))
	before = images(t, g)
	require.ErrorIs(t, g.AddNeighbor(0, host, other), stack.ErrMem)
	require.Equal(t, before, images(t, g))
	gw := netip.MustParseAddr("10.0.0.254")
	require.NoError(t, g.AddRoute(0, dst, gw))
	require.NoError(t, odd.Call(func(s *Shard) error { return s.stack.DelRoute(dst, s.Netif(0)) }))
	before = images(t, g)
	require.ErrorIs(t, g.DelRoute(0, dst), stack.ErrVal)
	require.Equal(t, before, images(t, g))
	require.NoError(t, odd.Call(func(*Shard) error { return own.Close() }))
}

// TestChangesComeInOrder: whoever changes what at the same time, all shards end up
// alike, with what the last change said.
func TestChangesComeInOrder(t *testing.T) {
	g := start(t, config(3, PortConfig{Port: newFakePort(1), Addrs: prefixes("10.0.0.1/24")}))
	host := netip.MustParseAddr("10.0.0.9")
	var wg sync.WaitGroup
	for i := range byte(4) {
		wg.Go(func() {
			for j := range byte(40) {
				_ = g.AddNeighbor(0, host, header.MAC{2, i, j})
				_ = g.AddAddr(0, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, i, j % 4}), 24)) // may be there
				if j%4 == 3 {
					_ = g.DelNeighbor(0, host) // may be gone
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, alike(t, g).addrs, 1+4*4)
}

// TestAddressAddedToTheGroupWorks: all the above is not only there but
// works.
func TestAddressAddedToTheGroupWorks(t *testing.T) {
	bd := newBed(t, bedConfig{threads: true, wire: mem.Config{A: mem.EndConfig{Queues: 2}, B: mem.EndConfig{Queues: 2}},
		shardsA: 2, shardsB: 2})
	bd.start(t)
	require.NoError(t, bd.a.AddAddr(0, netip.MustParsePrefix("198.18.0.1/24")))
	require.NoError(t, bd.b.AddAddr(0, netip.MustParsePrefix("198.18.0.2/24")))
	to := netip.MustParseAddrPort("198.18.0.2:7")
	l, err := bd.b.ListenTCP(to, 100, func(_ *Shard, pcb *stack.TCP) error {
		pcb.SetRecv(echoRecv)
		return nil
	})
	require.NoError(t, err)
	cs := make([]*echoClient, 2)
	open := func() {
		require.NoError(t, bd.a.Do(func(s *Shard) error {
			c := newEchoClient(s, 1, 3, 1000)
			cs[s.id] = c
			c.to = to
			return c.open()
		}))
	}
	open()
	eventually(t, func() bool { return done(t, cs, 1) }, "all is echoed")
	require.Zero(t, bd.a.Stats().Total.Loop.HandedOut+bd.b.Stats().Total.Loop.HandedOut)
	require.NoError(t, l.Close())
	open()
	eventually(t, func() bool { return cs[0].err.Load() != nil && cs[1].err.Load() != nil }, "nobody listens any more")
	require.ErrorIs(t, *cs[0].err.Load(), stack.ErrRefused)
}
