package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// tunedPair is a pair with a flow from a to b that sends all it may, over a path
// of 40 ms; read says whether b's application takes what comes.
type tunedPair struct {
	*pair
	snd, rcv *TCP
	got      int
	read     bool
}

var tunePath = linkConfig{Delay: 20 * time.Millisecond, Queue: 1 << 20}

func newTunedPair(t *testing.T, a, b TCPConfig, path linkConfig, fill func(l, c *TCP)) *tunedPair {
	t.Helper()
	bufs := pbuf.Config{Small: 16384, Buffers: 16384, Jumbo: -1}
	a.InitialWindow = 1000
	w := &tunedPair{read: true}
	w.pair = newPair(t, pairConfig{A: hostConfig{Config: Config{TCP: a}, Bufs: bufs}, B: hostConfig{Config: Config{TCP: b}, Bufs: bufs},
		AB: path, BA: path})
	w.a.mayDrop()
	w.b.mayDrop()
	l := w.b.NewTCP()
	require.NoError(t, l.Bind(ap(netip.Addr{}, 80)))
	w.snd = w.a.NewTCP()
	if fill != nil {
		fill(l, w.snd)
	}
	require.NoError(t, l.Listen(0))
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		w.rcv = pcb
		pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
			if p == nil {
				return pcb.Close()
			}
			n := p.TotLen()
			p.Free()
			if w.got += n; w.read {
				pcb.Recved(n)
			}
			return nil
		})
		return nil
	})
	block := make([]byte, 8<<10)
	feed := func() {
		for w.snd.SndBuf() >= len(block) && w.snd.Write(block, 0) == nil {
		}
		_ = w.snd.Output()
	}
	w.snd.SetSent(func(any, *TCP, int) error { feed(); return nil })
	require.NoError(t, w.snd.Connect(ap(w.b.addr(), 80), func(any, *TCP, error) error { feed(); return nil }))
	w.until(time.Second, func() bool { return w.rcv != nil })
	return w
}

// big is a sender that its own buffer never holds back.
var big = TCPConfig{SendBuf: 12 << 20}

func TestAutotune_ReceiveWindowFollowsTheRate(t *testing.T) {
	w := newTunedPair(t, big, TCPConfig{}, tunePath, nil)
	start := w.rcv.recvBuf()
	require.Equal(t, uint32(256<<10), start)
	w.run(400 * time.Millisecond)
	require.Greater(t, w.rcv.recvBuf(), uint32(2<<20), "10 round trips")
	require.GreaterOrEqual(t, int(w.b.stats.TCP.RecvBufGrown), 3)
	require.Greater(t, w.got, 5<<20, "a fixed window would have let 2.5 MiB through")
	require.Equal(t, int64(w.rcv.recvBuf()-start), w.b.tcp.tuned)
	w.rcv.Abort()
	require.Zero(t, w.b.tcp.tuned, "the budget has it back")
}

// TestAutotune_WithoutARoundTripOfOurOwn: the receiver measures it by its window.
func TestAutotune_WithoutARoundTripOfOurOwn(t *testing.T) {
	w := newTunedPair(t, big, TCPConfig{}, tunePath, nil)
	w.rcv.rtt.srtt8 = 0
	w.run(400 * time.Millisecond)
	require.Greater(t, w.rcv.recvBuf(), uint32(1<<20))
	rtt := time.Duration(w.rcv.cold.tune.rtt)
	require.True(t, rtt >= 39*time.Millisecond && rtt < 60*time.Millisecond, "%v", rtt)
}

func TestAutotune_WhatIsSetStays(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  TCPConfig
		fill func(l, c *TCP)
		size uint32
	}{
		"by the configuration": {TCPConfig{RecvBuf: 100_000}, nil, 100_000},
		"by the listener":      {TCPConfig{}, func(l, _ *TCP) { require.NoError(t, l.SetRecvBuf(70_000)) }, 70_000},
		"by RecvBufMax":        {TCPConfig{RecvBuf: 100_000, RecvBufMax: 150_000}, nil, 150_000},
		"by TuneMem":           {TCPConfig{TuneMem: 50_000}, nil, 256<<10 + 50_000},
		"without window scale": {TCPConfig{NoWindowScale: true}, nil, 256 << 10},
	} {
		w := newTunedPair(t, big, c.cfg, tunePath, c.fill)
		w.run(250 * time.Millisecond)
		require.Equal(t, c.size, w.rcv.recvBuf(), name)
		require.Positive(t, w.got)
	}
}

// TestAutotune_SlowReaderOrPathGetsNoMore: the window grows neither when the
// application does not take the data nor when the path is what limits.
func TestAutotune_SlowReaderOrPathGetsNoMore(t *testing.T) {
	slow := tunePath
	slow.Rate = 20e6 // 100 KB in a round trip of 40 ms
	w := newTunedPair(t, big, TCPConfig{}, slow, nil)
	w.run(time.Second)
	require.Greater(t, w.got, 1<<20)
	require.Equal(t, uint32(256<<10), w.rcv.recvBuf())

	w = newTunedPair(t, big, TCPConfig{}, tunePath, nil)
	w.read = false
	w.run(time.Second)
	for range 30 { // it takes 100 KB a round trip
		w.rcv.Recved(100_000)
		w.run(40 * time.Millisecond)
	}
	require.Equal(t, uint32(256<<10), w.rcv.recvBuf())
}

func TestAutotune_SendBufferFollowsTheWindow(t *testing.T) {
	rcv := TCPConfig{RecvBuf: 8 << 20}
	w := newTunedPair(t, TCPConfig{}, rcv, tunePath, nil)
	w.run(400 * time.Millisecond)
	require.Greater(t, w.snd.sendBufSize(), uint32(2<<20))
	require.Greater(t, w.got, 5<<20)
	require.Positive(t, w.a.stats.TCP.SendBufGrown)
	require.Equal(t, int64(w.snd.sendBufSize()-256<<10), w.a.tcp.tuned)
	w.snd.Abort()
	require.Zero(t, w.a.tcp.tuned)

	for name, c := range map[string]struct {
		cfg  TCPConfig
		fill func(l, c *TCP)
		size uint32
	}{
		"by the configuration": {TCPConfig{SendBuf: 100_000}, nil, 100_000},
		"by the user":          {TCPConfig{}, func(_, c *TCP) { require.NoError(t, c.SetSendBuf(90_000)) }, 90_000},
		"by SendBufMax":        {TCPConfig{SendBuf: 100_000, SendBufMax: 150_000}, nil, 150_000},
	} {
		w := newTunedPair(t, c.cfg, rcv, tunePath, c.fill)
		w.run(250 * time.Millisecond)
		require.Equal(t, c.size, w.snd.sendBufSize(), name)
	}
}

// TestAutotune_BothEnds: with the defaults a path of 200 Mbit/s and 40 ms fills.
func TestAutotune_BothEnds(t *testing.T) {
	fast := tunePath
	fast.Rate = 200e6
	w := newTunedPair(t, TCPConfig{}, TCPConfig{}, fast, nil)
	w.run(time.Second)
	w.got = 0
	w.run(time.Second)
	require.Greater(t, float64(w.got)*8, 0.9*200e6)
}

func TestSetSendBuf(t *testing.T) {
	sc := runScript(t, noTS(), established)
	c := sc.pcb
	require.ErrorIs(t, c.SetSendBuf(500), ErrVal)
	require.ErrorIs(t, c.SetSendBuf(100_000), ErrVal, "an open connection's does not shrink")
	sc.run("write 1000\n > A 1 len=1000")
	require.NoError(t, c.SetSendBuf(300_000))
	require.Equal(t, 299_000, c.SndBuf())
	sc.run("< A 1 ack=1001")
	require.Equal(t, 300_000, c.SndBuf())
}

// TestSetRecvBuf_OfAnOpenConnectionGrows, at once, as far as the window scale carries.
func TestSetRecvBuf_OfAnOpenConnectionGrows(t *testing.T) {
	cfg := noTS()
	cfg.TCP.RecvBuf, cfg.TCP.RecvBufMax = 4000, 100_000
	sc := runScript(t, cfg, `
		listen
		< S 0 mss=1000 ws=7
		> SA 0 ack=1 win=4000
		< A 1 ack=1
	`)
	require.ErrorIs(t, sc.pcb.SetRecvBuf(3999), ErrVal)
	require.ErrorIs(t, sc.pcb.SetRecvBuf(1<<30+1), ErrVal)
	require.NoError(t, sc.pcb.SetRecvBuf(20_000))
	require.Equal(t, uint32(20_000), sc.pcb.Info().RcvBuf)
	require.Equal(t, uint8(1), sc.pcb.rcvScale)
	sc.run("< A 1 len=1000 ack=1\n got 1000\n > A 1 ack=1001 win=10000") // an update, scaled
	require.NoError(t, sc.pcb.SetRecvBuf(1<<30))
	require.Equal(t, uint32(0xffff)<<sc.pcb.rcvScale, sc.pcb.Info().RcvBuf)
	require.True(t, sc.pcb.recvFixed())
}
