package bench

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/offload"
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

// BenchmarkBigTCP is bulk over IPv6 with segments of up to so many KiB, which the
// wire takes whole: those beyond 64 are jumbograms (RFC 2675).
func BenchmarkBigTCP(b *testing.B) {
	for _, most := range []int{offload.MaxTSO, 128 << 10, 256 << 10, offload.MaxBig} {
		b.Run(fmt.Sprintf("segment=%dKiB", (most+1)>>10), func(b *testing.B) {
			o := options(b, 1)
			o.Outside, o.IPv6, o.Offload, o.Layout = nil, true, OffloadPort, Pairs
			o.Cores = o.Cores.First(1)
			Tune(&o)
			o.Stack.TCP.SendBuf, o.Stack.TCP.RecvBuf = 2<<20, 2<<20
			o.GSOMax = most
			o.Client = func(s *stack.Stack, n int) load.Client {
				return load.NewBulk(s, load.Config{To: netip.AddrPortFrom(serverNet6.Addr(), load.PortDiscard), Conns: n, Size: 512 << 10})
			}
			measure(b, o, unit{func(t *Totals) uint64 { return t.Server.BytesIn / 1000 }, "kB/s", 1e5})
		})
	}
}
