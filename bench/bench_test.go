package bench

import (
	"fmt"
	"testing"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/stack"
)

// taken is how many bytes a server has received: the client's word for it, an
// acknowledgement, if the server is elsewhere.
func taken(t *Totals) uint64 {
	if far.network != nil {
		return t.Client.BytesOut
	}
	return t.Server.BytesIn
}

// BenchmarkBulk sends to a server that discards; an operation is a kilobyte
// that the server has taken.
func BenchmarkBulk(b *testing.B) {
	forConns(b, []int{1, 16, 1000}, func(b *testing.B, conns int) { benchBulk(b, conns, OffloadNone) })
}

func benchBulk(b *testing.B, conns int, by Offload) {
	o := options(b, conns)
	o.Offload, o.Bulk = by, true
	if conns == 1 {
		// One connection can't use two pairs: both ends on a core, or with
		// -layout split each on its own.
		o.Cores = o.Cores.First(1 + int(o.Layout))
	}
	Tune(&o)
	o.Client = func(s *stack.Stack, n int) load.Client {
		return load.NewBulk(s, load.Config{To: target(load.PortDiscard), Conns: n, Size: o.Write, InFlight: o.InFlight})
	}
	measure(b, o, unit{func(t *Totals) uint64 { return taken(t) / 1000 }, "kB/s", 1e5})
}

// BenchmarkBulkOffload is BenchmarkBulk with segments of up to 64 KiB: cut and
// joined in software, at an MTU of 1500 on the wire (soft), or by the port (port).
func BenchmarkBulkOffload(b *testing.B) {
	for _, by := range []Offload{OffloadSoft, OffloadPort} {
		b.Run(map[Offload]string{OffloadSoft: "soft", OffloadPort: "port"}[by], func(b *testing.B) {
			forConns(b, []int{1, 16, 1000}, func(b *testing.B, conns int) { benchBulk(b, conns, by) })
		})
	}
}

// BenchmarkRR is 64-byte request-response; an operation is a transaction. At
// most 1,024 answers are due at a time on each client shard, so that what is
// measured is the cost of many connections, not of long queues.
func BenchmarkRR(b *testing.B) {
	forConns(b, []int{1, 10, 64, 1000, 10000, 100000}, func(b *testing.B, conns int) {
		o := options(b, conns)
		if conns == 1 {
			o.Cores = o.Cores.First(1)
		}
		o.Client = func(s *stack.Stack, n int) load.Client {
			return load.NewRR(s, load.Config{To: target(load.PortEcho), Conns: n, From: clientAddrs(n), InFlight: 1024})
		}
		measure(b, o, unit{transactions, "transactions/s", uint64(conns) * 4})
	})
}

// BenchmarkCPS opens a connection, sends 64 bytes each way and closes; an
// operation is a connection. conns are open at a time.
func BenchmarkCPS(b *testing.B) {
	forConns(b, []int{64, 1000}, func(b *testing.B, conns int) {
		o := options(b, conns)
		o.Client = func(s *stack.Stack, n int) load.Client {
			return load.NewCPS(s, load.Config{To: target(load.PortEcho), Conns: n})
		}
		measure(b, o, unit{transactions, "connections/s", 10000})
	})
}

// BenchmarkHTTP asks for 64 bytes on kept connections.
func BenchmarkHTTP(b *testing.B) {
	forConns(b, []int{64}, func(b *testing.B, conns int) {
		o := options(b, conns)
		o.Client = func(s *stack.Stack, n int) load.Client {
			return load.NewHTTP(s, load.Config{To: target(load.PortHTTP), Conns: n})
		}
		measure(b, o, unit{transactions, "requests/s", 10000})
	})
}

// BenchmarkUDP sends datagrams to a server that counts them; an operation is a
// datagram received, or sent if the server is elsewhere.
func BenchmarkUDP(b *testing.B) {
	for _, size := range []int{64, 1400} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			o := options(b, 1)
			o.Client = func(s *stack.Stack, n int) load.Client {
				return load.NewUDP(s, load.Config{To: target(load.PortDiscard), Conns: n, Size: size})
			}
			measure(b, o, unit{func(t *Totals) uint64 {
				if far.network != nil {
					return t.Client.PacketsOut
				}
				return t.Server.PacketsIn
			}, "datagrams/s", 10000})
		})
	}
}
