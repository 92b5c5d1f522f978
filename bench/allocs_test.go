package bench

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// stepped is a client and a server group that the test steps in simulated
// time.
type stepped struct {
	t      testing.TB
	c, s   *shard.Group
	client load.Client
	server *load.Server
	now    int64
}

func newStepped(t testing.TB, client func(*stack.Stack) load.Client) *stepped {
	t.Helper()
	a, b, err := mem.New(mem.Config{Pause: true,
		A: mem.EndConfig{MAC: header.MAC{2, 0, 0, 0, 0, 1}}, B: mem.EndConfig{MAC: header.MAC{2, 0, 0, 0, 0, 2}}})
	require.NoError(t, err)
	x := &stepped{t: t, now: int64(1e9)}
	group := func(p *mem.End, addr netip.Prefix, init func(*shard.Shard) error) *shard.Group {
		cfg := shard.Config{Manual: true, Init: init, Pool: pbuf.Config{Small: 16384, Buffers: 8192},
			Ports: []shard.PortConfig{{Port: p, Addrs: []netip.Prefix{addr}}}}
		cfg.Stack.TCP.TimeWait = -1
		g, err := shard.NewGroup(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Stop()) })
		return g
	}
	x.s = group(b, serverNet, func(s *shard.Shard) (err error) {
		x.server, err = load.NewServer(s.Stack(), load.ServerConfig{})
		return err
	})
	x.c = group(a, clientNet, func(s *shard.Shard) error {
		x.client = client(s.Stack())
		s.AddPoller(x.client)
		return x.client.Start()
	})
	return x
}

// run steps both groups n times, 5 µs apart.
func (x *stepped) run(n int) {
	for range n {
		_, err := x.s.Step(x.now)
		require.NoError(x.t, err)
		_, err = x.c.Step(x.now)
		require.NoError(x.t, err)
		x.now += 5000
	}
}

// TestNoAllocations: once warm, no load allocates, neither at the client nor at
// the server nor below.
func TestNoAllocations(t *testing.T) {
	for name, client := range map[string]func(*stack.Stack) load.Client{
		"bulk": func(s *stack.Stack) load.Client {
			return load.NewBulk(s, load.Config{To: server(load.PortDiscard), Conns: 4})
		},
		"receive": func(s *stack.Stack) load.Client {
			return load.NewBulk(s, load.Config{To: server(load.PortChargen), Conns: 4, Size: 100})
		},
		"rr": func(s *stack.Stack) load.Client {
			return load.NewRR(s, load.Config{To: server(load.PortEcho), Conns: 64})
		},
		"connect-close": func(s *stack.Stack) load.Client {
			return load.NewCPS(s, load.Config{To: server(load.PortEcho), Conns: 64})
		},
		"http": func(s *stack.Stack) load.Client {
			return load.NewHTTP(s, load.Config{To: server(load.PortHTTP), Conns: 16})
		},
		"udp": func(s *stack.Stack) load.Client {
			return load.NewUDP(s, load.Config{To: server(load.PortEcho), Conns: 4})
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newStepped(t, client)
			x.run(20000)
			before := *x.client.Counters()
			require.Zero(t, testing.AllocsPerRun(20, func() { x.run(200) }), "allocations in 200 rounds")
			after := x.client.Counters()
			require.Greater(t, after.BytesOut+after.BytesIn, before.BytesOut+before.BytesIn, "something was measured")
			require.NoError(t, x.client.Err())
		})
	}
}
