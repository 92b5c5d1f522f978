package self

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/bench/peers/work"
	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/shard"
)

// overNet does the works over netconn's net.Conn. Each end has a shard a core, and
// the shards share the cores with the application's goroutines: they aren't pinned,
// and are goroutines, too. As gVisor's, a single connection is faster on one
// processor.
func overNet(s *work.Spec) (rate float64, err error) {
	cores := len(s.Cores)
	if s.Conns == 1 {
		cores = 1
	}
	runtime.GOMAXPROCS(cores)
	// Both directions of a connection have the same hash, so that shard i talks to
	// shard i, and a connection need not be worked on by two cores.
	end := mem.EndConfig{Queues: cores, MTU: s.MTU, RSSKey: rss.SymmetricKey}
	a, b, err := mem.New(mem.Config{Pause: true, A: end, B: end})
	if err != nil {
		return 0, err
	}
	var stops []func() error // in reverse
	defer func() {
		for i := len(stops) - 1; i >= 0; i-- {
			if e := stops[i](); err == nil {
				err = e
			}
		}
	}()
	var nets [2]*netconn.Net
	for i, end := range []*mem.End{a, b} {
		addr := []string{"198.18.0.1/15", "198.19.0.1/15"}[i]
		g, err := shard.NewGroup(shard.Config{
			NoPin: true, Shards: cores,
			Ports: []shard.PortConfig{{Port: end, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}},
		})
		if err != nil {
			return 0, err
		}
		if err := g.Start(); err != nil {
			return 0, err
		}
		stops = append(stops, g.Stop)
		if nets[i], err = netconn.New(g, netconn.Config{}); err != nil {
			return 0, err
		}
		stops = append(stops, nets[i].Close)
	}
	ln, err := nets[1].Listen("tcp", fmt.Sprint(":", load.PortEcho))
	if err != nil {
		return 0, err
	}
	to := server(load.PortEcho).String()
	return work.OverNet(s, ln, func() (net.Conn, error) { return nets[0].Dial("tcp", to) })
}
