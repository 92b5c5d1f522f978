package load

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

const second = 1_000_000_000

func TestRRCountsTransactionsAndLatency(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	sv := w.serve(ServerConfig{})
	c := NewRR(w.client.s, Config{To: to(PortEcho), Conns: 10, Size: 100, Count: 1000})
	w.start(c)
	w.until(second, c.Done)
	n := c.Counters()
	require.Equal(t, uint64(1000), n.Ops)
	require.Equal(t, uint64(10), n.Opened)
	require.Equal(t, uint64(100_000), n.BytesIn)
	require.Equal(t, uint64(100_000), n.BytesOut)
	require.NoError(t, c.Err())
	require.EqualValues(t, 1000, c.Latency().TotalCount())
	require.GreaterOrEqual(t, c.Latency().Min(), int64(2*wireDelay)*999/1000)
	require.Equal(t, uint64(1000), sv.Counters().Ops)
	c.Stop()
	w.until(second, func() bool { return n.Closed == 10 && sv.Counters().Closed == 10 })
	w.clean()
}

func TestRRKeepsTheRate(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	w.serve(ServerConfig{})
	c := NewRR(w.client.s, Config{To: to(PortEcho), Conns: 4, Rate: 1000})
	w.start(c)
	w.run(2 * second)
	require.InDelta(t, 2000, float64(c.Counters().Ops), 5)
}

func TestBulkDeliversAllThatItCounts(t *testing.T) {
	w := newWire(t, pbuf.Config{Buffers: 2048}, nil)
	sv := w.serve(ServerConfig{})
	c := NewBulk(w.client.s, Config{To: to(PortDiscard), Conns: 3, Size: 10_000, Count: 300})
	w.start(c)
	w.until(second, c.Done)
	require.Equal(t, uint64(300), c.Counters().Ops)
	require.Equal(t, uint64(3_000_000), c.Counters().BytesOut)
	require.Equal(t, uint64(3_000_000), sv.Counters().BytesIn)
	c.Stop()
	w.until(second, func() bool { return sv.Counters().Closed == 3 })
	w.clean()
}

func TestBulkSurvivesAnEmptyPool(t *testing.T) {
	w := newWire(t, pbuf.Config{Buffers: 128, Small: 64}, func(c *stack.Config) { c.TCP.RecvBuf = 32 << 10 })
	sv := w.serve(ServerConfig{})
	c := NewBulk(w.client.s, Config{To: to(PortDiscard), Conns: 4, Count: 500})
	w.start(c)
	w.until(60*second, c.Done)
	require.NotZero(t, c.retry, "no write lacked a buffer: no test")
	require.Equal(t, c.Counters().BytesOut, sv.Counters().BytesIn)
}

func TestCPSOpensAndCloses(t *testing.T) {
	w := newWire(t, pbuf.Config{}, func(c *stack.Config) { c.TCP.TimeWait = -1 })
	sv := w.serve(ServerConfig{})
	c := NewCPS(w.client.s, Config{To: to(PortEcho), Conns: 20, Count: 1000})
	w.start(c)
	w.until(second, c.Done)
	n := c.Counters()
	require.Equal(t, uint64(1000), n.Ops)
	require.Equal(t, uint64(1000), n.Opened)
	require.Equal(t, uint64(1000), n.Closed)
	require.Zero(t, n.Failed)
	require.GreaterOrEqual(t, c.Latency().Min(), int64(4*wireDelay)*999/1000) // SYN, SYN-ACK, request, answer
	w.until(second, func() bool { return sv.Counters().Closed == 1000 && w.client.s.Stats().TCP.CurrPCBs == 0 })
	w.clean()
}

// TestCPSFastOpen: with the request in the SYN the answer takes a round trip less, but
// for the first connection, which asks for a cookie.
func TestCPSFastOpen(t *testing.T) {
	w := newWire(t, pbuf.Config{}, func(c *stack.Config) {
		c.TCP.TimeWait = -1
		c.TCP.FastOpen.Connect, c.TCP.FastOpen.Pending = true, -1
	})
	sv := w.serve(ServerConfig{})
	c := NewCPS(w.client.s, Config{To: to(PortEcho), Conns: 20, Count: 1000, FastOpen: true})
	w.start(c)
	w.until(second, c.Done)
	n := c.Counters()
	require.Equal(t, uint64(1000), n.Ops)
	require.Equal(t, uint64(1000), n.Closed)
	require.Zero(t, n.Failed)
	require.GreaterOrEqual(t, c.Latency().Min(), int64(2*wireDelay)*999/1000)
	require.Less(t, c.Latency().ValueAtQuantile(50), int64(3*wireDelay))
	require.Equal(t, uint64(999), w.client.s.Stats().TCP.FastOpenActive)
	w.until(second, func() bool { return sv.Counters().Closed == 1000 && w.client.s.Stats().TCP.CurrPCBs == 0 })
	w.clean()
}

func TestCPSWaitsForPortsInTimeWait(t *testing.T) {
	w := newWire(t, pbuf.Config{}, func(c *stack.Config) {
		c.TCP.PortMin, c.TCP.PortMax = 40000, 40009
		c.TCP.TimeWait = second / 10
	})
	w.serve(ServerConfig{})
	c := NewCPS(w.client.s, Config{To: to(PortEcho), Conns: 20, Count: 100})
	w.start(c)
	w.until(2*second, c.Done)
	require.Greater(t, w.now, int64(second+9*second/10), "10 ports give 100 connections a second")
	require.Equal(t, uint64(100), c.Counters().Ops)
}

func TestCPSKeepsTheRate(t *testing.T) {
	w := newWire(t, pbuf.Config{}, func(c *stack.Config) { c.TCP.TimeWait = -1 })
	w.serve(ServerConfig{})
	c := NewCPS(w.client.s, Config{To: to(PortEcho), Conns: 50, Rate: 5000})
	w.start(c)
	w.run(second)
	require.InDelta(t, 5000, float64(c.Counters().Ops), 20)
}

func TestRefusedConnectionsEndTheClient(t *testing.T) {
	for name, mk := range map[string]func(s *stack.Stack, cfg Config) Client{
		"rr":    func(s *stack.Stack, cfg Config) Client { return NewRR(s, cfg) },
		"bulk":  func(s *stack.Stack, cfg Config) Client { return NewBulk(s, cfg) },
		"cps":   func(s *stack.Stack, cfg Config) Client { return NewCPS(s, cfg) },
		"http":  func(s *stack.Stack, cfg Config) Client { return NewHTTP(s, cfg) },
		"exch":  func(s *stack.Stack, cfg Config) Client { return NewExchange(s, cfg) },
		"idle":  func(s *stack.Stack, cfg Config) Client { return NewIdle(s, cfg) },
		"pull":  func(s *stack.Stack, cfg Config) Client { return NewPull(s, cfg) },
		"storm": func(s *stack.Stack, cfg Config) Client { return NewStorm(s, cfg) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, pbuf.Config{}, nil) // nobody serves
			c := mk(w.client.s, Config{To: to(4711), Conns: 3})
			w.start(c)
			w.until(5*second, c.Done)
			require.ErrorIs(t, c.Err(), stack.ErrRefused)
			require.GreaterOrEqual(t, c.Counters().Failed, uint64(3))
			require.Zero(t, c.Counters().Ops)
		})
	}
}

func TestResetConnectionsAreOpenedAnew(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	w.serve(ServerConfig{})
	c := NewRR(w.client.s, Config{To: to(PortEcho), Conns: 5})
	w.start(c)
	w.run(second / 100)
	w.server.s.EachTCP(func(p *stack.TCP) {
		if p.State() == stack.StateEstablished {
			p.Abort()
		}
	})
	w.run(second / 100)
	require.Equal(t, uint64(5), c.Counters().Failed)
	require.ErrorIs(t, c.Err(), stack.ErrReset)
	before := c.Counters().Ops
	w.run(second)
	require.Equal(t, uint64(10), c.Counters().Opened)
	require.Greater(t, c.Counters().Ops, before)
}

func TestSizeBeyondTheSendBufferIsAnError(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	c := NewRR(w.client.s, Config{To: to(PortEcho), Size: 1 << 20})
	require.ErrorIs(t, c.Start(), stack.ErrVal)
}

func TestFromAddressesAreUsedInTurn(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	w.serve(ServerConfig{})
	a := clientAddr.Addr()
	b := a.Next().Next()
	require.NoError(t, w.client.nif.AddAddr(netipPrefix(b)))
	cfg := Config{To: to(PortEcho), Conns: 4, Count: 100, From: addrs(a, b)}
	c := NewRR(w.client.s, cfg)
	w.start(c)
	w.until(second, c.Done)
	got := map[string]int{}
	w.client.s.EachTCP(func(p *stack.TCP) { got[p.LocalAddr().Addr().String()]++ })
	require.Equal(t, map[string]int{a.String(): 2, b.String(): 2}, got)
}

func TestEchoReturnsMoreThanItsSendBuffer(t *testing.T) {
	// The client sends without reading: the echo service may not lose a byte,
	// and must close its window.
	w := newWire(t, pbuf.Config{Buffers: 1024, Small: 1024}, func(c *stack.Config) { c.TCP.SendBuf, c.TCP.RecvBuf = 16<<10, 32<<10 })
	w.serve(ServerConfig{})
	block := NewPattern(PatternSeed)[:200_000]
	pcb := w.client.s.NewTCP()
	out, eof := 0, false
	var held *pbuf.Pbuf
	var in []byte
	fill := func() {
		for out < len(block) {
			n := min(len(block)-out, pcb.SndBuf(), 3000)
			if n == 0 || pcb.Write(block[out:out+n], 0) != nil {
				return
			}
			out += n
		}
	}
	pcb.SetSent(func(any, *stack.TCP, int) error { fill(); return nil })
	pcb.SetRecv(func(_ any, _ *stack.TCP, p *pbuf.Pbuf, _ error) error {
		switch {
		case p == nil:
			eof = true
		case held == nil:
			held = p
		default:
			held.Cat(p)
		}
		return nil
	})
	require.NoError(t, pcb.Connect(to(PortEcho), func(any, *stack.TCP, error) error { fill(); return nil }))
	drain := func() {
		if held != nil {
			b := make([]byte, held.TotLen())
			held.CopyPartial(b, 0)
			held.Free()
			held = nil
			in = append(in, b...)
			pcb.Recved(len(b))
		}
	}
	w.run(second)
	require.Less(t, out, len(block), "the echo service took everything while nobody read")
	require.Empty(t, in)
	w.until(60*second, func() bool { drain(); return len(in) == len(block) })
	require.Equal(t, block, in)
	require.NoError(t, pcb.Shutdown(false, true))
	w.until(second, func() bool { return eof })
	require.NoError(t, pcb.Close())
}

func TestChargenSendsThePattern(t *testing.T) {
	w := newWire(t, pbuf.Config{Buffers: 2048}, nil)
	w.serve(ServerConfig{})
	block := NewPattern(PatternSeed)[:chargenChunk]
	block = append(block[:len(block):len(block)], block...)
	pcb := w.client.s.NewTCP()
	n := 0
	pcb.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
		at := n % chargenChunk
		require.Zero(t, p.Memcmp(block[at:at+p.TotLen()], 0))
		n += p.TotLen()
		pcb.Recved(p.TotLen())
		p.Free()
		return nil
	})
	require.NoError(t, pcb.Connect(to(PortChargen), nil))
	w.until(10*second, func() bool { return n > 500_000 })
	require.NoError(t, pcb.Close())
}
