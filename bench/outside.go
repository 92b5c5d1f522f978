package bench

import (
	"net/netip"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/shard"
)

// Outside is a network with the servers on another machine or in another
// namespace: the testbed has clients only.
type Outside struct {
	// Open opens the port, with so many queues that hold queueLen frames each.
	// The testbed closes it.
	Open func(queues, queueLen int) (port.Port, error)
	// Addrs are the clients' addresses, the same on all shards.
	Addrs []netip.Prefix
	// Gateway is where to send what is not on the network of an address.
	// Default: nowhere.
	Gateway netip.Addr
}

// outsideQueue is how many frames wait for a queue of a real port: what 64
// connections with full windows have under way.
const outsideQueue = 8192

// startOutside runs the clients' group on all cores.
func (tb *Testbed) startOutside() error {
	out, n := tb.opt.Outside, len(tb.cores)
	p, err := out.Open(n, outsideQueue)
	if err != nil {
		return err
	}
	most := share(tb.opt.Conns, n, 0)
	cfg := shard.Config{
		Cores: tb.opt.Cores, Idle: shard.Spin, KeepProcs: true, Stack: tb.opt.Stack,
		Pool:  pbuf.Config{Small: 32768 + 4*most, Buffers: 16384 + min(most*64, 1<<16)},
		Ports: []shard.PortConfig{{Port: p, Addrs: out.Addrs, MTU: p.Info().MTU, TxQueue: 8192}},
		Init: func(s *shard.Shard) error {
			if s.ID() >= tb.opt.Conns {
				return nil // fewer connections than shards
			}
			return tb.initClient(s, share(tb.opt.Conns, n, s.ID()))
		},
	}
	if out.Gateway.IsValid() {
		cfg.Ports[0].Routes = []shard.RouteConfig{{Prefix: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: out.Gateway}}
	}
	g, err := shard.NewGroup(cfg)
	if err != nil {
		_ = p.Close() // the group's error says more
		return err
	}
	tb.groups = append(tb.groups, g)
	tb.ports = append(tb.ports, p)
	return g.Start()
}

// PortStats sums up what the ports have counted. Reading disturbs the shards a
// little: not for a loop.
func (tb *Testbed) PortStats() (sum port.Stats) {
	for _, p := range tb.ports {
		s := port.Total(p)
		sum.Add(&s)
	}
	return sum
}
