package load

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// stormWire is a wire whose clients use their ports again at once.
func stormWire(t *testing.T) *wire {
	return newWire(t, pbuf.Config{Buffers: 2048, Small: 4096}, func(c *stack.Config) { c.TCP.TimeWait = -1 })
}

func TestStormFillsTheBacklogWaveByWave(t *testing.T) {
	const conns, waves = 300, 4
	w := stormWire(t)
	sv := w.serve(ServerConfig{Backlog: conns})
	c := NewStorm(w.client.s, Config{To: to(PortDiscard), Conns: conns, Count: conns * waves})
	w.start(c)
	most := uint64(0)
	w.until(second, func() bool {
		most = max(most, w.client.s.Stats().TCP.CurrPCBs)
		return c.Done()
	})
	require.EqualValues(t, conns, most, "a wave is opened as a whole")
	n := c.Counters()
	require.EqualValues(t, conns*waves, n.Opened)
	require.EqualValues(t, conns*waves, n.Ops)
	require.EqualValues(t, conns*(waves-1), n.Closed, "all waves but the last")
	require.EqualValues(t, conns*waves, c.Latency().TotalCount())
	require.GreaterOrEqual(t, c.Latency().Min(), int64(2*wireDelay)*999/1000)
	require.Less(t, c.Latency().Max(), int64(4*wireDelay), "all SYNs of a wave went out at once")
	c.Stop()
	w.until(second, func() bool { return w.client.s.Stats().TCP.CurrPCBs == 0 })
	require.EqualValues(t, conns*waves, n.Closed)
	require.EqualValues(t, conns*waves, sv.Counters().Opened)
	w.clean()
}

func TestStormOverflowsASmallBacklog(t *testing.T) {
	w := newWire(t, pbuf.Config{Buffers: 2048, Small: 4096}, func(c *stack.Config) {
		c.TCP.TimeWait, c.TCP.SynCookies = -1, stack.CookiesNever
	})
	w.serve(ServerConfig{Backlog: 100})
	c := NewStorm(w.client.s, Config{To: to(PortDiscard), Conns: 300, Count: 300})
	w.start(c)
	w.until(20*second, c.Done)
	require.NotZero(t, w.server.s.Stats().Drops[stack.DropTCPBacklog])
	require.GreaterOrEqual(t, c.Latency().Max(), int64(second)*999/1000, "RFC 6298 2.1: SYNs go out again after a second")
	require.Zero(t, c.Counters().Failed)
}

func TestStormBeyondTheBacklogGoesOnByCookies(t *testing.T) {
	w := stormWire(t)
	w.serve(ServerConfig{Backlog: 100})
	c := NewStorm(w.client.s, Config{To: to(PortDiscard), Conns: 300, Count: 300})
	w.start(c)
	w.until(20*second, c.Done)
	st := w.server.s.Stats()
	require.EqualValues(t, 200, st.TCP.SynCookiesSent)
	w.until(second, func() bool { return st.TCP.SynCookiesRecv == 200 })
	require.Zero(t, st.Drops[stack.DropTCPBacklog])
	require.Less(t, c.Latency().Max(), int64(second), "nobody had to ask again")
	require.Zero(t, c.Counters().Failed)
	w.clean()
}

func TestStormGoesOnAfterResets(t *testing.T) {
	w := stormWire(t)
	w.serve(ServerConfig{})
	c := NewStorm(w.client.s, Config{To: to(PortDiscard), Conns: 20})
	w.start(c)
	w.until(second, func() bool { return c.held == 10 || c.held == 20 })
	w.server.s.EachTCP(func(p *stack.TCP) {
		if p.State() != stack.StateListen {
			p.Abort()
		}
	})
	w.until(second, func() bool { return c.Counters().Failed > 0 })
	require.ErrorIs(t, c.Err(), stack.ErrReset)
	before := c.Counters().Ops
	w.until(second, func() bool { return c.Counters().Ops > before+100 })
}

func TestIdleKeepsItsConnections(t *testing.T) {
	w := newWire(t, pbuf.Config{Buffers: 1024, Small: 2048}, nil)
	sv := w.serve(ServerConfig{})
	c := NewIdle(w.client.s, Config{To: to(PortDiscard), Conns: 1000})
	w.start(c)
	w.until(second, func() bool { return c.Counters().Opened == 1000 })
	frames := w.client.nif.Stats().OutFrames
	w.run(10 * second)
	require.Equal(t, frames, w.client.nif.Stats().OutFrames, "idle connections send nothing")
	require.EqualValues(t, 1000, w.server.s.Stats().TCP.CurrEstab)
	require.EqualValues(t, stack.Forever, c.Next(), "nothing to do for the client")

	// One that breaks is replaced.
	w.server.s.EachTCP(func(p *stack.TCP) {
		if p.State() == stack.StateEstablished && w.server.s.Stats().TCP.CurrEstab == 1000 {
			p.Abort()
		}
	})
	w.until(second, func() bool { return c.Counters().Opened == 1001 })
	require.EqualValues(t, 1, c.Counters().Failed)
	c.Stop()
	w.until(second, func() bool { return sv.Counters().Closed == 1000 && c.Counters().Closed == 1000 })
}

// TestPullSendsAndWaits: every connection sends its block, and keeps no buffer.
func TestPullSendsAndWaits(t *testing.T) {
	w := newWire(t, pbuf.Config{Buffers: 1024, Small: 2048}, nil)
	sv := w.serve(ServerConfig{})
	c := NewPull(w.client.s, Config{To: to(PortDiscard), Conns: 100, Size: 5000})
	w.start(c)
	w.until(5*second, func() bool { return c.Counters().BytesOut == 100*5000 })
	require.EqualValues(t, 100*5000, sv.Counters().BytesIn)
	w.client.s.EachTCP(func(p *stack.TCP) { require.Zero(t, p.QueueLen()) })
	frames := w.client.nif.Stats().OutFrames
	w.run(10 * second)
	require.Equal(t, frames, w.client.nif.Stats().OutFrames, "they wait")
	c.Stop()
	w.until(second, func() bool { return c.Counters().Closed == 100 })
}

func TestIdleKeepsTheRate(t *testing.T) {
	w := newWire(t, pbuf.Config{Buffers: 1024, Small: 2048}, nil)
	w.serve(ServerConfig{})
	c := NewIdle(w.client.s, Config{To: to(PortDiscard), Conns: 1000, Rate: 500})
	w.start(c)
	w.run(second)
	require.InDelta(t, 500, float64(c.Counters().Opened), 5)
	require.False(t, c.Done())
}
