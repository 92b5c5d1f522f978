package shard

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/stack"
)

// plant is many virtual shards at either end of a wire with RSS: clients open
// connections, send 64 bytes, get 64 back and close.
type plant struct {
	*Simulation
	a, b    *Group
	clients []*plantClient
}

// plantPorts are the server's ports: enough that a million connections find
// ports on one pair of addresses.
var plantPorts = []uint16{7, 8, 9, 10}

const plantSize = 64

// newPlant makes n shards with a queue each at either end.
func newPlant(t testing.TB, n int, edit func(c *Config, side byte)) *plant {
	t.Helper()
	endA, endB, err := mem.New(mem.Config{Pause: true,
		A: mem.EndConfig{Queues: n, RETASize: 512}, B: mem.EndConfig{Queues: n, RETASize: 512}})
	require.NoError(t, err)
	p := &plant{}
	make1 := func(end, far *mem.End, side byte, addr, peer string) *Group {
		c := manual(n, PortConfig{Port: end, Addrs: prefixes(addr + "/24"), TxQueue: 8192, // a wire that pauses makes frames wait
			Neighbors: []NeighborConfig{{Addr: netip.MustParseAddr(peer), MAC: far.Info().MAC}}})
		c.Pool = pbuf.Config{Small: 1024, Buffers: 256 + 24*n, Jumbo: -1, HugePages: pbuf.HugeNever}
		c.Stack.Seed[0] = side
		c.Stack.TCP.RecvBuf, c.Stack.TCP.SendBuf = 2048, 2048
		c.Stack.TCP.PortMin = 1024
		c.MeshDepth = 64
		if edit != nil {
			edit(&c, side)
		}
		return newGroup(t, c)
	}
	p.a = make1(endA, endB, 'a', addrA, addrB)
	p.b = make1(endB, endA, 'b', addrB, addrA)
	p.Simulation, err = NewSimulation(p.a, p.b)
	require.NoError(t, err)
	_, err = p.Step() // both ends are there before anything is sent
	require.NoError(t, err)
	for _, port := range plantPorts {
		_, err := p.b.ListenTCP(netip.AddrPortFrom(echoAddr.Addr(), port), 1<<16, plantAccept)
		require.NoError(t, err)
	}
	require.NoError(t, p.a.Do(func(s *Shard) error {
		c := &plantClient{s: s}
		p.clients = append(p.clients, c)
		s.AddPoller(c)
		return nil
	}))
	return p
}

// plantAccept serves a connection: what comes goes back.
func plantAccept(_ *Shard, pcb *stack.TCP) error {
	pcb.SetNoDelay(true)
	pcb.SetRecv(echoRecv)
	return nil
}

// plantClient is the client of one shard: a Poller that opens connections. Those
// that stand wait until it is told to use them.
type plantClient struct {
	s        *Shard
	open     int // to be opened
	up, back int // connected; that got their answer
	bad      error
	pcbs     []*stack.TCP
	next     int
}

const plantBurst = 48 // connections that a client opens in a round

func (c *plantClient) Next() int64 {
	if c.open > 0 {
		return 0
	}
	return stack.Forever
}

func (c *plantClient) Poll(int64) int {
	n := min(c.open, plantBurst, c.room())
	for range n {
		pcb := c.s.stack.NewTCP()
		pcb.SetArg(c)
		pcb.SetNoDelay(true)
		pcb.SetRecv(plantRecv)
		pcb.SetErr(plantErr)
		c.next++
		to := netip.AddrPortFrom(echoAddr.Addr(), plantPorts[c.next%len(plantPorts)])
		if err := pcb.Connect(to, plantUp); err != nil {
			c.bad = err
			c.open = 0
			return 0
		}
		c.pcbs = append(c.pcbs, pcb)
	}
	c.open -= n
	return n
}

// room is how many segments there are buffers for, with as many left over.
func (c *plantClient) room() int { return c.s.pool.Avail(pbuf.ClassSmall) / 2 }

func plantErr(arg any, err error) { arg.(*plantClient).bad = err }

func plantUp(arg any, _ *stack.TCP, _ error) error { arg.(*plantClient).up++; return nil }

// plantBytes is what a connection sends: it names the connection.
func plantBytes(b *[plantSize]byte, pcb *stack.TCP) {
	l, r := pcb.LocalAddr().Port(), pcb.RemoteAddr().Port()
	for i := 0; i < plantSize; i += 4 {
		binary.BigEndian.PutUint32(b[i:], uint32(l)<<16|uint32(r)+uint32(i))
	}
}

// use has the connections send, up to n of them a call, and forgets them.
func (c *plantClient) use(n int) {
	var b [plantSize]byte
	n = min(n, c.room())
	for _, pcb := range c.pcbs[:min(n, len(c.pcbs))] {
		plantBytes(&b, pcb)
		err := pcb.Write(b[:], 0)
		if err == nil {
			err = pcb.Output()
		}
		if err != nil {
			c.bad = err
		}
	}
	c.pcbs = c.pcbs[min(n, len(c.pcbs)):]
}

// plantRecv takes the answer, which comes in one segment, and closes.
func plantRecv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	c := arg.(*plantClient)
	if p == nil {
		return nil // the server closes after us
	}
	var want, got [plantSize]byte
	plantBytes(&want, pcb)
	if n := p.TotLen(); n != plantSize || p.CopyPartial(got[:], 0) != n || got != want {
		c.bad = errTest
	}
	pcb.Recved(p.TotLen())
	p.Free()
	c.back++
	return pcb.Close()
}

// sum adds up what the clients have done.
func (p *plant) sum(t testing.TB) (up, back int) {
	for _, c := range p.clients {
		if c.bad != nil {
			require.NoError(t, c.bad, "shard %d", c.s.id)
		}
		up += c.up
		back += c.back
	}
	return up, back
}

// wave opens n connections, has all of them stand at once, uses and closes them,
// and waits until TIME-WAIT is over.
func (p *plant) wave(t testing.TB, n int) {
	up0, back0 := p.sum(t)
	for i, c := range p.clients {
		c.open = n / len(p.clients)
		if i < n%len(p.clients) {
			c.open++
		}
	}
	require.NoError(t, p.Run(func() bool { up, _ := p.sum(t); return up == up0+n }, time.Minute), "all connect")
	require.NoError(t, p.Run(func() bool {
		left := false
		for _, c := range p.clients {
			c.use(plantBurst)
			left = left || len(c.pcbs) != 0
		}
		return !left
	}, time.Minute))
	require.NoError(t, p.Run(func() bool { _, back := p.sum(t); return back == back0+n }, time.Minute), "all get their answer")
	require.NoError(t, p.Skip(61*time.Second))
}

// atRest asserts that every connection is gone, no packet has left its shard or
// was lost, and the pools are as they were.
func (p *plant) atRest(t testing.TB, n int) {
	for _, g := range []*Group{p.a, p.b} {
		st := g.Stats()
		tcp := &st.Total.Stack.TCP
		require.Zero(t, st.Total.Loop.HandedOut, "all at home")
		require.Empty(t, g.Handovers())
		require.EqualValues(t, n, tcp.ActiveOpens+tcp.PassiveOpens)
		require.Zero(t, tcp.CurrEstab)
		require.Zero(t, tcp.RetransSegs+tcp.OutRsts+tcp.AttemptFails+tcp.EstabResets)
		for r, n := range st.Total.Stack.Drops {
			require.Zero(t, n, "dropped as %v", stack.DropReason(r))
		}
		require.Zero(t, st.Total.Pool.ForeignHeld)
		for _, s := range st.Shards {
			require.Positive(t, s.Stack.TCP.ActiveOpens+s.Stack.TCP.PassiveOpens, "shard %d is idle", s.Shard)
		}
		// What is not free is posted to the wire, as much as at the start.
		for c := range st.Total.Pool.Class {
			k := &st.Total.Pool.Class[c]
			posted := 0
			if c == int(pbuf.ClassStandard) {
				posted = k.Cap / 2
			}
			require.LessOrEqual(t, k.Cap-k.Avail, posted, "class %d", c)
		}
	}
	require.NoError(t, p.a.Stop(), "all pools are full")
	require.NoError(t, p.b.Stop(), "all pools are full")
}

// TestVirtualShards: any number of shards, up to 128 at either end, behave alike.
func TestVirtualShards(t *testing.T) {
	for _, n := range []int{1, 2, 7, 16, 64} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := newPlant(t, n, nil)
			p.wave(t, 20*n)
			p.wave(t, 20*n)
			p.atRest(t, 40*n)
		})
	}
}

// A process has pools for 250 shards: 128 at one end, and 64 at the other.
func TestHundredTwentyEightVirtualShards(t *testing.T) {
	wire := mem.Config{Pause: true, A: mem.EndConfig{Queues: 128, RETASize: 512}, B: mem.EndConfig{Queues: 64}}
	bd := newBed(t, bedConfig{wire: wire, shardsA: 128, shardsB: 64, edit: func(c *Config, side byte) {
		c.Pool = pbuf.Config{Small: 512, Buffers: 2048, Jumbo: -1, HugePages: pbuf.HugeNever}
		c.MeshDepth = 16
		mac := header.MAC{2, 0, 0, 0, 0, 0xa + 'b' - side}
		c.Ports[0].Neighbors = []NeighborConfig{{Addr: addr4(map[byte]string{'a': addrB, 'b': addrA}[side]).Netip(), MAC: mac}}
	}})
	bd.step(t) // both ends are there before anything is sent
	cs := bd.serve(t, 3, 2, 100)
	bd.run(t, func() bool { return done(t, cs, 3) }, "all is echoed")
	a, b := bd.a.Stats(), bd.b.Stats()
	require.Zero(t, a.Total.Loop.HandedOut+b.Total.Loop.HandedOut)
	require.EqualValues(t, 3*128, b.Total.Stack.TCP.PassiveOpens)
	require.Zero(t, a.Total.Stack.TCP.RetransSegs)
}

// TestMillionConnectionsOver64Shards opens a million connections, 125,000 of
// which stand at once, uses and closes them.
func TestMillionConnectionsOver64Shards(t *testing.T) {
	waves, size := 8, 125_000
	if instrumented {
		waves, size = 2, 20_000
	}
	p := newPlant(t, 64, nil)
	for range waves {
		p.wave(t, size)
	}
	p.atRest(t, waves*size)
	t.Logf("%d connections in waves of %d, %v of simulated time", waves*size, size,
		time.Duration(p.Now()-simStart).Round(time.Millisecond))
}

// TestSimulationIsDeterministic: the same seeds, the same packets, at the same
// times.
func TestSimulationIsDeterministic(t *testing.T) {
	run := func(seed byte) (Stats, Stats, int64) {
		p := newPlant(t, 16, func(c *Config, _ byte) { c.Stack.Seed[1] = seed })
		p.wave(t, 500)
		return p.a.Stats(), p.b.Stats(), p.Now()
	}
	a1, b1, t1 := run(1)
	a2, b2, t2 := run(1)
	require.Equal(t, a1, a2)
	require.Equal(t, b1, b2)
	require.Equal(t, t1, t2)
	a3, _, _ := run(2)
	require.NotEqual(t, a1, a3)
}

func TestSimulationSaysWhyItEnds(t *testing.T) {
	g := newGroup(t, manual(2, PortConfig{Port: newFakePort(1)}))
	m, err := NewSimulation(g)
	require.NoError(t, err)
	never := func() bool { return false }
	require.ErrorIs(t, m.Run(never, time.Hour), ErrQuiet)
	g.shards[0].AddPoller(&pollFunc{poll: func(int64) int { return 1 }})
	before := m.Now()
	m.SetTick(time.Millisecond)
	require.ErrorIs(t, m.Run(never, 100*time.Millisecond), ErrLimit)
	require.InDelta(t, before+int64(100*time.Millisecond), m.Now(), 2e6)
	require.NoError(t, g.Stop())
	require.ErrorIs(t, m.Run(never, time.Second), ErrStopped)
	require.ErrorIs(t, m.Skip(time.Second), ErrStopped)
	_, err = NewSimulation(newGroup(t, config(1)))
	require.ErrorIs(t, err, ErrConfig)
}
