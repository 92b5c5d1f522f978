package shard

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/stack"
)

// bed is two groups at the ends of a wire in memory: clients on a, servers on b.
type bed struct {
	a, b *Group
	now  int64
}

// bedConfig says how a bed is made. The zero value: one shard and one queue on
// either side, without threads.
type bedConfig struct {
	wire             mem.Config
	shardsA, shardsB int
	threads          bool
	edit             func(c *Config, side byte)
}

const (
	addrA = "10.0.0.1"
	addrB = "10.0.0.2"
)

var echoAddr = netip.MustParseAddrPort(addrB + ":7")

func newBed(t testing.TB, c bedConfig) *bed {
	t.Helper()
	return newBedOf(t, c, false)
}

// newBedOf is newBed; with failing, group a is expected to stop with an error.
func newBedOf(t testing.TB, c bedConfig, failing bool) *bed {
	t.Helper()
	endA, endB, err := mem.New(c.wire)
	require.NoError(t, err)
	make1 := func(end *mem.End, side byte, shards int, addr string) *Group {
		cfg := config(max(shards, 1), PortConfig{Port: end, Addrs: prefixes(addr + "/24")})
		cfg.Manual = !c.threads
		cfg.Stack.Seed[0] = side
		if c.edit != nil {
			c.edit(&cfg, side)
		}
		if failing && side == 'a' {
			g, err := NewGroup(cfg)
			require.NoError(t, err)
			t.Cleanup(func() { require.Error(t, g.Stop()) })
			return g
		}
		return newGroup(t, cfg)
	}
	bd := &bed{now: 1e9}
	bd.a = make1(endA, 'a', c.shardsA, addrA)
	bd.b = make1(endB, 'b', c.shardsB, addrB)
	return bd
}

// start starts the shards of both.
func (bd *bed) start(t testing.TB) {
	t.Helper()
	require.NoError(t, bd.a.Start())
	require.NoError(t, bd.b.Start())
}

// step runs a round of both groups and returns how much they did.
func (bd *bed) step(t testing.TB) (work int) {
	for _, g := range []*Group{bd.a, bd.b} {
		n, err := g.Step(bd.now)
		if err != nil {
			require.NoError(t, err)
		}
		work += n
	}
	return work
}

// run steps until cond holds: 10 µs at a time while there is work, else to the
// next event.
func (bd *bed) run(t testing.TB, cond func() bool, what string) {
	t.Helper()
	end := bd.now + 600e9
	for !cond() {
		if bd.step(t) == 0 {
			if cond() { // a timer has seen to it
				return
			}
			next := min(bd.a.Next(), bd.b.Next())
			require.NotEqual(t, int64(stack.Forever), next, what)
			bd.now = max(bd.now, next)
		}
		bd.now += 10e3
		require.Less(t, bd.now, end, what)
	}
}

// echoServer listens on a shard and sends back what it gets.
func echoServer(s *Shard) error {
	l := s.Stack().NewTCP()
	l.SetAccept(func(_ any, pcb *stack.TCP, _ error) error {
		pcb.SetNoDelay(true)
		pcb.SetRecv(echoRecv)
		return nil
	})
	if err := l.Bind(echoAddr); err != nil {
		return err
	}
	return l.Listen(1 << 16)
}

func echoRecv(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil {
		return pcb.Close()
	}
	n := p.TotLen()
	for q := p; q != nil; q = q.Next() {
		if err := pcb.Write(q.Payload(), 0); err != nil {
			return err // refused: offered again
		}
	}
	p.Free()
	pcb.Recved(n)
	return pcb.Output()
}

// echoClient opens connections one after the other on a shard. On each it sends
// messages of size bytes and waits for the echo.
type echoClient struct {
	s        *Shard
	conns    int // to open
	messages int // on each connection; negative: without end
	size     int
	to       netip.AddrPort // default echoAddr

	pcb      *stack.TCP
	left     int // messages of this connection
	got      int
	seq      uint32
	out, in  []byte
	finished atomic.Int32 // connections that ended well
	echoed   atomic.Int64 // messages
	err      atomic.Pointer[error]
}

func newEchoClient(s *Shard, conns, messages, size int) *echoClient {
	return &echoClient{s: s, conns: conns, messages: messages, size: size,
		out: make([]byte, size), in: make([]byte, size)}
}

func (c *echoClient) fail(err error) { c.err.CompareAndSwap(nil, &err) }

// open begins the next connection.
func (c *echoClient) open() error {
	c.pcb = c.s.Stack().NewTCP()
	c.pcb.SetArg(c)
	c.pcb.SetNoDelay(true)
	c.pcb.SetRecv(clientRecv)
	c.left, c.got = c.messages, 0
	to := echoAddr
	if c.to.IsValid() {
		to = c.to
	}
	if err := c.pcb.Connect(to, clientConnected); err != nil {
		return err
	}
	c.pcb.SetErr(clientErr)
	return nil
}

func clientErr(arg any, err error) { arg.(*echoClient).fail(err) }

func clientConnected(arg any, _ *stack.TCP, _ error) error { return arg.(*echoClient).send() }

func (c *echoClient) send() error {
	c.seq++
	for i := 0; i+4 <= len(c.out); i += 4 {
		binary.BigEndian.PutUint32(c.out[i:], c.seq*7919+uint32(i)+uint32(c.s.ID())<<24)
	}
	if err := c.pcb.Write(c.out, 0); err != nil {
		return err
	}
	return c.pcb.Output()
}

func clientRecv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	c := arg.(*echoClient)
	if p == nil {
		c.fail(errTest)
		return nil
	}
	n := p.TotLen()
	p.CopyPartial(c.in[c.got:], 0)
	p.Free()
	pcb.Recved(n)
	if c.got += n; c.got < c.size {
		return nil
	}
	if c.got > c.size || !bytes.Equal(c.in, c.out) {
		c.fail(errTest)
	}
	c.got = 0
	c.echoed.Add(1)
	if c.left--; c.left != 0 {
		return c.send()
	}
	c.finished.Add(1)
	if err := pcb.Close(); err != nil {
		c.fail(err)
	}
	if c.conns--; c.conns > 0 {
		if err := c.open(); err != nil {
			c.fail(err)
		}
	}
	return nil
}

// serve starts servers and clients and returns the clients.
func (bd *bed) serve(t testing.TB, conns, messages, size int) []*echoClient {
	t.Helper()
	require.NoError(t, bd.b.Do(echoServer))
	cs := make([]*echoClient, len(bd.a.shards))
	require.NoError(t, bd.a.Do(func(s *Shard) error {
		cs[s.ID()] = newEchoClient(s, conns, messages, size)
		return cs[s.ID()].open()
	}))
	return cs
}

// done reports whether every client has ended its connections.
func done(t testing.TB, cs []*echoClient, conns int) bool {
	t.Helper()
	for _, c := range cs {
		if err := c.err.Load(); err != nil {
			require.NoError(t, *err, "shard %d", c.s.ID())
		}
		if int(c.finished.Load()) < conns {
			return false
		}
	}
	return true
}

// wires are the ways in which shards and queues can stand to each other.
var wires = []struct {
	name                               string
	queuesA, shardsA, queuesB, shardsB int
	local                              bool // RSS brings everything to its shard
}{
	{"one", 1, 1, 1, 1, true},
	{"RSS", 2, 2, 4, 4, true},
	{"RSS and more queues than shards", 4, 2, 3, 2, true},
	{"one queue for all", 1, 3, 1, 2, false},
	{"fewer queues than shards", 2, 4, 2, 3, false},
}

func wireConfig(queuesA, queuesB int) (c mem.Config) {
	c.A.Queues, c.B.Queues = queuesA, queuesB
	return c
}

// TestTCPInSimulatedTime: connections from every shard to whichever shard, over
// every kind of port.
func TestTCPInSimulatedTime(t *testing.T) {
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			bd := newBed(t, bedConfig{wire: wireConfig(w.queuesA, w.queuesB), shardsA: w.shardsA, shardsB: w.shardsB})
			const conns, messages = 20, 5
			cs := bd.serve(t, conns, messages, 4000)
			bd.run(t, func() bool { return done(t, cs, conns) }, "all is echoed")
			a, b := bd.a.Stats(), bd.b.Stats()
			want := uint64(conns * w.shardsA)
			require.Equal(t, want, a.Total.Stack.TCP.ActiveOpens)
			require.Equal(t, want, b.Total.Stack.TCP.PassiveOpens)
			require.Zero(t, a.Total.Stack.TCP.RetransSegs+b.Total.Stack.TCP.RetransSegs)
			require.Zero(t, a.Total.Stack.TCP.OutRsts+b.Total.Stack.TCP.OutRsts)
			for _, s := range b.Shards {
				require.Positive(t, s.Stack.TCP.PassiveOpens, "shard %d accepts nothing", s.Shard)
			}
			handed := a.Total.Loop.HandedOut + b.Total.Loop.HandedOut
			if w.local {
				require.Zero(t, handed, "outgoing connections land at home")
			} else {
				require.Positive(t, handed)
			}
			require.Zero(t, a.Total.Loop.MeshFull+b.Total.Loop.MeshFull)
		})
	}
}

// TestTCPOverThreads is the same with a thread or a goroutine a shard; the race detector looks
// on. Stop then finds every buffer at home.
func TestTCPOverThreads(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*Config)) {
		for _, w := range wires {
			t.Run(w.name, func(t *testing.T) {
				bd := newBed(t, bedConfig{threads: true, wire: wireConfig(w.queuesA, w.queuesB),
					shardsA: w.shardsA, shardsB: w.shardsB, edit: func(c *Config, _ byte) { mode(c) }})
				bd.start(t)
				const conns, messages = 20, 10
				cs := bd.serve(t, conns, messages, 4000)
				eventually(t, func() bool { return done(t, cs, conns) }, "all is echoed")
				require.NoError(t, bd.a.Drain(t.Context()))
				require.NoError(t, bd.b.Drain(t.Context()))
				require.NoError(t, bd.a.Stop())
				require.NoError(t, bd.b.Stop())
				a, b := bd.a.Stats(), bd.b.Stats()
				require.EqualValues(t, conns*w.shardsA, a.Total.Stack.TCP.ActiveOpens)
				require.EqualValues(t, conns*w.shardsA, b.Total.Stack.TCP.PassiveOpens)
				if w.local {
					require.Zero(t, a.Total.Loop.HandedOut+b.Total.Loop.HandedOut)
				}
			})
		}
	})
}

// TestStopInFullFlight stops both ends while data is under way everywhere.
func TestStopInFullFlight(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*Config)) {
		for _, w := range wires {
			t.Run(w.name, func(t *testing.T) {
				bd := newBed(t, bedConfig{threads: true, wire: wireConfig(w.queuesA, w.queuesB),
					shardsA: w.shardsA, shardsB: w.shardsB, edit: func(c *Config, _ byte) { mode(c) }})
				bd.start(t)
				cs := bd.serve(t, 1, -1, 8000)
				eventually(t, func() bool {
					for _, c := range cs {
						if c.echoed.Load() < 20 {
							return false
						}
					}
					return true
				}, "data flows")
				require.NoError(t, bd.b.Stop())
				require.NoError(t, bd.a.Stop())
			})
		}
	})
}

// TestSimulationRepeatsItself: with the same seed, a lossy wire gives the same
// packets, whatever the threads of the test's machine do.
func TestSimulationRepeatsItself(t *testing.T) {
	run := func(seed byte) (Stats, Stats, int64) {
		wire := wireConfig(1, 2)
		for i, im := range []*mem.Impairment{&wire.AtoB, &wire.BtoA} {
			im.Seed, im.Loss, im.Delay, im.Jitter = uint64(seed)*2+uint64(i), 0.02, 5e6, 1e6
		}
		bd := newBed(t, bedConfig{wire: wire, shardsA: 3, shardsB: 2, edit: func(c *Config, _ byte) {
			c.Stack.Seed[1] = seed
		}})
		cs := bd.serve(t, 3, 20, 3000)
		bd.run(t, func() bool { return done(t, cs, 3) }, "all is echoed")
		return bd.a.Stats(), bd.b.Stats(), bd.now
	}
	a1, b1, now1 := run(1)
	a2, b2, now2 := run(1)
	require.Equal(t, a1, a2)
	require.Equal(t, b1, b2)
	require.Equal(t, now1, now2)
	require.Positive(t, a1.Total.Stack.TCP.RetransSegs+b1.Total.Stack.TCP.RetransSegs)
	a3, _, _ := run(2)
	require.NotEqual(t, a1, a3)
}

// Connected UDP PCBs land at home, too.
func TestUDPLandsAtHome(t *testing.T) {
	bd := newBed(t, bedConfig{wire: wireConfig(4, 1), shardsA: 4})
	var got [4]int
	require.NoError(t, bd.b.Do(func(s *Shard) error {
		u := s.Stack().NewUDP()
		u.SetRecv(func(_ any, u *stack.UDP, p *pbuf.Pbuf, from addrPort) {
			q := p.Clone(pbuf.LayerTransport, pbuf.KindRAM)
			p.Free()
			_ = u.SendTo(q, from)
		})
		return u.Bind(echoAddr)
	}))
	require.NoError(t, bd.a.Do(func(s *Shard) error {
		for range 50 {
			u := s.Stack().NewUDP()
			u.SetRecv(func(_ any, _ *stack.UDP, p *pbuf.Pbuf, _ addrPort) {
				got[s.ID()]++
				p.Free()
			})
			if err := u.Connect(echoAddr); err != nil {
				return err
			}
			if err := u.Send(s.Pool().Alloc(pbuf.LayerTransport, 10, pbuf.KindRAM)); err != nil {
				return err
			}
			bd.step(t)
			bd.step(t)
		}
		return nil
	}))
	bd.run(t, func() bool { return got == [4]int{50, 50, 50, 50} }, "all is echoed")
	require.Zero(t, bd.a.Stats().Total.Loop.HandedOut)
}

// TestPingsComeBack: each shard can ping, whoever receives the answer.
func TestPingsComeBack(t *testing.T) {
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			bd := newBed(t, bedConfig{wire: wireConfig(w.queuesA, w.queuesB), shardsA: w.shardsA, shardsB: w.shardsB,
				edit: func(c *Config, _ byte) { c.Stack.ARP.QueueLen = 64 }})
			got := make([]int, w.shardsA)
			require.NoError(t, bd.a.Do(func(s *Shard) error {
				for range 5 {
					g, err := s.Stack().NewPing(echoAddr.Addr(), nil, func(any, *stack.Ping, stack.PingReply) { got[s.ID()]++ })
					if err != nil {
						return err
					}
					if _, err := g.Send(100); err != nil {
						return err
					}
				}
				return nil
			}))
			bd.run(t, func() bool {
				for _, n := range got {
					if n < 5 {
						return false
					}
				}
				return true
			}, "all answers come")
		})
	}
}

func TestOwnPingID(t *testing.T) {
	for _, n := range []int{2, 3, 7, 250} {
		g := newGroup(t, Config{Manual: true, Shards: n, Pool: pbuf.Config{Small: 8, Buffers: 8, Jumbo: -1, HugePages: pbuf.HugeNever}, MeshDepth: 2})
		for _, s := range g.shards {
			for _, id := range []uint16{0, 1, 100, 32768, 65534, 65535} {
				require.EqualValues(t, s.id, s.ownPingID(id)%uint16(n))
			}
		}
		require.NoError(t, g.Stop())
	}
}

// TestSecondPortWithAnotherKey: the ports of one group have different keys; the stack
// then hashes what comes from the second itself, and connections of both work
// and land at home.
func TestSecondPortWithAnotherKey(t *testing.T) {
	wire2 := wireConfig(2, 1)
	wire2.A.RSSKey = keyOf(t, 3)
	endA, endB, err := mem.New(wire2)
	require.NoError(t, err)
	bd := newBed(t, bedConfig{wire: wireConfig(2, 1), shardsA: 2, edit: func(c *Config, side byte) {
		end, addr := endA, "10.1.0.1/24"
		if side == 'b' {
			end, addr = endB, "10.1.0.2/24"
		}
		c.Ports = append(c.Ports, PortConfig{Port: end, Addrs: prefixes(addr)})
	}})
	require.True(t, bd.a.port(0).steer.Load().same)
	require.False(t, bd.a.port(1).steer.Load().same)
	saved := echoAddr
	defer func() { echoAddr = saved }()
	for _, to := range []string{addrB + ":7", "10.1.0.2:7"} {
		echoAddr = netip.MustParseAddrPort(to)
		cs := bd.serve(t, 10, 3, 2000)
		bd.run(t, func() bool { return done(t, cs, 10) }, "all is echoed")
		require.Equal(t, bd.a.Home(addrPortFrom("10.1.0.1", 1), echoAddr)|1, 1)
	}
	require.Zero(t, bd.a.Stats().Total.Loop.HandedOut)
	require.Zero(t, bd.a.Stats().Total.Stack.TCP.RetransSegs)
}

// An address that is added while the group runs brings its port's solver.
func TestAddressAddedLaterLandsAtHome(t *testing.T) {
	wire2 := wireConfig(2, 1)
	wire2.A.RSSKey = keyOf(t, 5)
	endA, endB, err := mem.New(wire2)
	require.NoError(t, err)
	bd := newBed(t, bedConfig{wire: wireConfig(2, 1), shardsA: 2, edit: func(c *Config, side byte) {
		if side == 'a' {
			c.Ports = append(c.Ports, PortConfig{Port: endA})
		} else {
			c.Ports = append(c.Ports, PortConfig{Port: endB, Addrs: prefixes("10.1.0.2/24")})
		}
	}})
	require.NoError(t, bd.a.Do(func(s *Shard) error {
		return s.Netif(1).AddAddr(netip.MustParsePrefix("10.1.0.1/24"))
	}))
	saved := echoAddr
	defer func() { echoAddr = saved }()
	echoAddr = netip.MustParseAddrPort("10.1.0.2:7")
	cs := bd.serve(t, 10, 2, 2000)
	bd.run(t, func() bool { return done(t, cs, 10) }, "all is echoed")
	require.Zero(t, bd.a.Stats().Total.Loop.HandedOut)
}

// TestOffloadedWire: with checksums left out on either side all works the same.
func TestOffloadedWire(t *testing.T) {
	wire := wireConfig(2, 2)
	wire.A.Caps = offload.TxCsum | offload.RxCsum | offload.RSSHash
	wire.B.Caps = wire.A.Caps
	bd := newBed(t, bedConfig{wire: wire, shardsA: 2, shardsB: 2})
	cs := bd.serve(t, 5, 5, 3000)
	bd.run(t, func() bool { return done(t, cs, 5) }, "all is echoed")
	require.Zero(t, bd.a.Stats().Total.Loop.HandedOut)
}
