//go:build dpdk

package dpdk_test

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/dpdk"
	"github.com/shardstack/shardstack/port/impair"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// Addresses of the two ends (RFC 2544 appendix C).
var (
	serverNet = netip.MustParsePrefix("198.18.3.1/24")
	clientNet = netip.MustParsePrefix("198.18.3.2/24")
)

// group runs shards on a port, one a queue.
func group(t *testing.T, p port.Port, addr netip.Prefix, init func(*shard.Shard) error) *shard.Group {
	t.Helper()
	g, err := shard.NewGroup(shard.Config{
		NoPin: true, OwnThread: true, Shards: p.Info().Queues, Pool: pbuf.Config{Small: 2048, Buffers: 4096, Jumbo: 32},
		Ports: []shard.PortConfig{{Port: p, Addrs: []netip.Prefix{addr}}}, Init: init,
	})
	require.NoError(t, err)
	require.NoError(t, g.Start())
	return g
}

// exchange has clients on all shards of one port exchange data with servers on
// another: both ways at once, and each end tells the other the hash of what it
// has seen.
func exchange(t *testing.T, client, server port.Port, conns, size int) {
	t.Helper()
	servers := make([]*load.Server, server.Info().Queues)
	sg := group(t, server, serverNet, func(s *shard.Shard) (err error) {
		servers[s.ID()], err = load.NewServer(s.Stack(), load.ServerConfig{})
		return err
	})
	cg := group(t, client, clientNet, nil)
	clients := make([]load.Client, client.Info().Queues)
	to := netip.AddrPortFrom(serverNet.Addr(), load.PortExchange)
	require.NoError(t, cg.Do(func(s *shard.Shard) error {
		c := load.NewExchange(s.Stack(), load.Config{To: to, Conns: conns, Size: size, Count: uint64(conns)})
		clients[s.ID()] = c
		s.AddPoller(c)
		return c.Start()
	}))
	require.Eventually(t, func() bool {
		var busy atomic.Int32
		err := cg.Do(func(s *shard.Shard) error {
			if !clients[s.ID()].Done() {
				busy.Add(1)
			}
			return nil
		})
		return err != nil || busy.Load() == 0
	}, 60*time.Second, 5*time.Millisecond)
	// What came off the wire, not what loopback could have done.
	require.Greater(t, port.Total(client).RxBytes, uint64(conns*size))
	require.NoError(t, cg.Do(func(s *shard.Shard) error {
		s.Stack().EachTCP(func(c *stack.TCP) { c.Abort() })
		return nil
	}))
	require.NoError(t, cg.Stop())
	require.NoError(t, sg.Stop())
	for i, c := range clients {
		n := c.Counters()
		require.Equal(t, uint64(conns), n.Ops, "shard %d: %v", i, c.Err())
		require.Zero(t, n.Failed+n.Errors, "%v", c.Err())
	}
	for _, s := range servers {
		require.NoError(t, s.Release())
	}
}

// TestStacksOverPair: two stacks with two shards each.
func TestStacksOverPair(t *testing.T) {
	noLeak(t)
	a, b, err := dpdk.NewPair(dpdk.PairConfig{Queues: 2})
	require.NoError(t, err)
	exchange(t, a, b, 2, 16<<20)
}

// TestStacksOverLossyPair: the same with one frame in a hundred lost each way.
func TestStacksOverLossyPair(t *testing.T) {
	noLeak(t)
	a, b, err := dpdk.NewPair(dpdk.PairConfig{})
	require.NoError(t, err)
	lossy, err := impair.Wrap(a, impair.Config{
		Rx: netem.Config{Seed: 1, Loss: 0.01}, Tx: netem.Config{Seed: 2, Loss: 0.01},
	})
	require.NoError(t, err)
	exchange(t, lossy, b, 2, 2<<20)
}

// TestStacksOverVirtio: a stack on the driver's side of a virtio device with two
// queues, one on the device's.
func TestStacksOverVirtio(t *testing.T) {
	noLeak(t)
	c, v := vhostPorts(t, 2)
	device, driver := open(t, v), open(t, c)
	exchange(t, driver, device, 2, 8<<20)
}
