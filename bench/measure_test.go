package bench

import (
	"testing"
	"time"

	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/stack"
)

// unit says what a benchmark counts: an operation of b.N, and its name.
type unit struct {
	ops    func(t *Totals) uint64
	metric string
	warm   uint64 // operations before the clock starts
}

func transactions(t *Totals) uint64 { return t.Client.Ops }

// reading is what was counted at a moment.
type reading struct {
	Totals
	port port.Stats
}

func read(tb *Testbed) *reading { return &reading{tb.Totals(), tb.PortStats()} }

// How long a warm-up and a measurement may take.
const (
	warmLimit    = 60 * time.Second
	measureLimit = 5 * time.Minute
)

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
	if far.network != nil {
		u.warm /= 10 // the way there is slower than memory, and warm sooner
	}
	err = tb.Until(warmLimit, func(t *Totals) bool { return u.ops(t) >= u.warm && t.Client.Opened >= uint64(o.Conns) })
	if err == nil {
		err = tb.Warm()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := read(tb)
	b.ResetTimer()
	want := u.ops(&before.Totals) + uint64(b.N)
	err = tb.Until(measureLimit, func(t *Totals) bool { return u.ops(t) >= want })
	b.StopTimer()
	elapsed := b.Elapsed()
	after := read(tb)
	closed = true
	if e := tb.Close(); err == nil {
		err = e
	}
	if err != nil {
		b.Fatal(err)
	}
	report(b, tb, u, before, after, elapsed)
}

// report turns two readings into metrics.
func report(b *testing.B, tb *Testbed, u unit, before, after *reading, elapsed time.Duration) {
	b.Helper()
	sec := elapsed.Seconds()
	b.ReportMetric(float64(u.ops(&after.Totals)-u.ops(&before.Totals))/sec, u.metric)
	frames := after.Stack.Link.InFrames - before.Stack.Link.InFrames
	if far.network != nil { // on the wire between two of our stacks each is received once
		frames += after.Stack.Link.OutFrames - before.Stack.Link.OutFrames
	}
	b.ReportMetric(float64(frames)/sec, "packets/s")
	b.ReportMetric(float64(tb.Cores())*float64(elapsed.Nanoseconds())/float64(max(frames, 1)), "ns/packet/core")
	b.ReportMetric(float64(data(&after.Totals)-data(&before.Totals))*8/1e9/sec, "Gbit/s")
	reportLoss(b, before, after)
	if h := tb.Latency(); h != nil && h.TotalCount() > 0 {
		for q, name := range map[float64]string{50: "p50-ns", 99: "p99-ns", 99.9: "p999-ns"} {
			b.ReportMetric(float64(h.ValueAtQuantile(q)), name)
		}
	}
}

// data is how many bytes of the application's have arrived.
func data(t *Totals) uint64 {
	if far.network != nil {
		return t.Client.BytesIn + t.Client.BytesOut
	}
	return t.Client.BytesIn + t.Server.BytesIn
}

// reportLoss tells what was lost between two readings, and where.
func reportLoss(b *testing.B, before, after *reading) {
	b.Helper()
	// What hosts say to all routers now and then is no loss.
	dropped := func(r *reading) uint64 { return r.Stack.Dropped() - r.Stack.Drops[stack.DropIPGroup] }
	b.ReportMetric(float64(dropped(after)-dropped(before)), "drops")
	b.ReportMetric(float64(after.Stack.TCP.RetransSegs-before.Stack.TCP.RetransSegs), "retrans")
	lost := func(s *port.Stats) uint64 { return s.RxMissed + s.RxErrors + s.TxDropped + s.TxErrors }
	b.ReportMetric(float64(lost(&after.port)-lost(&before.port)), "missed")
	for r := range after.Stack.Drops {
		if n := after.Stack.Drops[r] - before.Stack.Drops[r]; n != 0 {
			b.Logf("dropped as %v: %d", stack.DropReason(r), n)
		}
	}
	if n := after.Client.Failed + after.Client.Errors; n > 0 {
		b.Errorf("%d connections failed or gave wrong answers", n)
	}
}
