package stack

import "github.com/shardstack/shardstack/header"

// HyStart++ (RFC 9406): the initial slow start ends before something is lost if
// the round trip grows. It then grows slower for some rounds (conservative slow
// start), and returns to slow start if the delay was a whim.

// Constants of RFC 9406 4.3; times in µs.
const (
	hystartMinThresh = 4_000
	hystartMaxThresh = 16_000
	hystartDivisor   = 8
	hystartSamples   = 8
	hystartCSSGrowth = 4
	hystartCSSRounds = 5
	hystartL         = 8 // not paced
)

// hystart are the variables of RFC 9406 4.2; RTTs in µs, 0: infinity.
type hystart struct {
	windowEnd       header.Seq
	lastMin, curMin uint32
	baseline        uint32 // cssBaselineMinRtt
	samples         uint8  // rttSampleCount
	rounds          uint8  // of conservative slow start
	begun           bool   // windowEnd is valid
	css             bool   // in conservative slow start
}

// hystartAck grows the window by an acknowledgement in the initial slow start.
func hystartAck(c *Congestion, st *ccState, a *AckSample) {
	h := &st.hystart
	if !h.begun || a.Una.GreaterEq(h.windowEnd) {
		h.round(a.Nxt)
		if h.css {
			if h.rounds++; h.rounds >= hystartCSSRounds {
				c.Ssthresh = c.Cwnd // congestion avoidance
				st.cubic.cwndPrior = float64(c.Cwnd)
				return
			}
		}
	}
	grow := min(a.Delivered, hystartL*c.MSS)
	if h.css {
		grow /= hystartCSSGrowth
	}
	c.Cwnd += grow
	if a.RTT != 0 {
		h.sample(uint32(min(max(a.RTT/1000, 1), maxRTTSample)))
	}
}

// round begins a round, which ends when what was sent until now is acknowledged.
func (h *hystart) round(nxt header.Seq) {
	h.windowEnd, h.begun = nxt, true
	h.lastMin, h.curMin, h.samples = h.curMin, 0, 0
}

// sample takes a round trip in µs and decides about conservative slow start.
func (h *hystart) sample(rtt uint32) {
	if h.curMin == 0 || rtt < h.curMin {
		h.curMin = rtt
	}
	if h.samples < hystartSamples {
		h.samples++
	}
	if h.samples < hystartSamples {
		return
	}
	if h.css {
		if h.curMin < h.baseline { // the increase was a whim
			h.css, h.baseline = false, 0
		}
		return
	}
	if h.lastMin == 0 {
		return
	}
	thresh := max(hystartMinThresh, min(h.lastMin/hystartDivisor, hystartMaxThresh))
	if h.curMin >= h.lastMin+thresh {
		h.css, h.baseline, h.rounds = true, h.curMin, 0
	}
}
