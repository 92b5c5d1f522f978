package bench

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/stack"
)

var (
	coreMask  affinity.MaskFlag
	layout    = flag.String("layout", "pairs", "pairs or split")
	connsList = flag.String("conns", "", "numbers of connections to run, comma-separated (default: each benchmark's own)")
)

func TestMain(m *testing.M) {
	flag.Var(&coreMask, "coremask", "cores to use, as a mask (default: all allowed)")
	flag.Parse()
	os.Exit(m.Run())
}

// options are the testbed that the command line asks for.
func options(b *testing.B, conns int) Options {
	b.Helper()
	o := Options{Conns: conns, Cores: affinity.Set(coreMask)}
	if o.Cores.IsEmpty() {
		all, err := affinity.Allowed()
		if err != nil {
			b.Fatal(err)
		}
		o.Cores = all
	}
	if *layout == "split" {
		o.Layout = Split
	}
	o.Stack.TCP.TimeWait = -1 // a generator's choice: ports are used again at once
	return o
}

// forConns runs fn for each number of connections.
func forConns(b *testing.B, def []int, fn func(b *testing.B, conns int)) {
	if *connsList != "" {
		def = nil
		for _, s := range strings.Split(*connsList, ",") {
			n, err := strconv.Atoi(s)
			if err != nil {
				b.Fatal(err)
			}
			def = append(def, n)
		}
	}
	for _, n := range def {
		b.Run(fmt.Sprintf("conns=%d", n), func(b *testing.B) { fn(b, n) })
	}
}

// unit says what a benchmark counts: an operation of b.N, and its name.
type unit struct {
	ops    func(t *Totals) uint64
	metric string
	warm   uint64 // operations before the clock starts
}

func server(port uint16) netip.AddrPort { return netip.AddrPortFrom(serverNet.Addr(), port) }

// measure runs a testbed for b.N operations and reports.
func measure(b *testing.B, o Options, u unit) {
	b.Helper()
	tb, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			_ = tb.Close()
		}
	}()
	const limit = 60 * time.Second
	err = tb.Until(limit, func(t *Totals) bool { return u.ops(t) >= u.warm && t.Client.Opened >= uint64(o.Conns) })
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := tb.Totals()
	b.ResetTimer()
	want := u.ops(&before) + uint64(b.N)
	err = tb.Until(5*time.Minute, func(t *Totals) bool { return u.ops(t) >= want })
	b.StopTimer()
	after := tb.Totals()
	elapsed := b.Elapsed()
	closed = true
	if e := tb.Close(); err == nil {
		err = e
	}
	if err != nil {
		b.Fatal(err)
	}
	report(b, tb, u, &before, &after, elapsed)
}

// report turns two readings into metrics.
func report(b *testing.B, tb *Testbed, u unit, before, after *Totals, elapsed time.Duration) {
	sec := elapsed.Seconds()
	frames := after.Stack.Link.InFrames - before.Stack.Link.InFrames
	b.ReportMetric(float64(u.ops(after)-u.ops(before))/sec, u.metric)
	b.ReportMetric(float64(frames)/sec, "packets/s")
	b.ReportMetric(float64(tb.Cores())*float64(elapsed.Nanoseconds())/float64(max(frames, 1)), "ns/packet")
	data := after.Server.BytesIn - before.Server.BytesIn + after.Client.BytesIn - before.Client.BytesIn
	b.ReportMetric(float64(data)*8/1e9/sec, "Gbit/s")
	b.ReportMetric(float64(after.Stack.Dropped()-before.Stack.Dropped()), "drops")
	b.ReportMetric(float64(after.Stack.TCP.RetransSegs-before.Stack.TCP.RetransSegs), "retrans")
	if h := tb.Latency(); h != nil && h.TotalCount() > 0 {
		for q, name := range map[float64]string{50: "p50-µs", 99: "p99-µs", 99.9: "p999-µs"} {
			b.ReportMetric(float64(h.ValueAtQuantile(q))/1e3, name)
		}
	}
	for r := range after.Stack.Drops {
		if n := after.Stack.Drops[r] - before.Stack.Drops[r]; n != 0 {
			b.Logf("dropped as %v: %d", stack.DropReason(r), n)
		}
	}
	if n := after.Client.Failed + after.Client.Errors; n > 0 {
		b.Errorf("%d connections failed, %d answers were wrong", after.Client.Failed, after.Client.Errors)
	}
}

// clientAddrs are the local addresses for n connections to one server port:
// one for each 16,384, or none if the stack's choice will do.
func clientAddrs(n int) (list []netip.Addr) {
	for a := clientNet.Addr(); n > 16384; n, a = n-16384, a.Next() {
		list = append(list, a)
	}
	if list == nil {
		return nil
	}
	return append(list, list[len(list)-1].Next())
}

func transactions(t *Totals) uint64 { return t.Client.Ops }

// BenchmarkBulk sends to a server that discards; an operation is a kilobyte
// that the server has taken.
func BenchmarkBulk(b *testing.B) {
	forConns(b, []int{1, 16, 1000}, func(b *testing.B, conns int) {
		o := options(b, conns)
		if conns == 1 {
			o.Cores = o.Cores.First(2)
			o.Layout = Split // one connection can't use two pairs
			if o.Cores.Len() < 2 {
				o.Layout = Pairs
			}
		}
		o.Client = func(s *stack.Stack, n int) load.Client {
			return load.NewBulk(s, load.Config{To: server(load.PortDiscard), Conns: n})
		}
		measure(b, o, unit{func(t *Totals) uint64 { return t.Server.BytesIn / 1000 }, "kB/s", 1e5})
	})
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
			return load.NewRR(s, load.Config{To: server(load.PortEcho), Conns: n, From: clientAddrs(n), InFlight: 1024})
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
			return load.NewCPS(s, load.Config{To: server(load.PortEcho), Conns: n})
		}
		measure(b, o, unit{transactions, "connections/s", 10000})
	})
}

// BenchmarkHTTP asks for 64 bytes on kept connections.
func BenchmarkHTTP(b *testing.B) {
	forConns(b, []int{64}, func(b *testing.B, conns int) {
		o := options(b, conns)
		o.Client = func(s *stack.Stack, n int) load.Client {
			return load.NewHTTP(s, load.Config{To: server(load.PortHTTP), Conns: n})
		}
		measure(b, o, unit{transactions, "requests/s", 10000})
	})
}

// BenchmarkUDP sends datagrams to a server that counts them; an operation is a
// datagram received.
func BenchmarkUDP(b *testing.B) {
	for _, size := range []int{64, 1400} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			o := options(b, 1)
			o.Client = func(s *stack.Stack, n int) load.Client {
				return load.NewUDP(s, load.Config{To: server(load.PortDiscard), Conns: n, Size: size})
			}
			measure(b, o, unit{func(t *Totals) uint64 { return t.Server.PacketsIn }, "datagrams/s", 10000})
		})
	}
}
