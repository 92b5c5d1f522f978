package bench

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/shard"
)

// TestExchangeOverBadWire sends 100 MiB each way at once over the in-memory
// wire with 2 % loss, reordering and duplication, for 50 seeds, in simulated
// time. Both ends compare hashes; Stop fails if a buffer is missing.
func TestExchangeOverBadWire(t *testing.T) {
	size, seeds := 100<<20, 50
	if testing.Short() {
		size, seeds = 4<<20, 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			exchangeOverBadWire(t, uint64(seed), size)
		})
	}
}

func exchangeOverBadWire(t *testing.T, seed uint64, size int) {
	bad := mem.Impairment{Loss: 0.02, Duplicate: 0.01, Reorder: 0.01, ReorderBy: 100 * time.Microsecond, Delay: 20 * time.Microsecond}
	ab, ba := bad, bad
	ab.Seed, ba.Seed = 2*seed+1, 2*seed+2
	a, b, err := mem.New(mem.Config{AtoB: ab, BtoA: ba,
		A: mem.EndConfig{MAC: header.MAC{2, 0, 0, 0, 0, 1}}, B: mem.EndConfig{MAC: header.MAC{2, 0, 0, 0, 0, 2}}})
	require.NoError(t, err)
	var client *load.Exchange
	var sink *load.Server
	group := func(p *mem.End, addr netip.Prefix, init func(*shard.Shard) error) *shard.Group {
		g, err := shard.NewGroup(shard.Config{Manual: true, Init: init, Pool: pbuf.Config{Small: 4096, Buffers: 4096},
			Ports: []shard.PortConfig{{Port: p, Addrs: []netip.Prefix{addr}}}})
		require.NoError(t, err)
		return g
	}
	sg := group(b, serverNet, func(s *shard.Shard) (err error) {
		sink, err = load.NewServer(s.Stack(), load.ServerConfig{})
		return err
	})
	cg := group(a, clientNet, func(s *shard.Shard) error {
		client = load.NewExchange(s.Stack(), load.Config{To: server(load.PortExchange), Size: size})
		s.AddPoller(client)
		return client.Start()
	})
	const limit = int64(time.Hour)
	now := int64(time.Second)
	done := func() bool {
		return client != nil && client.Done() && sink.Counters().Ops+sink.Counters().Errors > 0
	}
	for !done() && now < limit {
		w1, err := sg.Step(now)
		require.NoError(t, err)
		w2, err := cg.Step(now)
		require.NoError(t, err)
		if w1+w2 == 0 {
			now = max(now+1000, min(sg.Next(), cg.Next()))
		} else {
			now += 1000
		}
	}
	require.NoError(t, client.Err())
	require.EqualValues(t, 1, client.Counters().Ops)
	require.EqualValues(t, 1, sink.Counters().Ops)
	require.Zero(t, sink.Counters().Errors)
	st := cg.Shards()[0].Stack().Stats()
	require.NotZero(t, st.TCP.RetransSegs)
	require.NoError(t, cg.Stop())
	require.NoError(t, sg.Stop())
}
