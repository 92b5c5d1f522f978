package bench

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// work is a load by which scaling is measured.
type work struct {
	name   string
	conns  int // of each shard
	client func(s *stack.Stack, conns int) load.Client
	unit   unit
	enough uint64 // operations of a test
}

// works are rr, cps and bulk.
var works = []work{
	{"rr", 64, func(s *stack.Stack, n int) load.Client {
		return load.NewRR(s, load.Config{To: server(load.PortEcho), Conns: n})
	}, unit{transactions, "transactions/s", 1000}, 5000},
	{"cps", 64, func(s *stack.Stack, n int) load.Client {
		return load.NewCPS(s, load.Config{To: server(load.PortEcho), Conns: n})
	}, unit{transactions, "connections/s", 1000}, 5000},
	{"bulk", 8, func(s *stack.Stack, n int) load.Client {
		return load.NewBulk(s, load.Config{To: server(load.PortDiscard), Conns: n})
	}, unit{func(t *Totals) uint64 { return t.Server.BytesIn / 1000 }, "kB/s", 1000}, 200_000},
}

// rate is how many operations a second the cores do, pairs of client and server
// shards on each, in a trial of d.
func (w *work) rate(b *testing.B, cores affinity.Set, d time.Duration) float64 {
	b.Helper()
	o := Options{Cores: cores, Conns: w.conns * cores.Len(), Client: w.client}
	o.Stack.TCP.TimeWait = -1
	tb, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	err = tb.Until(time.Minute, func(t *Totals) bool { return w.unit.ops(t) >= w.unit.warm })
	time.Sleep(d / 4) // the windows have opened
	before, start := tb.Totals(), time.Now()
	time.Sleep(d)
	after, took := tb.Totals(), time.Since(start)
	if e := tb.Close(); err == nil {
		err = e
	}
	if err != nil {
		b.Fatal(err)
	}
	return float64(w.unit.ops(&after)-w.unit.ops(&before)) / took.Seconds()
}

// BenchmarkScaling is what two cores do beside one, each with a client and a
// server shard of its own, in trials by turns: medians, and the ratio of what both
// do to the mean of what each does alone, as the cores of a virtual machine are
// not equally fast.
func BenchmarkScaling(b *testing.B) {
	const trials, trial = 5, 200 * time.Millisecond
	for _, w := range works {
		b.Run(w.name, func(b *testing.B) {
			cores := options(b, 1).Cores
			if cores.Len() < 2 {
				b.Fatal("it takes two cores")
			}
			both := cores.First(2)
			first := both.First(1)
			sets := []affinity.Set{first, both.Minus(first), both}
			rates := make([][]float64, len(sets))
			for range trials {
				for i, set := range sets {
					rates[i] = append(rates[i], w.rate(b, set, trial))
				}
			}
			for i := range rates {
				slices.Sort(rates[i])
			}
			one := (rates[0][trials/2] + rates[1][trials/2]) / 2
			two := rates[2][trials/2]
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(one, "1-core-"+w.unit.metric)
			b.ReportMetric(two, "2-core-"+w.unit.metric)
			b.ReportMetric(two/one, "ratio")
		})
	}
}

// virtual is shards at either end of a wire, all stepped on one thread, in
// simulated time or that of the clock.
type virtual struct {
	sim     *shard.Simulation
	client  *shard.Group
	server  *shard.Group
	clients []*end
	servers []*end
}

// newVirtual makes two shards with a load each, and queues at both ends.
func newVirtual(tb testing.TB, w *work, shards, queues int) *virtual {
	tb.Helper()
	a, z, err := mem.New(mem.Config{Pause: true, A: mem.EndConfig{Queues: queues}, B: mem.EndConfig{Queues: queues}})
	require.NoError(tb, err)
	v := &virtual{}
	group := func(p *mem.End, addrs []netip.Prefix, init func(*shard.Shard) error) *shard.Group {
		c := shard.Config{Manual: true, Shards: shards, Init: init,
			Ports: []shard.PortConfig{{Port: p, Addrs: addrs}}, Pool: pbuf.Config{HugePages: pbuf.HugeNever}}
		c.Stack.TCP.TimeWait = -1
		c.Stack.Seed[0] = 1
		g, err := shard.NewGroup(c)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, g.Stop()) })
		return g
	}
	v.server = group(z, []netip.Prefix{serverNet}, func(s *shard.Shard) (err error) {
		e := &end{s: s, tb: new(Testbed)}
		e.server, err = load.NewServer(s.Stack(), load.ServerConfig{})
		v.servers = append(v.servers, e)
		return err
	})
	v.client = group(a, []netip.Prefix{clientNet}, func(s *shard.Shard) error {
		e := &end{s: s, tb: new(Testbed), client: w.client(s.Stack(), w.conns)}
		v.clients = append(v.clients, e)
		s.AddPoller(e)
		return e.client.Start()
	})
	v.sim, err = shard.NewSimulation(v.server, v.client)
	require.NoError(tb, err)
	return v
}

// totals are those of now.
func (v *virtual) totals() (t Totals) {
	for _, e := range v.clients {
		t.Client.Add(e.client.Counters())
	}
	for _, e := range v.servers {
		t.Server.Add(e.server.Counters())
	}
	return t
}

// TestNoPacketLeavesItsShard: over a port with right RSS, no packet of rr, cps
// and bulk is handed over, in either direction.
func TestNoPacketLeavesItsShard(t *testing.T) {
	for _, w := range works {
		t.Run(w.name, func(t *testing.T) {
			v := newVirtual(t, &w, 2, 2)
			require.NoError(t, v.sim.Run(func() bool {
				n := v.totals()
				return w.unit.ops(&n) >= w.enough
			}, time.Minute))
			n := v.totals()
			require.Zero(t, n.Client.Failed+n.Client.Errors+n.Server.Errors)
			for _, g := range []*shard.Group{v.client, v.server} {
				st := g.Stats()
				require.Zero(t, st.Total.Loop.HandedOut, "%v", g.Handovers())
				require.Empty(t, g.Handovers())
				for _, s := range st.Shards {
					require.Greater(t, s.Loop.RxPackets, uint64(100), "shard %d", s.Shard)
				}
			}
		})
	}
}

// The same without RSS: everything works, and packets are handed over.
func TestWithoutRSSEverythingWorks(t *testing.T) {
	for _, w := range works {
		t.Run(w.name, func(t *testing.T) {
			v := newVirtual(t, &w, 2, 1)
			require.NoError(t, v.sim.Run(func() bool {
				n := v.totals()
				return w.unit.ops(&n) >= w.enough
			}, time.Minute))
			n := v.totals()
			require.Zero(t, n.Client.Failed+n.Client.Errors+n.Server.Errors)
			a, z := v.client.Stats(), v.server.Stats()
			for _, st := range []*shard.Stats{&a, &z} { // few connections may all be one server shard's
				require.Zero(t, st.Total.Loop.MeshFull)
				require.Zero(t, st.Total.Stack.TCP.RetransSegs)
			}
			require.Positive(t, a.Total.Loop.HandedFor[shard.CauseNoRSS])
			require.Positive(t, a.Total.Loop.HandedFor[shard.CauseRelay])
			most := max(a.Shards[0].Stack.TCP.OutSegs, a.Shards[1].Stack.TCP.OutSegs)
			require.Greater(t, min(a.Shards[0].Stack.TCP.OutSegs, a.Shards[1].Stack.TCP.OutSegs), most/4, "both get on")
		})
	}
}

// BenchmarkHandOver is what hand-over costs: two client and two server shards are
// stepped on one core, over a port with RSS, and over one with a single queue
// and no RSS, which gives every packet to the first shard: half of them are for
// the second, and all that this sends leaves through the first. An operation is
// one of the work's.
func BenchmarkHandOver(b *testing.B) {
	for _, w := range works {
		for _, queues := range []int{2, 1} {
			name := fmt.Sprintf("%s/RSS", w.name)
			if queues == 1 {
				name = fmt.Sprintf("%s/one-queue", w.name)
			}
			b.Run(name, func(b *testing.B) {
				v := newVirtual(b, &w, 2, queues)
				until := func(ops uint64) {
					for n := v.totals(); w.unit.ops(&n) < ops; n = v.totals() {
						for range 16 {
							now := shard.Now()
							if _, err := v.server.Step(now); err != nil {
								b.Fatal(err)
							}
							if _, err := v.client.Step(now); err != nil {
								b.Fatal(err)
							}
						}
					}
				}
				until(w.unit.warm)
				frames := func() (f, h uint64) {
					for _, g := range []*shard.Group{v.client, v.server} {
						st := g.Stats().Total
						f += st.Stack.Link.InFrames
						h += st.Loop.HandedOut
					}
					return f, h
				}
				f0, h0 := frames()
				n := v.totals()
				b.ReportAllocs()
				b.ResetTimer()
				until(w.unit.ops(&n) + uint64(b.N))
				b.StopTimer()
				f, h := frames()
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(f-f0), "ns/packet")
				b.ReportMetric(float64(h-h0)/float64(f-f0), "handed/packet")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), w.unit.metric)
			})
		}
	}
}
