package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Tests of BBR on a modelled link; most are the draft's "BBR Example Test Cases".

func newBBRPath(mbit uint64, rtt time.Duration) (*ccPath, *bbr) {
	r := new(rng)
	r.seed(1, 2)
	b := &bbr{rng: r}
	return newPath(b, mbit, rtt), b
}

// inProbe makes a path whose flow has reached that state of ProbeBW.
func inProbe(t *testing.T, s bbrState) (*ccPath, *bbr) {
	t.Helper()
	p, b := newBBRPath(100, 40*time.Millisecond)
	require.True(t, p.until(10*time.Second, func() bool { return b.state == s }))
	return p, b
}

// TestBBR_ExitingStartupOnPlateau: Startup doubles the rate each round trip, finds
// the bandwidth within 2 %, ends after three rounds without growth, and Drain
// empties the queue.
func TestBBR_ExitingStartupOnPlateau(t *testing.T) {
	for _, c := range []struct {
		mbit uint64
		rtt  time.Duration
	}{{10, 40 * time.Millisecond}, {100, 40 * time.Millisecond}, {100, 5 * time.Millisecond}, {1000, 20 * time.Millisecond}, {1, 200 * time.Millisecond}} {
		p, b := newBBRPath(c.mbit, c.rtt)
		require.True(t, p.until(10*time.Second, func() bool { return b.state == bbrDrain }), "%v", c)
		require.InEpsilon(t, p.rate, b.maxBW(), 0.02, "%v", c)
		require.InEpsilon(t, p.rtt, b.minRTT, 0.1, "%v", c)
		require.Equal(t, uint8(3), b.fullBWCount)
		require.True(t, b.fullBWNow && b.fullBWReached)
		require.Less(t, b.roundCount, uint32(20), "%v", c)
		rounds := b.roundCount
		require.True(t, p.until(10*time.Second, func() bool { return b.inProbeBW() }), "%v", c)
		require.LessOrEqual(t, b.roundCount, rounds+4, "%v", c)
		require.LessOrEqual(t, uint64(p.flight), b.inflight(100)+pathMSS, "%v: drained", c)
	}
}

// TestBBR_StartupWithoutPlateauStays: a flow that the application limits learns
// nothing of the path, and stays in Startup.
func TestBBR_StartupWithoutPlateauStays(t *testing.T) {
	p, b := newBBRPath(100, 40*time.Millisecond)
	start := p.now
	p.app = func(p *ccPath) bool { return uint64(p.seq) < uint64(p.now-start)*500_000/1e9+2000 }
	p.run(20 * time.Second)
	require.False(t, b.fullBWReached)
	require.Contains(t, []bbrState{bbrStartup, bbrProbeRTT}, b.state)
	require.GreaterOrEqual(t, b.pacing, uint64(500_000), "never paced below what the application does")
}

// TestBBR_ExitingStartupOnLoss: a queue that overflows ends Startup, with the
// volume that was delivered as the bound.
func TestBBR_ExitingStartupOnLoss(t *testing.T) {
	p, b := newBBRPath(100, 40*time.Millisecond)
	p.buffer = p.bdp() / 10
	require.True(t, p.until(10*time.Second, func() bool { return b.state == bbrDrain }))
	require.Less(t, b.fullBWCount, uint8(3))
	require.Less(t, b.inflightLT, uint64(3*p.bdp()))
	require.GreaterOrEqual(t, b.inflightLT, b.bdp(100))
}

// TestBBR_Cycle: ProbeBW goes DOWN, CRUISE, REFILL, UP, and the link is full all
// the while, with a small queue.
func TestBBR_Cycle(t *testing.T) {
	p, b := inProbe(t, bbrCruise)
	seen := []bbrState{b.state}
	most := uint32(0)
	p.onAck = func(p *ccPath, a *AckSample) {
		if s := seen[len(seen)-1]; s != b.state {
			seen = append(seen, b.state)
		}
		if b.state == bbrCruise {
			most = max(most, p.flight)
		}
	}
	n := p.run(4500 * time.Millisecond) // before ProbeRTT
	require.Greater(t, float64(n), 0.95*4.5*float64(p.rate))
	require.Equal(t, []bbrState{bbrCruise, bbrRefill, bbrUp, bbrDown, bbrCruise}, seen[:5])
	require.Less(t, float64(most), 1.3*float64(p.bdp()), "in flight while cruising")
	require.Zero(t, p.lost)
}

// TestBBR_WindowInUp: what may be in flight while a flow probes is bounded by half
// more than the BDP and eight segments, however long no ACK of it comes.
func TestBBR_WindowInUp(t *testing.T) {
	p, b := inProbe(t, bbrUp)
	most := uint32(0)
	p.onAck = func(p *ccPath, _ *AckSample) {
		if b.state == bbrUp {
			bound := b.bdp(150) + max(b.extraAcked[0], b.extraAcked[1]) + 8*pathMSS
			require.LessOrEqual(t, uint64(p.c.Cwnd), bound)
			most = max(most, p.flight)
		}
	}
	require.True(t, p.until(time.Second, func() bool { return b.state == bbrDown }))
	require.Greater(t, most, uint32(p.bdp())*5/4, "but it does probe")
}

// TestBBR_ProbeWait: the next probe comes after 2 to 3 seconds, or when Reno
// would have grown back, 63 rounds at most.
func TestBBR_ProbeWait(t *testing.T) {
	p, b := inProbe(t, bbrCruise)
	require.GreaterOrEqual(t, b.probeWait, int64(2*time.Second))
	require.Less(t, b.probeWait, int64(3*time.Second))
	at, round := p.now, b.roundCount
	require.True(t, p.until(4*time.Second, func() bool { return b.state == bbrRefill }))
	require.True(t, p.now-at > b.probeWait || b.roundCount-round >= 62)
	small, bs := newBBRPath(1, 20*time.Millisecond) // 2.5 segments in flight
	require.True(t, small.until(10*time.Second, func() bool { return bs.state == bbrCruise || bs.state == bbrRefill }))
	at = small.now
	require.True(t, small.until(3*time.Second, func() bool { return bs.state == bbrUp }))
	require.Less(t, small.now-at, int64(time.Second))
}

// TestBBR_EnteringAndExitingProbeRTT: five seconds without a lower round trip
// lead to 200 ms with half the flight; then ProbeBW goes on.
func TestBBR_EnteringAndExitingProbeRTT(t *testing.T) {
	p, b := inProbe(t, bbrCruise)
	require.True(t, p.until(7*time.Second, func() bool { return b.state == bbrProbeRTT }))
	at, cwnd := p.now, b.priorCwnd
	bw := b.maxBW()
	require.True(t, p.until(time.Second, func() bool { return b.probeRTTDoneAt != 0 }))
	require.LessOrEqual(t, uint64(p.c.Cwnd), uint64(p.bdp())*52/100)
	require.True(t, p.until(time.Second, func() bool { return b.state != bbrProbeRTT }))
	require.Equal(t, bbrCruise, b.state)
	require.GreaterOrEqual(t, p.now-at, int64(200*time.Millisecond))
	require.Less(t, p.now-at, int64(500*time.Millisecond))
	require.GreaterOrEqual(t, p.c.Cwnd, cwnd/2)
	require.InEpsilon(t, p.rtt, b.minRTT, 0.03)
	p.run(2 * time.Second)
	require.InEpsilon(t, bw, b.maxBW(), 0.05, "low rates in ProbeRTT say nothing")
	n := p.run(time.Second)
	require.Greater(t, float64(n), 0.95*float64(p.rate))
}

// TestBBR_SkippingProbeRTT: a flow that was idle has left the queue alone, so it
// need not empty it; and it starts at the rate it had.
func TestBBR_SkippingProbeRTT(t *testing.T) {
	p, b := inProbe(t, bbrCruise)
	p.app = func(*ccPath) bool { return false }
	p.run(6 * time.Second)
	require.Zero(t, p.flight)
	p.app = nil
	p.send()
	require.True(t, b.idleRestart)
	require.InEpsilon(t, p.rate*99/100, b.pacing, 0.05)
	p.run(time.Second)
	require.NotEqual(t, bbrProbeRTT, b.state)
	require.Less(t, p.now-b.probeRTTMinAt, int64(2*time.Second))
	n := p.run(time.Second)
	require.Greater(t, float64(n), 0.95*float64(p.rate))
}

// TestBBR_ExitingProbeUpOnLoss: more than 2 % lost of what was in flight end UP,
// and bound what is in flight from then on; the next probe is precautionary.
func TestBBR_ExitingProbeUpOnLoss(t *testing.T) {
	p, b := inProbe(t, bbrUp)
	require.Equal(t, uint64(bbrInf), b.inflightLT)
	p.loss = 0.1
	require.True(t, p.until(time.Second, func() bool { return b.state == bbrDown }))
	require.Less(t, b.inflightLT, uint64(2*p.bdp()))
	require.GreaterOrEqual(t, b.inflightLT, uint64(p.bdp())*65/100, "no less than CUBIC would keep")
	require.True(t, b.prevTooHigh)
	p.loss = 0
	require.True(t, p.until(5*time.Second, func() bool { return b.state == bbrUp }))
	lt := b.inflightLT
	require.True(t, p.until(time.Second, func() bool { return b.state == bbrDown }))
	require.True(t, b.prevPrecautionary)
	require.Equal(t, lt, b.inflightLT)
	require.True(t, p.until(time.Second, func() bool { return b.state == bbrRefill }), "it was safe: again, at once")
	require.True(t, p.until(5*time.Second, func() bool { return b.inflightLT > lt }))
}

// TestBBR_HandleLostPacket: the bound is where in the lost packet the losses
// crossed 2 %.
func TestBBR_HandleLostPacket(t *testing.T) {
	_, b := newBBRPath(100, 40*time.Millisecond)
	c := Congestion{Cwnd: 10_000, MSS: 1000}
	b.state, b.probeSample = bbrRefill, true
	b.lossRanges = 1
	b.OnLost(&c, &LostSegment{Seq: 1, Bytes: 60_000, InFlight: 1_000_000, Lost: 60_000})
	// 940,000 before it, none of them lost: x / (940,000 + x) = 2 %.
	require.Equal(t, uint64(940_000+940_000/49), b.inflightLT)
	b.inflightLT, b.probeSample = bbrInf, true
	b.OnLost(&c, &LostSegment{Seq: 1, Bytes: 1000, InFlight: 1_000_000, Lost: 20_000})
	require.Equal(t, uint64(bbrInf), b.inflightLT, "2 % are tolerated")
	b.OnLost(&c, &LostSegment{Seq: 1, Bytes: 1000, InFlight: 1_000_000, Lost: 21_000, AppLimited: true})
	require.Equal(t, uint64(bbrInf), b.inflightLT, "the application's flight says nothing")
	require.True(t, b.prevTooHigh)
}

// TestBBR_LossWhileCruising: the short-term model follows what is delivered, by
// at most 30 % a round, until REFILL forgets it.
func TestBBR_LossWhileCruising(t *testing.T) {
	p, b := inProbe(t, bbrCruise)
	p.loss = 0.05
	round := b.roundCount
	require.True(t, p.until(time.Second, func() bool { return b.bwST != bbrInf }))
	require.LessOrEqual(t, b.roundCount-round, uint32(3))
	require.GreaterOrEqual(t, b.bwST, b.maxBW()*90/100)
	require.Less(t, b.inflightST, uint64(bbrInf))
	require.True(t, p.until(5*time.Second, func() bool { return b.state == bbrRefill }))
	require.Equal(t, uint64(bbrInf), b.bwST)
}

// TestBBR_RandomLoss: 1 % of random loss, which would leave Reno a quarter of the
// link, leaves BBR nearly all of it.
func TestBBR_RandomLoss(t *testing.T) {
	p, _ := newBBRPath(10, 40*time.Millisecond)
	p.loss = 0.01
	p.run(3 * time.Second)
	n := p.run(20 * time.Second)
	require.Greater(t, float64(n), 0.85*20*float64(p.rate))
}

// TestBBR_FollowsTheBandwidth: twice the bandwidth is found within some cycles,
// half of it sooner.
func TestBBR_FollowsTheBandwidth(t *testing.T) {
	p, b := inProbe(t, bbrCruise)
	p.rate *= 2
	require.True(t, p.until(12*time.Second, func() bool { return b.maxBW() > p.rate*90/100 }))
	p.rate /= 4
	p.run(8 * time.Second)
	require.InEpsilon(t, p.rate, b.maxBW(), 0.1)
	require.Less(t, p.flight, uint32(3*p.bdp()))
}

// TestBBR_Spurious: a recovery that was for nothing is undone, the state machine
// included.
func TestBBR_Spurious(t *testing.T) {
	p, b := inProbe(t, bbrUp)
	cwnd := p.c.Cwnd
	b.OnEvent(&p.c, CongestionLoss, p.sample())
	b.lossRanges = 1
	b.OnLost(&p.c, &LostSegment{Now: p.now, Seq: p.una, Bytes: 50_000, InFlight: p.flight, Lost: 50_000})
	require.Equal(t, bbrDown, b.state)
	require.Less(t, b.inflightLT, uint64(bbrInf))
	p.c.Cwnd = 5000
	b.OnEvent(&p.c, CongestionSpurious, p.sample())
	require.Equal(t, bbrRefill, b.state)
	require.Equal(t, uint64(bbrInf), b.inflightLT)
	require.Equal(t, cwnd, p.c.Cwnd)

	p, b = newBBRPath(100, 40*time.Millisecond)
	p.run(100 * time.Millisecond)
	b.OnEvent(&p.c, CongestionLoss, p.sample())
	b.noteLoss()
	b.startupTooHigh()
	b.state = bbrDrain
	b.OnEvent(&p.c, CongestionSpurious, p.sample())
	require.Equal(t, bbrStartup, b.state)
	require.False(t, b.fullBWReached)
}

// TestBBR_Timeout: a segment goes first, and the window of before comes back when
// what was lost is repaired.
func TestBBR_Timeout(t *testing.T) {
	p, b := inProbe(t, bbrCruise)
	cwnd := p.c.Cwnd
	b.OnEvent(&p.c, CongestionTimeout, p.sample())
	require.Equal(t, uint32(pathMSS), p.c.Cwnd)
	a := p.sample()
	a.AfterTimeout, a.Rate = true, &RateSample{Total: b.delivered + 1000}
	a.Delivered = 1000
	b.OnAck(&p.c, a)
	require.Equal(t, uint32(4*pathMSS), p.c.Cwnd)
	a.AfterTimeout = false
	b.OnAck(&p.c, a)
	require.GreaterOrEqual(t, p.c.Cwnd, cwnd*9/10)
}

// TestBBR_ECN: a CE mark ends a probe as losses do, and keeps queues short.
func TestBBR_ECN(t *testing.T) {
	p, b := inProbe(t, bbrUp)
	p.mark = p.bdp() / 20
	require.True(t, p.until(time.Second, func() bool { return b.prevTooHigh }))
	require.Equal(t, bbrDown, b.state)
	require.Less(t, b.inflightLT, uint64(2*p.bdp()))

	p, b = newBBRPath(100, 40*time.Millisecond)
	p.mark = p.bdp() / 20
	require.True(t, p.until(10*time.Second, func() bool { return b.state == bbrDrain }))
	require.True(t, b.fullBWReached)
	n := p.run(10 * time.Second)
	require.Greater(t, float64(n), 0.85*10*float64(p.rate))
}
