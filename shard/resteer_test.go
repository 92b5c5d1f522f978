package shard

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/stack"
)

// resteerings are the wires over which tables are changed: the port follows, or
// can't, as it has one queue, or fewer than there are shards.
var resteerings = []struct {
	name          string
	queues        int
	portFollows   bool
	homeAtAnyTime bool // without a change of tables nothing is handed over
}{
	{"RSS", 4, true, true},
	{"one queue", 1, false, false},
	{"few queues", 2, true, false},
}

// randomTable deals the entries of a group's table to shards at random.
func randomTable(t testing.TB, g *Group, rng *rand.Rand) rss.RETA {
	t.Helper()
	old := g.Table(0)
	entries := old.Entries()
	for i := range entries {
		entries[i] = uint16(rng.IntN(len(g.shards)))
	}
	table, err := rss.FromEntries(entries)
	require.NoError(t, err)
	return table
}

// lostNothing asserts that no connection of either end was reset, refused or had
// to send anything twice.
func lostNothing(t testing.TB, bd *bed) {
	t.Helper()
	for _, g := range []*Group{bd.a, bd.b} {
		st := g.Stats().Total
		require.Zero(t, st.Stack.TCP.OutRsts)
		require.Zero(t, st.Stack.TCP.EstabResets)
		require.Zero(t, st.Stack.TCP.AttemptFails)
		require.Zero(t, st.Loop.MeshFull+st.Loop.MeshNoBuf)
	}
}

// forgotten reports whether no shard of g looks for flows at former owners.
func forgotten(g *Group) bool {
	for _, s := range g.shards {
		for i := range s.ports {
			if s.ports[i].steer.moved != nil {
				return false
			}
		}
	}
	return true
}

// TestResteerLosesNoConnection changes the tables of both ends again and again
// while connections open, send and close.
func TestResteerLosesNoConnection(t *testing.T) {
	for _, w := range resteerings {
		t.Run(w.name, func(t *testing.T) {
			bd := newBed(t, bedConfig{wire: wireConfig(w.queues, w.queues), shardsA: 4, shardsB: 4,
				edit: func(c *Config, _ byte) { c.Stack.TCP.TimeWait = 2 * time.Second }})
			bd.step(t)
			const conns = 30
			cs := bd.serve(t, conns, 20, 3000)
			rng := rand.New(rand.NewPCG(1, 2))
			echoed := func() (n int64) {
				for _, c := range cs {
					n += c.echoed.Load()
				}
				return n
			}
			for change := 0; !done(t, cs, conns); change++ {
				g := bd.a
				if change%2 == 0 {
					g = bd.b
				}
				table := randomTable(t, g, rng)
				require.NoError(t, g.Resteer(0, table))
				require.Equal(t, table, g.Table(0))
				until := echoed() + 40
				bd.run(t, func() bool { return echoed() >= until || done(t, cs, conns) }, "data flows on")
			}
			lostNothing(t, bd)
			for _, g := range []*Group{bd.a, bd.b} {
				require.Positive(t, g.Stats().Total.Loop.HandedFor[CauseResteer])
				require.Equal(t, w.portFollows, g.shards[0].ports[0].ownTable)
			}
			bd.run(t, func() bool { return bd.a.Stats().Total.Stack.TCP.CurrPCBs == 0 }, "TIME-WAIT ends")
			bd.run(t, func() bool { return forgotten(bd.a) && forgotten(bd.b) }, "what has ended is forgotten")

			// From here on the tables are as good as the first.
			before := [2]Loop{bd.a.Stats().Total.Loop, bd.b.Stats().Total.Loop}
			cs2 := make([]*echoClient, 4)
			require.NoError(t, bd.a.Do(func(s *Shard) error {
				cs2[s.ID()] = newEchoClient(s, 20, 3, 1000)
				return cs2[s.ID()].open()
			}))
			bd.run(t, func() bool { return done(t, cs2, 20) }, "all is echoed")
			lostNothing(t, bd)
			if w.homeAtAnyTime {
				require.Equal(t, before[0].HandedOut, bd.a.Stats().Total.Loop.HandedOut)
				require.Equal(t, before[1].HandedOut, bd.b.Stats().Total.Loop.HandedOut)
			}
		})
	}
}

// TestDrainShard: a shard that is drained gets no new connections and keeps its
// old ones; when it is added back it gets its share.
func TestDrainShard(t *testing.T) {
	for _, w := range resteerings {
		t.Run(w.name, func(t *testing.T) {
			bd := newBed(t, bedConfig{wire: wireConfig(4, w.queues), shardsA: 4, shardsB: 4})
			bd.step(t)
			old := bd.serve(t, 1, -1, 2000) // one connection of each client shard, without end
			opens := func() (n [4]uint64) {
				for i, s := range bd.b.Stats().Shards {
					n[i] = s.Stack.TCP.PassiveOpens
				}
				return n
			}
			use := func() {
				t.Helper()
				cs := make([]*echoClient, 4)
				require.NoError(t, bd.a.Do(func(s *Shard) error {
					cs[s.ID()] = newEchoClient(s, 25, 2, 500)
					return cs[s.ID()].open()
				}))
				var was [4]int64
				for i, c := range old {
					was[i] = c.echoed.Load()
				}
				bd.run(t, func() bool {
					for i, c := range old {
						if c.echoed.Load() < was[i]+20 {
							return false
						}
					}
					return done(t, cs, 25)
				}, "old and new connections work")
				lostNothing(t, bd)
			}
			use()
			all := opens()
			full := bd.b.Table(0)
			require.NoError(t, bd.b.DrainShard(2))
			drained := bd.b.Table(0)
			require.Zero(t, drained.Share(2))
			use()
			some := opens()
			require.Equal(t, all[2], some[2], "no new connection on the drained shard")
			require.Equal(t, all[0]+all[1]+all[3]+100, some[0]+some[1]+some[3])

			require.NoError(t, bd.b.UndrainShard(2))
			back := bd.b.Table(0)
			require.InDelta(t, full.Share(2), back.Share(2), 1)
			use()
			require.Greater(t, opens()[2], some[2], "it is back")

			for _, id := range []int{0, 1, 3} {
				require.NoError(t, bd.b.DrainShard(id))
			}
			require.ErrorIs(t, bd.b.DrainShard(2), ErrConfig, "the last one")
			use()
			for _, c := range old {
				require.Nil(t, c.err.Load())
			}
		})
	}
}

// A drained shard has no ports of its own to connect from, and has them again
// when it is added back.
func TestDrainedShardConnectsNoMore(t *testing.T) {
	bd := portsBed(t, nil)
	up := 0
	s := bd.a.shards[3]
	kept, err := connect(s, &up)
	require.NoError(t, err)
	bd.run(t, func() bool { return up == 1 }, "it connects")
	require.NoError(t, bd.a.DrainShard(3))
	for range 2 {
		pcb, err := connect(s, &up)
		require.ErrorIs(t, err, stack.ErrNoPort)
		require.NoError(t, pcb.Close())
	}
	require.NoError(t, bd.a.UndrainShard(3))
	pcb, err := connect(s, &up)
	require.NoError(t, err)
	require.Equal(t, 3, bd.a.Home(pcb.LocalAddr(), echoAddr))
	bd.run(t, func() bool { return up == 2 }, "it connects again")
	require.Equal(t, stack.StateEstablished, kept.State())
	lostNothing(t, bd)
}

// oneHome makes a table that gives everything to one shard.
func oneHome(t testing.TB, g *Group, id int) rss.RETA {
	t.Helper()
	old := g.Table(0)
	entries := old.Entries()
	for i := range entries {
		entries[i] = uint16(id)
	}
	table, err := rss.FromEntries(entries)
	require.NoError(t, err)
	return table
}

// The packets of a connected UDP PCB, and ICMP errors about it (RFC 1122 4.1.3.3),
// find it wherever its bucket has gone since.
func TestMovedUDPFlowsAreFound(t *testing.T) {
	p := newFakePort(1)
	g := newGroup(t, manual(4, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24"),
		Neighbors: []NeighborConfig{{Addr: ap("10.0.0.2:0").Addr(), MAC: peerMAC}}}))
	step(t, g, 2)
	var got, errs [4]int
	locals := make([]uint16, 4)
	require.NoError(t, g.Do(func(s *Shard) error {
		u := s.Stack().NewUDP()
		u.SetRecv(func(_ any, _ *stack.UDP, q *pbuf.Pbuf, _ addrPort) {
			got[s.id]++
			q.Free()
		})
		u.SetErr(func(any, *stack.UDP, addrPort, error) { errs[s.id]++ })
		err := u.Connect(ap("10.0.0.2:53"))
		locals[s.id] = u.LocalAddr().Port()
		return err
	}))
	for round, id := range []int{2, 0, 3, 1, 1} {
		require.NoError(t, g.Resteer(0, oneHome(t, g, id)))
		for _, l := range locals {
			p.inject(0, udpFrame("10.0.0.2", "10.0.0.1", 53, l, []byte("x")),
				icmpFrame("10.0.0.2", "10.0.0.1", header.ICMPv4DstUnreachable, 3, 0,
					udpFrame("10.0.0.1", "10.0.0.2", l, 53, nil)[header.EthernetLen:]))
		}
		step(t, g, 8)
		n := round + 1
		require.Equal(t, [4]int{n, n, n, n}, got, "table to %d", id)
		require.Equal(t, [4]int{n, n, n, n}, errs, "table to %d", id)
	}
	require.Zero(t, g.Stats().Total.Stack.UDP.NoPorts)
}

// A segment that belongs to nobody goes round once, and is answered by the new
// owner alone (RFC 9293 3.10.7.1: a reset).
func TestRFC9293_3_10_7_1_StraysAreAnsweredOnce(t *testing.T) {
	p := newFakePort(1)
	g := newGroup(t, manual(5, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24"),
		Neighbors: []NeighborConfig{{Addr: ap("10.0.0.2:0").Addr(), MAC: peerMAC}}}))
	step(t, g, 2)
	for _, id := range []int{4, 1, 3, 2} {
		require.NoError(t, g.Resteer(0, oneHome(t, g, id)))
	}
	p.take()
	p.inject(0, tcpFrame("10.0.0.2", "10.0.0.1", 1000, 2000, header.TCPAck))
	step(t, g, 12)
	frames, _ := p.take()
	require.Len(t, frames, 1)
	require.Equal(t, header.TCPRst, (*header.TCP)(frames[0][header.EthernetLen+header.IPv4Len:]).Flags()&header.TCPRst)
	require.EqualValues(t, 1, g.shards[2].stack.Stats().TCP.OutRsts)
}

func TestResteerRefusesWhatCantBe(t *testing.T) {
	bd := newBed(t, bedConfig{wire: wireConfig(2, 1), shardsA: 2})
	g := bd.a
	table := g.Table(0)
	require.NoError(t, g.Resteer(0, table), "nothing changes")
	require.True(t, forgotten(g))
	small, err := rss.NewRETA(64, 2)
	require.NoError(t, err)
	wide, err := rss.NewRETA(table.Size(), 3)
	require.NoError(t, err)
	for _, err := range []error{g.Resteer(0, small), g.Resteer(0, wide), g.Resteer(1, table), g.Resteer(-1, table),
		g.DrainShard(2), g.DrainShard(-1), g.UndrainShard(2)} {
		require.ErrorIs(t, err, ErrConfig)
	}
	require.Equal(t, table, g.Table(0))
	require.NoError(t, g.Stop())
}

// A bucket can't have moved round more shards than a packet can be sent to.
func TestResteerIsRefusedAfterTooManyOwners(t *testing.T) {
	g := newGroup(t, manual(maxFormer+3, PortConfig{Port: newFakePort(1), Addrs: prefixes("10.0.0.1/24")}))
	for id := range maxFormer + 1 {
		err := g.Resteer(0, oneHome(t, g, id))
		if id < maxFormer { // shard 0 had some of the buckets, and each after it all
			require.NoError(t, err, "%d", id)
		}
	}
	at := g.Table(0)
	err := g.Resteer(0, oneHome(t, g, maxFormer+2))
	require.ErrorIs(t, err, ErrBusy)
	require.Equal(t, at, g.Table(0))
	for _, s := range g.shards {
		require.Zero(t, s.ports[0].steer.moved.next.Size(), "rolled back")
	}
	step(t, g, 1)
	_, err = g.Step(g.shards[0].now + 3*sweepEvery)
	require.NoError(t, err)
	require.True(t, forgotten(g), "there are no flows")
	require.NoError(t, g.Resteer(0, oneHome(t, g, maxFormer+2)))
}

// TestResteerThreads is the first test with threads; the race detector looks on.
func TestResteerThreads(t *testing.T) {
	for _, w := range resteerings {
		t.Run(w.name, func(t *testing.T) {
			wire := wireConfig(w.queues, w.queues)
			wire.A.QueueLen, wire.B.QueueLen = 256, 256
			wire.Pause = true
			// No probes for lost tails: on a busy machine one may come when its
			// connection has ended, and is rightly answered with RST.
			bd := newBed(t, bedConfig{threads: true, wire: wire, shardsA: 3, shardsB: 3, edit: func(c *Config, _ byte) {
				c.Stack.TCP.NoSACK = true
			}})
			bd.start(t)
			const conns = 15
			cs := bd.serve(t, conns, 20, 3000)
			rng := rand.New(rand.NewPCG(3, 4))
			deadline := time.Now().Add(20 * time.Second)
			for changes := 0; !done(t, cs, conns); changes++ {
				require.True(t, time.Now().Before(deadline), "it takes too long")
				g := bd.a
				if changes%2 == 0 {
					g = bd.b
				}
				if changes%8 < 6 {
					require.NoError(t, g.Resteer(0, randomTable(t, g, rng)))
				} else {
					require.NoError(t, bd.b.DrainShard(1)) // not a client's: it has to connect
					require.NoError(t, bd.b.UndrainShard(1))
				}
				time.Sleep(2 * time.Millisecond)
			}
			a, b := bd.a.Stats().Total, bd.b.Stats().Total
			require.Zero(t, a.Stack.TCP.OutRsts+b.Stack.TCP.OutRsts)
			require.NoError(t, bd.a.Stop())
			require.NoError(t, bd.b.Stop())
		})
	}
}
