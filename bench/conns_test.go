package bench

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/stack"
)

// BenchmarkAccept is a storm of connections: all are opened at once and fill
// the listener's backlog, which has just the room; when all are established they
// are closed, and the next wave begins. An operation is a connection accepted,
// its latency the time from SYN to established.
func BenchmarkAccept(b *testing.B) {
	forConns(b, []int{64, 1000, 10000}, func(b *testing.B, conns int) {
		o := options(b, conns)
		o.Backlog = conns
		if o.Layout == Pairs {
			o.Backlog = share(conns, o.Cores.Len(), 0)
		}
		o.Client = func(s *stack.Stack, n int) load.Client {
			return load.NewStorm(s, load.Config{To: target(load.PortDiscard), Conns: n})
		}
		measure(b, o, unit{transactions, "connections/s", uint64(conns) * 4})
	})
}

// idleFirst is how many connections of a shard are opened before those that
// are measured: they touch the buffers of the rings and the tables of the
// stacks, which are there for any number of connections.
const idleFirst = 2048

// staged is two clients of idle connections, of which the second waits for go.
type staged struct {
	*load.Idle
	second *load.Idle
	begin  *ring.Flag
	begun  bool
	sum    load.Counters
	err    error
}

// newStaged also tells how many connections the first has.
func newStaged(s *stack.Stack, conns int, begin *ring.Flag, fresh newIdle) (c *staged, early int) {
	cfg := load.Config{To: target(load.PortDiscard), From: clientAddrs(conns)}
	first := cfg
	first.Conns = max(min(conns/2, idleFirst), 1)
	cfg.Conns = max(conns-first.Conns, 1)
	return &staged{Idle: fresh(s, first), second: fresh(s, cfg), begin: begin}, first.Conns
}

// pullSize is what a connection of load.NewPull sends, in bytes.
const pullSize = 16 << 10

// newIdle is load.NewIdle or load.NewPull.
type newIdle = func(s *stack.Stack, cfg load.Config) *load.Idle

func (c *staged) Poll(now int64) int {
	n := c.Idle.Poll(now)
	if !c.begun && c.begin.IsSet() {
		c.begun = true
		c.err = c.second.Start()
	}
	if c.begun {
		n += c.second.Poll(now)
	}
	return n
}

func (c *staged) Counters() *load.Counters {
	c.sum = *c.Idle.Counters()
	c.sum.Add(c.second.Counters())
	return &c.sum
}

func (c *staged) Latency() *hdrhistogram.Histogram { return c.Idle.Latency() }
func (c *staged) Err() error                       { return errors.Join(c.err, c.Idle.Err(), c.second.Err()) }

// BenchmarkIdle opens connections and keeps them; nothing is sent on them. An
// operation is all of that, testbed included; what counts is bytes/connection,
// the memory that one end of a connection takes: resident bytes of the process
// over the ends that were opened.
func BenchmarkIdle(b *testing.B) {
	benchmarkKept(b, []int{10000, 100000}, load.NewIdle)
}

// BenchmarkPull is BenchmarkIdle with connections that have sent 16 KiB each by
// pull transmit, and wait for more to send.
func BenchmarkPull(b *testing.B) {
	benchmarkKept(b, []int{10000, 100000, 1000000}, load.NewPull)
}

func benchmarkKept(b *testing.B, list []int, fresh newIdle) {
	forConns(b, list, func(b *testing.B, conns int) {
		var bytes, opened, seconds float64
		for range b.N {
			r, err := openIdle(options(b, conns), fresh)
			if err != nil {
				b.Fatal(err)
			}
			bytes += float64(r.bytes)
			opened += float64(r.opened)
			seconds += r.took.Seconds()
		}
		ends := 2.0
		if far.network != nil {
			ends = 1
		}
		b.ReportMetric(bytes/opened/ends, "bytes/connection")
		b.ReportMetric(opened/seconds, "connections/s")
	})
}

// idleResult is what a number of connections took.
type idleResult struct {
	opened uint64
	bytes  int64
	took   time.Duration
}

// openIdle opens o.Conns connections; the result is of the second stage.
func openIdle(o Options, fresh newIdle) (r idleResult, err error) {
	var begin ring.Flag
	var early atomic.Uint64 // connections of the first stage
	o.Client = func(s *stack.Stack, n int) load.Client {
		c, first := newStaged(s, n, &begin, fresh)
		early.Add(uint64(first))
		return c
	}
	tb, err := New(o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, tb.Close()) }()
	if err = tb.Until(warmLimit, func(t *Totals) bool { return t.Client.Opened >= early.Load() }); err != nil {
		return r, err
	}
	settle()
	before, err := resident()
	if err != nil {
		return r, err
	}
	start := time.Now()
	begin.Set()
	err = tb.Until(measureLimit, func(t *Totals) bool { return t.Client.Opened >= uint64(o.Conns) })
	r.took, r.opened = time.Since(start), uint64(o.Conns)-min(early.Load(), uint64(o.Conns)-1)
	if err != nil {
		return r, err
	}
	if out := tb.Totals().Client.BytesOut; out != 0 { // all that is to be sent has arrived
		err = tb.Until(measureLimit, func(t *Totals) bool { return t.Client.BytesOut >= uint64(o.Conns)*pullSize })
	}
	if err != nil {
		return r, err
	}
	settle()
	after, err := resident()
	r.bytes = after - before
	return r, err
}

// settle has delayed acknowledgements sent and garbage given back.
func settle() {
	time.Sleep(100 * time.Millisecond)
	debug.FreeOSMemory()
}

// resident is how many bytes of memory the process has.
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text)) // proc(5): size, resident, …, in pages
	if len(fields) < 2 {
		return 0, fmt.Errorf("bench: /proc/self/statm: %q", text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// TestIdleMemory: what the benchmark reports as an idle connection's memory is
// neither nothing nor more than buffers would take.
func TestIdleMemory(t *testing.T) {
	before, err := resident()
	require.NoError(t, err)
	block := make([]byte, 64<<20)
	for i := range block {
		block[i] = 1
	}
	after, err := resident()
	require.NoError(t, err)
	require.InDelta(t, len(block), after-before, 8<<20)
	require.EqualValues(t, 1, block[len(block)-1])
}
