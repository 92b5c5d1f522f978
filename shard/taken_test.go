package shard

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/rss"
)

// stand opens n connections from all shards, which then stand.
func (p *plant) stand(t testing.TB, n int) {
	t.Helper()
	up, _ := p.sum(t)
	for _, c := range p.clients {
		c.open = n / len(p.clients)
	}
	require.NoError(t, p.Run(func() bool { now, _ := p.sum(t); return now == up+n }, time.Minute), "all connect")
}

// flows are those of all shards of g, with how many shards have each.
func flows(g *Group) map[flow]int {
	all := make(map[flow]int)
	for _, s := range g.shards {
		s.stack.EachFlow(func(proto header.Protocol, local, remote header.Addr, lport, rport uint16) {
			all[flow{proto, local, remote, lport, rport}]++
		})
	}
	return all
}

// TestResteerKeepsPortsApart: shards choose from a few hundred ports, of which
// those of buckets that move are used by standing connections of other shards. No
// flow is opened twice.
func TestResteerKeepsPortsApart(t *testing.T) {
	const shards, conns, rounds = 4, 160, 4
	p := newPlant(t, shards, func(c *Config, side byte) {
		c.Stack.TCP.PortMax = c.Stack.TCP.PortMin + 299
		c.Pool.Buffers = 2048
	})
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range rounds {
		p.stand(t, conns)
		all := flows(p.a)
		require.Equal(t, conns*(i+1), len(all), "each flow is another one")
		for f, n := range all {
			require.Equal(t, 1, n, "%v", f)
		}
		require.NoError(t, p.a.Resteer(0, randomTable(t, p.a, rng)))
	}
	for _, c := range p.clients {
		for len(c.pcbs) != 0 {
			c.use(plantBurst)
			_, err := p.Step()
			require.NoError(t, err)
		}
	}
	require.NoError(t, p.Run(func() bool { _, back := p.sum(t); return back == conns*rounds }, time.Minute), "all get their answer")
	for _, g := range []*Group{p.a, p.b} {
		require.Zero(t, g.Stats().Total.Stack.TCP.OutRsts)
	}
	require.NoError(t, p.Skip(65*time.Second))
	require.True(t, forgotten(p.a), "the lists go with the last flows")
}

// TestResteerThatFailsFreesThePorts: what was about to move is the old owner's to
// choose from again.
func TestResteerThatFailsFreesThePorts(t *testing.T) {
	p := newPlant(t, 2, nil)
	old := p.a.Table(0)
	entries := old.Entries()
	for i := range entries {
		entries[i] = 1
	}
	all1, err := rss.FromEntries(entries)
	require.NoError(t, err)
	gone := newDepartures(&old, &all1)
	s := p.a.shards[0]
	sp := &s.ports[0]
	before := sp.steer
	st, ok := before.withNext(all1)
	require.True(t, ok)
	sp.steer = st
	s.depart(st, gone)
	pcb := s.stack.NewTCP()
	require.Error(t, pcb.Connect(echoAddr, nil), "all of its buckets are about to be another's")
	sp.steer = before
	require.NoError(t, s.solve(sp))
	require.NoError(t, pcb.Connect(echoAddr, nil))
	pcb.Abort()
}
