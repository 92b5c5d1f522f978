package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// rateLink is a sampler with segments of 1000 bytes in flight.
type rateLink struct {
	r      rateSampler
	segs   []*tcpSeg
	seq    header.Seq
	flight uint32
}

const usec = int64(time.Microsecond)

func (l *rateLink) send(now int64) *tcpSeg {
	g := &tcpSeg{seq: l.seq, n: 1000, tx: 1, sentAt: now}
	l.seq = l.seq.Add(1000)
	l.r.sent(g, l.flight, now)
	l.flight += 1000
	l.segs = append(l.segs, g)
	return g
}

// ack acknowledges the first n segments in flight.
func (l *rateLink) ack(n int, now, minRTT int64) RateSample {
	l.r.next()
	for _, g := range l.segs[:n] {
		l.r.take(g, 1000, now)
		l.flight -= 1000
	}
	l.segs = l.segs[n:]
	return *l.r.sample(minRTT)
}

// TestRate_3_3_RateOfTheBottleneck: segments that leave as a burst and are
// acknowledged a millisecond apart have been carried at a segment a millisecond.
func TestRate_3_3_RateOfTheBottleneck(t *testing.T) {
	var l rateLink
	now := int64(time.Hour)
	for range 50 {
		l.send(now)
	}
	var s RateSample
	for i := range 200 {
		now = int64(time.Hour) + int64(40+i)*int64(time.Millisecond)
		s = l.ack(1, now, 40e6)
		l.send(now)
	}
	require.InEpsilon(t, 1e6, s.DeliveryRate, 0.01, "1000 bytes a ms")
	require.Equal(t, uint32(50000), s.InFlight)
	require.Equal(t, uint32(50000), s.Delivered, "a round trip's worth")
	require.InEpsilon(t, 50e6, s.Interval, 0.01)
	require.False(t, s.AppLimited)
}

// TestRate_2_3_AckCompression: ACKs that arrive as one say nothing faster than
// the segments were sent.
func TestRate_2_3_AckCompression(t *testing.T) {
	var l rateLink
	now := int64(time.Hour)
	for i := range int64(40) {
		if i == 10 {
			l.ack(1, now+10e6, 10e6)
		}
		l.send(now + i*1e6)
	}
	s := l.ack(39, now+41e6, 10e6)
	require.InEpsilon(t, 1e6, s.DeliveryRate, 0.01, "39 in 31 ms, but sent at one a ms")
}

// TestRate_3_3_ShorterThanARoundTrip: an interval below the least round trip is
// no sample.
func TestRate_3_3_ShorterThanARoundTrip(t *testing.T) {
	var l rateLink
	now := int64(time.Hour)
	l.send(now)
	s := l.ack(1, now+10e6, 20e6)
	require.True(t, s.Valid)
	require.Zero(t, s.DeliveryRate)
	l.send(now + 10e6)
	require.NotZero(t, l.ack(1, now+30e6, 20e6).DeliveryRate)
}

// TestRate_3_4_AppLimited: what was sent while the application left the window
// idle is marked; the mark ends once all that was in flight then is delivered.
func TestRate_3_4_AppLimited(t *testing.T) {
	var l rateLink
	now := int64(time.Hour)
	for range 3 {
		l.send(now)
	}
	l.r.limit(l.flight)
	l.send(now)
	require.False(t, l.ack(3, now+10e6, 10e6).AppLimited)
	require.True(t, l.r.appLimited)
	l.send(now + 10e6)
	require.True(t, l.ack(1, now+10e6, 10e6).AppLimited)
	require.False(t, l.r.appLimited, "the bubble has left the path")
	l.send(now + 20e6)
	require.True(t, l.ack(1, now+20e6, 10e6).AppLimited, "sent in it")
	require.False(t, l.ack(1, now+30e6, 10e6).AppLimited)
}

// TestRate_LossSinceSent: a sample knows how much was lost between its segment's
// departure and its delivery.
func TestRate_LossSinceSent(t *testing.T) {
	var l rateLink
	now := int64(time.Hour)
	l.r.lost = 5000
	l.send(now)
	l.r.lost += 2000
	s := l.ack(1, now+10e6, 10e6)
	require.Equal(t, uint32(2000), s.Lost)
	require.Equal(t, uint32(7000), s.TotalLost)
	require.Equal(t, uint32(0), s.Prior)
	require.Equal(t, uint32(1000), s.Total)
}

// TestRate_ClocksAndCountsWrap: neither the clock nor the count minds wrapping.
func TestRate_ClocksAndCountsWrap(t *testing.T) {
	l := rateLink{r: rateSampler{delivered: ^uint32(0) - 1500}}
	now := int64(1)<<(32+rateShift) - 15e6
	for i := range 10 {
		l.send(now)
		now += 10e6
		s := l.ack(1, now, 10e6)
		require.InEpsilon(t, 1e5, s.DeliveryRate, 0.01, "segment %d", i)
	}
}

// TestRate_SegmentsOfBefore: what was sent without a sampler gives no sample.
func TestRate_SegmentsOfBefore(t *testing.T) {
	var l rateLink
	g := &tcpSeg{n: 1000, tx: 1, sentAt: int64(time.Hour)}
	l.segs, l.flight = append(l.segs, g), 1000
	s := l.ack(1, int64(time.Hour)+usec, 0)
	require.False(t, s.Valid)
	require.Zero(t, s.DeliveryRate)
	require.Equal(t, uint32(1000), s.Total)
}

// rateWatcher is a controller that keeps the samples it sees.
type rateWatcher struct {
	fixedWindow
	samples []RateSample
	lost    []LostSegment
	pace    uint64
}

func (*rateWatcher) Traits() CongestionTraits { return CongestionTraits{Rate: true} }
func (w *rateWatcher) OnAck(_ *Congestion, a *AckSample) {
	w.samples = append(w.samples, *a.Rate)
}
func (w *rateWatcher) OnLost(_ *Congestion, l *LostSegment) { w.lost = append(w.lost, *l) }
func (w *rateWatcher) PacingRate() uint64                   { return w.pace }

// TestRate_Connection: a connection whose controller asks has samples, and the
// application's pauses show in them.
func TestRate_Connection(t *testing.T) {
	w := &rateWatcher{}
	cfg := noTS()
	cfg.Hooks.CongestionControl = func(*TCP) CongestionControl { return w }
	sc := runScript(t, cfg, established+`
		write 5000
		> A 1 len=1000
		> A 1001 len=1000
		> A 2001 len=1000
		> A 3001 len=1000
		> A 4001 len=1000
		+10ms
		< A 1 ack=2001
		+1ms
		< A 1 ack=5001
	`)
	n := len(w.samples)
	require.GreaterOrEqual(t, n, 2)
	s := w.samples[n-1]
	require.InEpsilon(t, 5000e9/11e6, s.DeliveryRate, 0.02)
	require.Equal(t, uint32(5000), s.InFlight)
	require.True(t, w.samples[n-1].AppLimited, "the handshake did not fill the window")
	sc.run(`
		write 20000       # more than the window: 10 segments go
	`)
	sc.out = nil
	sc.run(`
		+10ms
		< A 1 ack=10001
		< A 1 ack=15001
		+10ms
		< A 1 ack=20001
		+10ms
		< A 1 ack=25001
	`)
	sc.out = nil
	n = len(w.samples)
	require.False(t, w.samples[n-2].AppLimited)
}
