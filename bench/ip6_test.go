package bench

import (
	"net/netip"
	"testing"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/stack"
)

// BenchmarkIP6 is BenchmarkBulk, BenchmarkRR and BenchmarkCPS over IPv6, on the
// in-memory wire.
func BenchmarkIP6(b *testing.B) {
	to := func(service uint16) netip.AddrPort { return netip.AddrPortFrom(serverNet6.Addr(), service) }
	for _, c := range []struct {
		name  string
		conns int
		by    Offload
		make  func(s *stack.Stack, n int) load.Client
		unit  unit
	}{
		{"bulk/conns=16", 16, OffloadNone, func(s *stack.Stack, n int) load.Client {
			return load.NewBulk(s, load.Config{To: to(load.PortDiscard), Conns: n})
		}, unit{func(t *Totals) uint64 { return t.Server.BytesIn / 1000 }, "kB/s", 1e5}},
		{"bulk-soft/conns=16", 16, OffloadSoft, func(s *stack.Stack, n int) load.Client {
			return load.NewBulk(s, load.Config{To: to(load.PortDiscard), Conns: n})
		}, unit{func(t *Totals) uint64 { return t.Server.BytesIn / 1000 }, "kB/s", 1e5}},
		{"rr/conns=64", 64, OffloadNone, func(s *stack.Stack, n int) load.Client {
			return load.NewRR(s, load.Config{To: to(load.PortEcho), Conns: n, InFlight: 1024})
		}, unit{transactions, "transactions/s", 256}},
		{"cps/conns=64", 64, OffloadNone, func(s *stack.Stack, n int) load.Client {
			return load.NewCPS(s, load.Config{To: to(load.PortEcho), Conns: n})
		}, unit{transactions, "connections/s", 10000}},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := options(b, c.conns)
			o.Outside, o.IPv6, o.Offload, o.Client = nil, true, c.by, c.make
			measure(b, o, c.unit)
		})
	}
}
