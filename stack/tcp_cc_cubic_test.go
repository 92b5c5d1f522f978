package stack

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cubicPath acknowledges a connection's segments of 1000 bytes at a fixed round
// trip, a window every rtt, each ACK for one segment.
type cubicPath struct {
	c   Congestion
	st  ccState
	now int64
	rtt int64
}

// round lets a round trip pass.
func (p *cubicPath) round() {
	n := int64(p.c.Cwnd / p.c.MSS)
	for i := range n {
		a := ack(1000, p.c.Cwnd)
		a.Now, a.SRTT = p.now+i*p.rtt/n, p.rtt
		cubicAvoid(&p.c, &p.st.cubic, a)
	}
	p.now += p.rtt
}

func (p *cubicPath) lose() {
	a := ack(0, p.c.Cwnd)
	a.Now = p.now
	cubicEvent(&p.c, &p.st, CongestionLoss, a)
	p.c.Cwnd = p.c.Ssthresh
}

// TestCubic_RFC9438_4_2_FollowsTheCurve: after a loss the window is the cubic
// function of Figure 1 and 2, in floating point, plus a round trip's lag.
func TestCubic_RFC9438_4_2_FollowsTheCurve(t *testing.T) {
	for _, rtt := range []time.Duration{80 * time.Millisecond, 200 * time.Millisecond} {
		p := cubicPath{c: window(1_000_000), now: int64(time.Hour), rtt: int64(rtt)}
		p.lose()
		require.Equal(t, uint32(700_000), p.c.Cwnd, "4.6: beta is 0.7")
		start := p.now
		k := math.Cbrt(1000 * (1 - 0.7) / 0.4)
		require.InDelta(t, 9.09, k, 0.01)
		for p.now-start < int64(20*time.Second) {
			p.round()
			at := float64(p.now-start) / 1e9
			want := 0.4*math.Pow(at-k, 3) + 1000
			require.InDelta(t, want, float64(p.c.Cwnd)/1000, 1+want/100, "after %.2f s", at)
		}
		require.Greater(t, p.c.Cwnd, uint32(1_400_000))
	}
}

// TestCubic_RFC9438_4_3_RenoFriendly: on a short path the window is Reno's with
// alpha = 3(1-beta)/(1+beta): 0.53 segments a round trip, and one a round trip
// beyond the window before the loss.
func TestCubic_RFC9438_4_3_RenoFriendly(t *testing.T) {
	p := cubicPath{c: window(100_000), now: int64(time.Hour), rtt: int64(time.Millisecond)}
	p.lose()
	before := p.c.Cwnd
	for range 50 {
		p.round()
	}
	require.InDelta(t, 50*0.529*1000, float64(p.c.Cwnd-before), 600)
	for p.c.Cwnd < 101_000 {
		p.round()
	}
	before = p.c.Cwnd
	for range 50 {
		p.round()
	}
	require.InDelta(t, 50*1000, float64(p.c.Cwnd-before), 1500)
}

// TestCubic_RFC9438_4_4_TargetIsBounded: a round trip grows the window by half at
// most, however long ago the loss was.
func TestCubic_RFC9438_4_2_TargetIsBounded(t *testing.T) {
	p := cubicPath{c: window(100_000), now: int64(time.Hour), rtt: int64(100 * time.Millisecond)}
	p.lose()
	p.round()
	was := p.c.Cwnd
	a := ack(was, was)
	a.Now, a.SRTT = p.now+int64(time.Minute), p.rtt
	cubicAvoid(&p.c, &p.st.cubic, a)
	require.InDelta(t, 1.5*float64(was), float64(p.c.Cwnd), 2)
}

// TestCubic_RFC9438_4_7_FastConvergence: a flow that loses below its old maximum
// gives way.
func TestCubic_RFC9438_4_7_FastConvergence(t *testing.T) {
	p := cubicPath{c: window(100_000), rtt: int64(100 * time.Millisecond)}
	p.lose()
	require.InDelta(t, 100_000, p.st.cubic.wMax, 1)
	p.lose() // at 70,000
	require.InDelta(t, 70_000*1.7/2, p.st.cubic.wMax, 1)
	require.Equal(t, uint32(49_000), p.c.Cwnd)
}

// TestCubic_RFC9438_4_8_Timeout: one segment, and a new epoch that begins at the
// window slow start has reached.
func TestCubic_RFC9438_4_8_Timeout(t *testing.T) {
	p := cubicPath{c: window(100_000), now: int64(time.Hour), rtt: int64(100 * time.Millisecond)}
	cubicEvent(&p.c, &p.st, CongestionTimeout, ack(0, 100_000))
	require.Equal(t, uint32(1000), p.c.Cwnd)
	require.Equal(t, uint32(70_000), p.c.Ssthresh)
	cubicEvent(&p.c, &p.st, CongestionBackoff, ack(0, 100_000))
	require.Equal(t, uint32(70_000), p.c.Ssthresh)
	p.c.Cwnd = 70_000
	p.round()
	require.Zero(t, p.st.cubic.k)
	require.InDelta(t, 70_000, p.st.cubic.wMax, 1)
}

// TestCubic_RFC9438_4_6_ECN: a mark is answered like a loss, once.
func TestCubic_RFC9438_4_6_ECN(t *testing.T) {
	p := cubicPath{c: window(100_000)}
	cubicEvent(&p.c, &p.st, CongestionECN, ack(1000, 100_000))
	require.Equal(t, uint32(70_000), p.c.Cwnd)
	require.Equal(t, uint32(70_000), p.c.Ssthresh)
	p.c = window(2500)
	cubicEvent(&p.c, &p.st, CongestionECN, ack(1000, 2500))
	require.Equal(t, uint32(2000), p.c.Cwnd, "never below two segments")
}

// TestCubic_RFC9438_4_9_Spurious: a loss that was none leaves no trace.
func TestCubic_RFC9438_4_9_Spurious(t *testing.T) {
	for _, e := range []CongestionEvent{CongestionLoss, CongestionTimeout} {
		p := cubicPath{c: window(100_000), now: int64(time.Hour), rtt: int64(50 * time.Millisecond)}
		p.lose()
		for range 30 {
			p.round()
		}
		c, q := p.c, p.st.cubic
		cubicEvent(&p.c, &p.st, e, ack(0, p.c.Cwnd))
		require.Less(t, p.c.Ssthresh, c.Cwnd)
		p.c.Cwnd = p.c.Ssthresh
		cubicEvent(&p.c, &p.st, CongestionSpurious, ack(1000, p.c.Cwnd))
		require.Equal(t, c, p.c)
		require.Equal(t, q, p.st.cubic)
	}
}

// TestCubic_RFC9438_5_8_UnusedTimeDoesNotCount: the epoch excludes the time in
// which the application did not use the window.
func TestCubic_RFC9438_5_8_UnusedTimeDoesNotCount(t *testing.T) {
	p := cubicPath{c: window(100_000), now: int64(time.Hour), rtt: int64(100 * time.Millisecond)}
	p.lose()
	for range 10 {
		p.round()
	}
	twin := p
	p.now += int64(time.Minute)
	p.st.cubic.skip(p.now)
	p.st.cubic.tick, twin.st.cubic.tick = p.now, twin.now
	for range 10 {
		p.round()
		twin.round()
	}
	require.InDelta(t, float64(twin.c.Cwnd), float64(p.c.Cwnd), 1500)
}

// TestHystart tests RFC 9406 4.2, a round trip at a time.

// hystartPath is a connection in its first slow start; samples are segments.
type hystartPath struct {
	c  Congestion
	st ccState
}

// round acknowledges a window with n ACKs of one segment, all with that round
// trip in µs.
func (p *hystartPath) round(n int, rtt int64) {
	h := &p.st.hystart
	una := h.windowEnd
	for i := range n {
		a := ack(1000, p.c.Cwnd)
		a.RTT, a.Una, a.Nxt = rtt*1000, una.Add(uint32(i+1)), una.Add(uint32(n*2))
		if i == 0 {
			a.Una = una // the round begins
		}
		if p.c.Cwnd >= p.c.Ssthresh {
			return
		}
		hystartAck(&p.c, &p.st, a)
	}
}

func TestHystart_RFC9406_4_2_DoublesWithoutDelay(t *testing.T) {
	p := hystartPath{c: window(16_000)}
	for _, n := range []int{16, 32, 64, 128} {
		p.round(n, 20_000)
	}
	require.Equal(t, uint32(256_000), p.c.Cwnd)
	require.False(t, p.st.hystart.css)
}

func TestHystart_RFC9406_4_2_DelayEndsSlowStart(t *testing.T) {
	p := hystartPath{c: window(16_000)}
	p.round(16, 40_000)
	p.round(32, 44_000) // below 40 + 40/8 ms
	require.False(t, p.st.hystart.css)
	require.Equal(t, uint32(64_000), p.c.Cwnd)
	p.round(64, 49_600) // 44 + 5.5: conservative slow start from the eighth sample
	require.True(t, p.st.hystart.css)
	require.Equal(t, uint32(64_000+8*1000+56*250), p.c.Cwnd, "4.2: a quarter of the growth")
	for i := range 4 {
		require.Equal(t, uint32(ssthreshNone), p.c.Ssthresh, "round %d", i)
		p.round(16, 50_000)
	}
	was := p.c.Cwnd
	p.round(16, 50_000)
	require.Equal(t, was, p.c.Cwnd)
	require.Equal(t, was, p.c.Ssthresh, "five rounds, the first one in part: congestion avoidance")
}

func TestHystart_RFC9406_4_2_WhimResumesSlowStart(t *testing.T) {
	p := hystartPath{c: window(16_000)}
	p.round(16, 40_000)
	p.round(32, 60_000)
	require.True(t, p.st.hystart.css)
	p.round(32, 41_000)
	require.False(t, p.st.hystart.css)
	was := p.c.Cwnd
	p.round(32, 41_000)
	require.Equal(t, was+32_000, p.c.Cwnd)
}

func TestHystart_RFC9406_4_2_FewSamplesDecideNothing(t *testing.T) {
	p := hystartPath{c: window(16_000)}
	p.round(16, 40_000)
	p.round(7, 90_000)
	require.False(t, p.st.hystart.css)
	p.round(8, 200_000)
	require.True(t, p.st.hystart.css)
}

// TestHystart_RFC9406_4_3_Thresholds: the increase that counts is an eighth of
// the round trip, within 4 and 16 ms.
func TestHystart_RFC9406_4_3_Thresholds(t *testing.T) {
	for base, thresh := range map[int64]int64{1_000: 4_000, 32_000: 4_000, 64_000: 8_000, 128_000: 16_000, 500_000: 16_000} {
		p := hystartPath{c: window(16_000)}
		p.round(16, base)
		p.round(16, base+thresh-1)
		require.False(t, p.st.hystart.css, "%d µs", base)
		p = hystartPath{c: window(16_000)}
		p.round(16, base)
		p.round(16, base+thresh)
		require.True(t, p.st.hystart.css, "%d µs", base)
	}
}

func TestHystart_RFC9406_4_3_StretchAcks(t *testing.T) {
	p := hystartPath{c: window(16_000)}
	a := ack(20_000, 16_000)
	hystartAck(&p.c, &p.st, a)
	require.Equal(t, uint32(16_000+8_000), p.c.Cwnd, "L = 8")
}
