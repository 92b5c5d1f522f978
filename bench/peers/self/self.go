package self

import (
	"fmt"
	"net/netip"
	"runtime"

	"github.com/shardstack/shardstack/bench"
	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/bench/peers/work"
	"github.com/shardstack/shardstack/stack"
)

var serverAddr = netip.MustParseAddr("198.19.0.1")

// portsEach is how many connections share a local address.
const portsEach = 16384

// Run does one trial on all of s.Cores.
func Run(s *work.Spec) (float64, error) {
	work.QuietGC()
	switch s.Work {
	case work.Ring:
		return handOver(s)
	case work.Idle:
		return idle(s)
	case work.NetRR, work.NetBulk:
		return overNet(s)
	}
	if s.Bulk() && s.Conns == 1 && len(s.Cores) > 1 {
		return bulkOne(s)
	}
	return onTestbed(s, bench.Pairs)
}

// bulkOne is bulk on a single connection, which can't use two pairs: both ends on
// one core, or each on its own, whichever a short trial shows to be faster. That
// depends on what it costs to hand a packet from core to core.
func bulkOne(s *work.Spec) (float64, error) {
	short := *s
	short.Warm, short.Time = s.Warm/4, s.Time/4
	together, err := onTestbed(&short, bench.Pairs)
	if err != nil {
		return 0, err
	}
	apart, err := onTestbed(&short, bench.Split)
	if err != nil {
		return 0, err
	}
	if apart > together {
		return onTestbed(s, bench.Split)
	}
	return onTestbed(s, bench.Pairs)
}

// RunOne does one trial on a single core, as lwIP does its own.
func RunOne(s *work.Spec) (float64, error) {
	one := *s
	one.Cores = s.Cores[:1]
	switch s.Work {
	case work.Bulk, work.BulkGSO, work.RR, work.CPS, work.UDP:
		return Run(&one)
	}
	return 0, work.NA("the same as with all cores, or needs them")
}

// options are the testbed of a trial: pairs, each core running both ends of a
// wire of its own, or split, each end on a core. A single connection can't use
// two pairs.
func options(s *work.Spec, layout bench.Layout) (bench.Options, error) {
	o := bench.Options{Conns: s.Conns, MTU: s.MTU, Layout: layout}
	for _, c := range s.Cores {
		if err := o.Cores.Add(c); err != nil {
			return o, err
		}
	}
	switch {
	case s.Offload:
		o.Offload = bench.OffloadPort
	case s.Work == work.BulkGSO:
		o.Offload = bench.OffloadSoft
	}
	if layout == bench.Pairs && s.Conns == 1 && (s.Bulk() || s.Work == work.RR) {
		o.Cores = o.Cores.First(1)
	}
	o.Bulk = s.Bulk()
	bench.Tune(&o)
	return o, nil
}

func server(port uint16) netip.AddrPort { return netip.AddrPortFrom(serverAddr, port) }

// from gives local addresses for n connections to one server port.
func from(n int) (list []netip.Addr) {
	for a := netip.MustParseAddr("198.18.0.1"); n > portsEach; n, a = n-portsEach, a.Next() {
		list = append(list, a)
	}
	if list != nil {
		list = append(list, list[len(list)-1].Next())
	}
	return list
}

// client makes the load of a shard.
func client(s *work.Spec, o *bench.Options) func(*stack.Stack, int) load.Client {
	return func(st *stack.Stack, n int) load.Client {
		c := load.Config{To: server(load.PortEcho), Conns: n, Size: s.Size, From: from(n)}
		switch s.Work {
		case work.Bulk, work.BulkGSO:
			c.To, c.Size, c.InFlight = server(load.PortDiscard), o.Write, o.InFlight
			return load.NewBulk(st, c)
		case work.CPS:
			return load.NewCPS(st, c)
		case work.UDP:
			c.To = server(load.PortDiscard)
			return load.NewUDP(st, c)
		case work.Idle:
			c.Count = 1
		}
		c.InFlight = work.InFlight
		return load.NewRR(st, c)
	}
}

// onTestbed runs a load between groups of shards.
func onTestbed(s *work.Spec, layout bench.Layout) (rate float64, err error) {
	o, err := options(s, layout)
	if err != nil {
		return 0, err
	}
	o.Client = client(s, &o)
	tb, err := bench.New(o)
	if err != nil {
		return 0, err
	}
	defer func() {
		if e := tb.Close(); err == nil {
			err = e
		}
	}()
	flows := uint64(s.Conns)
	if s.Work == work.UDP || s.Work == work.CPS {
		flows = 1
	}
	err = tb.Until(work.Timeout, func(t *bench.Totals) bool { return t.Client.Opened >= flows })
	if err != nil {
		return 0, err
	}
	begun := tb.Totals()
	rate, err = s.Rate(func() uint64 { return done(s, tb.Totals()) - done(s, begun) })
	if s.Bulk() {
		rate *= 8 / 1e9
	}
	end := tb.Totals()
	if n := end.Client.Failed + end.Client.Errors; err == nil && n*100 > end.Client.Ops {
		err = fmt.Errorf("self: %d connections failed or got wrong answers", n)
	}
	return rate, err
}

// done is what a work counts.
func done(s *work.Spec, t bench.Totals) uint64 {
	switch s.Work {
	case work.Bulk, work.BulkGSO:
		return t.Server.BytesIn
	case work.UDP:
		return t.Server.PacketsIn
	}
	return t.Client.Ops
}

// idle gives the heap that one end of a connection takes: what a testbed with
// s.Conns takes more than one with a single connection. Buffers are not of the
// heap, and an idle connection holds none.
func idle(s *work.Spec) (float64, error) {
	few := *s
	few.Conns = 1
	base, err := heapOf(&few)
	if err != nil {
		return 0, err
	}
	all, err := heapOf(s)
	return (all - base) / float64(2*(s.Conns-1)), err
}

// heapOf gives the heap of a testbed with s.Conns idle connections.
func heapOf(s *work.Spec) (bytes float64, err error) {
	o, err := options(s, bench.Pairs)
	if err != nil {
		return 0, err
	}
	o.Cores = o.Cores.First(1)
	o.Client = client(s, &o)
	var tb *bench.Testbed
	bytes, err = work.Grown(1, func() (err error) {
		if tb, err = bench.New(o); err != nil {
			return err
		}
		return tb.Until(work.Timeout, func(t *bench.Totals) bool { return t.Client.Opened >= uint64(s.Conns) })
	})
	if tb != nil {
		if e := tb.Close(); err == nil {
			err = e
		}
	}
	runtime.KeepAlive(tb)
	return bytes, err
}
