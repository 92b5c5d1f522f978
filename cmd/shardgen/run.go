package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/shard"
)

// How a run ends: datagrams get tailTime to arrive, connections drainTime to
// close in order.
const (
	tailTime  = 100 * time.Millisecond
	drainTime = 2 * time.Second
)

// errNothing: not one operation succeeded.
var errNothing = errors.New("nothing succeeded")

// driver is a client as its shard polls it; it tells when the client is done.
type driver struct {
	load.Client
	ended bool
	done  chan<- struct{} // room for each client once
}

func (d *driver) Poll(now int64) int {
	n := d.Client.Poll(now)
	if !d.ended && d.Done() {
		d.ended = true
		d.done <- struct{}{}
	}
	return n
}

// generator runs a client on each shard of a bed.
type generator struct {
	c       *command
	o       *options
	bed     *bed
	clients []load.Client   // by shard; nil where there are more shards than connections
	past    [][]load.Client // by shard: those that ended when its core was drained
	running int
	done    chan struct{}

	first, last *sample // when the clients were started and stopped
}

// runClients is the command of all generators.
func runClients(ctx context.Context, c *command, o *options, out *output) error {
	r, err := measure(ctx, c, o, out)
	if r != nil {
		if perr := r.print(o, out); err == nil {
			err = perr
		}
	}
	return err
}

// print writes the report in the form that is asked for.
func (r *report) print(o *options, out *output) error {
	if o.json {
		return writeJSON(out.report, r)
	}
	return r.text(out.report)
}

// measure runs c until it is done and reports. With an error there may be a
// report too.
func measure(ctx context.Context, c *command, o *options, out *output) (*report, error) {
	b, err := newBed(c, o)
	if err != nil {
		return nil, err
	}
	g := &generator{c: c, o: o, bed: b}
	if err = g.start(); err == nil {
		b.warnings(o, out.log)
		err = g.watch(ctx, out)
	}
	if g.last == nil { // it never ran
		return nil, errors.Join(err, b.close())
	}
	if c.has(flagEcho) {
		time.Sleep(tailTime)
	}
	err = errors.Join(err, b.close())
	r := g.report()
	if err == nil {
		err = g.verdict(r)
	}
	return r, err
}

// start opens the groups and begins a client on each shard.
func (g *generator) start() error {
	if err := g.bed.start(); err != nil {
		return err
	}
	shards := g.bed.group.Shards()
	g.clients = make([]load.Client, len(shards))
	g.past = make([][]load.Client, len(shards))
	g.done = make(chan struct{}, len(shards)+len(g.o.events))
	g.running = min(len(shards), g.o.conns)
	var err error
	if g.first, err = g.sample(); err != nil {
		return err
	}
	return g.bed.group.Do(func(s *shard.Shard) error {
		if s.ID() >= g.running {
			return nil
		}
		return g.begin(s)
	})
}

// begin begins a client on a shard.
func (g *generator) begin(s *shard.Shard) error {
	cl := g.c.client(s.Stack(), g.config(s.ID()))
	g.clients[s.ID()] = cl
	s.AddPoller(&driver{Client: cl, done: g.done})
	return cl.Start()
}

// counters is what the clients of a shard have done.
func (g *generator) counters(id int) (n load.Counters) {
	for _, cl := range g.past[id] {
		n.Add(cl.Counters())
	}
	if cl := g.clients[id]; cl != nil {
		n.Add(cl.Counters())
	}
	return n
}

// config is the part of the load that shard id has.
func (g *generator) config(id int) load.Config {
	part := func(n uint64) uint64 {
		k := n / uint64(g.running)
		if uint64(id) < n%uint64(g.running) {
			k++
		}
		return k
	}
	cfg := load.Config{
		To: g.o.target, Conns: int(part(uint64(g.o.conns))), Size: int(g.o.size), Path: g.o.path,
		Rate: float64(g.o.rate) / float64(g.running), Count: part(uint64(g.o.count)), FastOpen: g.o.fastOpen,
	}
	if len(g.o.addrs) > 1 {
		for _, p := range g.o.addrs {
			cfg.From = append(cfg.From, p.Addr())
		}
	}
	return cfg
}

// watch prints the live line until the time is up, all clients are done, ctx
// is, or a shard fails; then it stops the clients.
func (g *generator) watch(ctx context.Context, out *output) error {
	var timeout, tick <-chan time.Time
	if g.o.duration > 0 {
		timeout = time.After(g.o.duration - time.Since(g.first.at))
	}
	live := &liveLine{w: out.log, units: g.c.units, start: g.first, last: g.first}
	if g.o.interval > 0 {
		t := time.NewTicker(g.o.interval)
		defer t.Stop()
		tick = t.C
	}
	events := g.o.events
	event := events.after(g.first.at)
	for left := g.running; left > 0; {
		select {
		case <-event:
			if err := g.happen(events[0], out.log, &left); err != nil {
				return errors.Join(err, g.stop())
			}
			events = events[1:]
			event = events.after(g.first.at)
			continue
		case <-g.done:
			left--
			continue
		case err := <-g.bed.failed:
			g.last, _ = g.sample() // of the shards that still run
			return err
		case <-tick:
			s, err := g.sample()
			if err != nil {
				return err
			}
			live.print(s)
			continue
		case <-timeout:
		case <-ctx.Done():
		}
		break
	}
	return g.stop()
}

// stop ends the clients, closes their connections and takes the last sample.
func (g *generator) stop() error {
	last, err := g.sample()
	if err != nil {
		return err
	}
	g.last = last
	err = g.bed.group.Do(func(s *shard.Shard) error {
		if cl := g.clients[s.ID()]; cl != nil {
			cl.Stop()
		}
		return nil
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err = g.bed.group.Drain(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // peers that do not close are aborted
	}
	return err
}

// sample is what had been done at a moment.
type sample struct {
	at     time.Time
	shards []shardSample
	server []shardSample // the far end's, if it is ours
}

// sample asks all shards.
func (g *generator) sample() (*sample, error) {
	s := &sample{shards: make([]shardSample, len(g.clients))}
	err := g.bed.group.Do(func(sh *shard.Shard) error {
		v := &s.shards[sh.ID()]
		v.take(sh)
		v.load = g.counters(sh.ID())
		return nil
	})
	s.at = time.Now()
	s.server = g.bed.sampleServers()
	return s, err
}

// report makes the report of a run that has ended; the groups are closed.
func (g *generator) report() *report {
	r := &report{
		Command: g.c.name, Port: g.o.port, To: g.o.target.String(), Conns: g.o.conns, Size: int64(g.o.size),
		Seed: g.o.seed.n, Units: g.c.units, Seconds: g.last.at.Sub(g.first.at).Seconds(),
	}
	if !g.c.has(flagSize) {
		r.Size = 0
	}
	r.rate(r.addShards(g.first.shards, g.last.shards, coresOf(g.bed.group)))
	end := g.bed.group.Stats()
	r.TCP, r.Drops, r.Device = tcpOf(&end.Total.Stack), dropsOf(&end.Total), deviceOf(end.Ports).since(g.bed.device[0])
	all := load.NewHistogram()
	for id, cl := range g.clients {
		for _, cl := range append(g.past[id], cl) {
			if cl == nil {
				continue
			}
			all.Merge(cl.Latency())
			if err := cl.Err(); err != nil && len(r.Problems) < 8 {
				r.Problems = append(r.Problems, err.Error())
			}
		}
	}
	r.Latency = latencyOf(all)
	r.Server = g.bed.serverReport(g.first, g.last, r.Seconds)
	g.addLoss(r)
	return r
}

// addLoss tells what became of datagrams, where that is known.
func (g *generator) addLoss(r *report) {
	if !g.c.has(flagEcho) {
		return
	}
	var sent, back, arrived uint64
	for id := range g.clients {
		n := g.counters(id)
		sent += n.PacketsOut
		back += n.PacketsIn
	}
	for _, sv := range g.bed.servers {
		arrived += sv.Counters().PacketsIn
	}
	switch {
	case g.o.echo:
		r.Loss = lossOf(sent, back, "client")
	case r.Server != nil:
		r.Loss = lossOf(sent, arrived, "server")
	}
}

// verdict is the error of a run that went to its end.
func (g *generator) verdict(r *report) error {
	t := &r.Totals
	why := ""
	if len(r.Problems) > 0 {
		why = ": " + r.Problems[0]
	}
	switch {
	case g.c.name == "exchange" && (t.Operations != uint64(g.o.conns) || t.Errors != 0):
		return fmt.Errorf("%d of %d exchanges succeeded%s", t.Operations, g.o.conns, why)
	case t.Operations == 0:
		return fmt.Errorf("%w%s", errNothing, why)
	}
	return nil
}

// shardSample is what a shard had done at a moment.
type shardSample struct {
	load load.Counters
	snap shard.Snapshot
}

// take copies the shard's counters; on its thread.
func (v *shardSample) take(s *shard.Shard) {
	v.snap.Stack = *s.Stack().Stats()
	v.snap.Loop = s.Snapshot().Loop
}
