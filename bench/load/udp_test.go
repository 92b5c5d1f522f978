package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

func setTimeWait(c *stack.Config, ns int64) { c.TCP.TimeWait = time.Duration(ns) }

func TestUDPLosesNothingBelowTheRate(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	sv := w.serve(ServerConfig{})
	c := NewUDP(w.client.s, Config{To: to(PortDiscard), Conns: 3, Size: 1000, Rate: 100_000, Count: 5000})
	w.start(c)
	w.until(second, c.Done)
	require.InDelta(t, second/20, float64(w.now-second), second/200, "5000 at 100,000 a second")
	w.run(second / 10)
	require.Equal(t, uint64(5000), c.Counters().PacketsOut)
	require.Equal(t, uint64(5000), sv.Counters().PacketsIn)
	require.Equal(t, uint64(5_000_000), sv.Counters().BytesIn)
	w.clean()
}

func TestUDPEchoGivesLatency(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	w.serve(ServerConfig{})
	c := NewUDP(w.client.s, Config{To: to(PortEcho), Size: 3000, Rate: 10_000, Count: 100}) // in fragments
	w.start(c)
	w.until(second, c.Done)
	w.run(second / 10)
	require.Equal(t, uint64(100), c.Counters().PacketsIn)
	require.EqualValues(t, 100, c.Latency().TotalCount())
	require.GreaterOrEqual(t, c.Latency().Min(), int64(2*wireDelay)*999/1000)
}

func TestUDPTakesWhatComesBackAfterStop(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	w.serve(ServerConfig{})
	c := NewUDP(w.client.s, Config{To: to(PortEcho), Conns: 2})
	w.start(c)
	w.run(second / 1000)
	c.Stop()
	sent := c.Counters().PacketsOut
	w.run(second)
	require.Equal(t, sent, c.Counters().PacketsOut)
	require.Equal(t, sent, c.Counters().PacketsIn)
	w.clean()
	require.Nil(t, c.socks)
}

func TestUDPWaitsForItsNeighbour(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	w.serve(ServerConfig{})
	c := NewUDP(w.client.s, Config{To: to(PortDiscard), Count: 1000})
	w.start(c)
	w.until(second, c.Done)
	w.clean() // nothing overflowed what may wait for ARP
}

func TestPingCountsAnswersAndLoss(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	c := NewPing(w.client.s, Config{To: to(1), Size: 5000, Rate: 1000, Count: 100})
	w.start(c)
	w.until(10*second, c.Done)
	n := c.Counters()
	require.Equal(t, uint64(100), n.Ops)
	require.Equal(t, uint64(100), n.PacketsOut)
	require.Zero(t, n.Errors+n.Failed)
	require.EqualValues(t, 100, c.Latency().TotalCount())

	w.server.nif.SetUp(false)
	c = NewPing(w.client.s, Config{To: to(1), Rate: 1000, Count: 10})
	w.start(c)
	w.until(10*second, c.Done)
	require.Equal(t, uint64(10), c.Counters().Failed)
	require.Zero(t, c.Counters().Ops)
}

func TestPingFloodSendsWhenAnswered(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	c := NewPing(w.client.s, Config{To: to(1), Count: 1000})
	w.start(c)
	w.until(second/4, c.Done) // a round trip each, not 10 ms each
	require.Equal(t, uint64(1000), c.Counters().Ops)
	w.clean()
}

func TestPingToNowhereIsLoss(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	cfg := Config{To: to(1), Count: 3, Rate: 10}
	cfg.To = netipPort("198.18.0.77:1")
	c := NewPing(w.client.s, cfg)
	w.start(c)
	w.until(10*second, c.Done)
	require.Equal(t, uint64(3), c.Counters().Failed)
}
