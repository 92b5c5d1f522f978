package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// bed is what a command runs on: a group of shards on a port, and with
// --port mem a second group with servers at the other end of the wire.
type bed struct {
	group   *shard.Group
	far     *shard.Group   // nil but with --port mem
	servers []*load.Server // by shard, of far or, for serve, of group
	failed  chan error     // a group has stopped by itself
	capture *capture       // of --pcap, or nil
	closed  bool
	first   []shardSample   // of the servers' shards, after the start
	device  [2]deviceReport // of group's and far's ports, after the start
}

// coresOf are the cores that the shards of a group run on.
func coresOf(g *shard.Group) []int {
	cores := make([]int, len(g.Shards()))
	for i, s := range g.Shards() {
		cores[i] = s.Core()
	}
	return cores
}

// halves are the cores of the client's shards and of the server's: with one
// core both have it.
func halves(cores affinity.Set) (client, server affinity.Set) {
	if cores.Len() == 1 {
		return cores, cores
	}
	client = cores.First(cores.Len() / 2)
	return client, cores.Minus(client)
}

// newBed makes ports and groups as o says, and starts nothing.
func newBed(c *command, o *options) (*bed, error) {
	if !o.seed.set {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, err
		}
		o.seed.n, o.seed.set = binary.LittleEndian.Uint64(b[:])>>12, true // fits a JSON number
	}
	b := &bed{failed: make(chan error, 2)}
	cores, farCores := o.cores, affinity.Set{}
	if o.device.InMemory() {
		cores, farCores = halves(o.cores)
	}
	if c.oneShard {
		cores = cores.First(1)
	}
	near, far, err := openPorts(c, o, cores.Len(), farCores.Len())
	if err != nil {
		return nil, err
	}
	dev := near
	if o.pcap != "" {
		b.capture, dev, err = newCapture(o.pcap, near)
	}
	if err == nil {
		cfg := groupConfig(c, o, cores, false)
		cfg.Ports = []shard.PortConfig{portConfig(dev, o.addrs, netip.Addr(o.gateway))}
		cfg.Ports[0].Autoconf = o.autoconf
		if c.client == nil {
			cfg.Init = b.serve(cores.Len(), o)
		}
		b.group, err = shard.NewGroup(cfg)
	}
	if err == nil && far != nil {
		cfg := groupConfig(c, o, farCores, true)
		serverAddr, _ := o.ends()
		cfg.Ports = []shard.PortConfig{portConfig(far, prefixes{serverAddr}, netip.Addr{})}
		cfg.Init = b.serve(farCores.Len(), o)
		b.far, err = shard.NewGroup(cfg)
	}
	if err != nil {
		return nil, errors.Join(err, b.close(), closePort(near), closePort(far))
	}
	return b, nil
}

// closePort closes a port that no group has taken, or has closed already.
func closePort(p port.Port) error {
	if p == nil {
		return nil
	}
	if err := p.Close(); !errors.Is(err, port.ErrClosed) {
		return err
	}
	return nil
}

// portConfig describes the interface that shards have on p.
func portConfig(p port.Port, addrs prefixes, gateway netip.Addr) shard.PortConfig {
	cfg := shard.PortConfig{Port: p, Addrs: addrs}
	if gateway.IsValid() {
		all := netip.IPv4Unspecified()
		if gateway.Is6() {
			all = netip.IPv6Unspecified()
		}
		cfg.Routes = []shard.RouteConfig{{Prefix: netip.PrefixFrom(all, 0), Gateway: gateway}}
	}
	return cfg
}

// groupConfig is what the two groups have in common.
func groupConfig(c *command, o *options, cores affinity.Set, far bool) shard.Config {
	cfg := shard.Config{Cores: cores, Idle: o.idle.policy}
	if o.device.InMemory() && o.cores.Len() == 1 && !o.idle.set {
		cfg.Idle = shard.Park // both ends share the core: who polls keeps the other waiting
	}
	size := sizing(c, o, cores.Len())
	cfg.Pool, cfg.Stack.TCP = size.pool, size.tcp
	cfg.GRO, cfg.Stack.TCP.GSO = shard.GROPolicy(o.gro), stack.GSOMode(o.gso)
	cfg.GROMax, cfg.Stack.TCP.GSOMax = int(o.groMax), int(o.gsoMax)
	cfg.Stack.IPv6.DADTransmits = -1 // a generator begins at once
	if o.fastOpen {
		cfg.Stack.TCP.FastOpen.Connect, cfg.Stack.TCP.FastOpen.Pending = true, -1
	}
	cfg.Stack.TCP.TimeWait = o.timeWait
	if o.timeWait == 0 {
		cfg.Stack.TCP.TimeWait = -1 // none; a zero there is the stack's default
	}
	var b [9]byte
	binary.LittleEndian.PutUint64(b[:], o.seed.n)
	if far {
		b[8] = 1 // the ends choose independently
	}
	cfg.Stack.Seed = sha256.Sum256(b[:])
	return cfg
}

// serve makes the Init function that starts a server on each of n shards.
func (b *bed) serve(n int, o *options) func(*shard.Shard) error {
	b.servers = make([]*load.Server, n)
	return func(s *shard.Shard) (err error) {
		b.servers[s.ID()], err = load.NewServer(s.Stack(), load.ServerConfig{Body: int(o.body)})
		return err
	}
}

// start runs the groups, the servers' first.
func (b *bed) start() error {
	if b.far != nil {
		if err := b.far.Start(); err != nil {
			return fmt.Errorf("server: %w", err)
		}
	}
	if err := b.group.Start(); err != nil {
		return err
	}
	for _, g := range []*shard.Group{b.group, b.far} {
		if g != nil {
			go func() {
				if err := g.Wait(); err != nil {
					b.failed <- err
				}
			}()
		}
	}
	b.first = b.sampleServers()
	// What the groups sent before both were there is lost, and nobody's fault.
	b.device[0] = deviceOf(b.group.Stats().Ports)
	if b.far != nil {
		b.device[1] = deviceOf(b.far.Stats().Ports)
	}
	return nil
}

// warnings prints what the groups warn of, with the live line.
func (b *bed) warnings(o *options, log io.Writer) {
	for _, g := range []*shard.Group{b.group, b.far} {
		if g == nil || o.interval == 0 {
			continue
		}
		for _, w := range g.Warnings() {
			say(log, "warning: %v\n", w)
		}
	}
}

// hangUp aborts the connections that are still open, so that peers hear of it.
func (b *bed) hangUp() {
	if b.group == nil {
		return
	}
	_ = b.group.Do(func(s *shard.Shard) error { // of no use if the group has stopped
		s.Stack().EachTCP(func(t *stack.TCP) {
			if t.State() != stack.StateListen {
				t.Abort()
			}
		})
		return nil
	})
}

// close stops what runs and gives everything back. Later calls do nothing.
func (b *bed) close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.hangUp()
	var errs []error
	for _, g := range []*shard.Group{b.group, b.far} {
		if g != nil {
			errs = append(errs, g.Stop())
		}
	}
	for _, sv := range b.servers {
		if sv != nil {
			errs = append(errs, sv.Release())
		}
	}
	if b.capture != nil {
		errs = append(errs, b.capture.close())
	}
	return errors.Join(errs...)
}

// serverGroup is the group that the servers are on, nil if there are none.
func (b *bed) serverGroup() *shard.Group {
	if b.far == nil && b.servers != nil {
		return b.group
	}
	return b.far
}

// sampleServers asks the shards that have servers; nil if there are none.
func (b *bed) sampleServers() []shardSample {
	g := b.serverGroup()
	if g == nil {
		return nil
	}
	list := make([]shardSample, len(b.servers))
	err := g.Do(func(s *shard.Shard) error {
		v := &list[s.ID()]
		v.take(s)
		v.load = *b.servers[s.ID()].Counters()
		return nil
	})
	if err != nil {
		return nil // the group has failed; its error comes by failed
	}
	return list
}

// serverReport is the far end's part of a report of so many seconds, between
// first and last, nil if it is not ours. The groups are closed.
func (b *bed) serverReport(first, last *sample, seconds float64) *serverReport {
	if b.far == nil {
		return nil
	}
	end := b.far.Stats()
	from, to := make([]shardSample, len(b.servers)), make([]shardSample, len(b.servers))
	for i, sv := range b.servers {
		// Totals are all that it ever did, so that nothing is missing that was
		// under way at last; how busy it was is that of the measurement.
		to[i] = shardSample{*sv.Counters(), end.Shards[i]}
		if i < len(first.server) && i < len(last.server) {
			from[i].snap.Loop, to[i].snap.Loop = first.server[i].snap.Loop, last.server[i].snap.Loop
		}
	}
	r := &report{Seconds: seconds}
	r.addShards(from, to, coresOf(b.far))
	return &serverReport{
		Shards: r.Shards, Totals: r.Totals, Drops: dropsOf(&end.Total),
		TCP: tcpOf(&end.Total.Stack), Device: deviceOf(end.Ports).since(b.device[1]),
	}
}
