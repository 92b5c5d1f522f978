package stack

import "math"

// CUBIC (RFC 9438): after a loss the window grows as a cubic function of time
// around the size at which the loss happened, and at least as fast as Reno's
// would on average. Windows are in bytes where the RFC has segments.
//
// Products are rounded to float64 before they are added, so that processors with
// and without fused multiply-add send the same packets.

const (
	cubicC     = 0.4 // RFC 9438 4.1.2, segments/s³
	cubicBeta  = 0.7 // 4.6
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

// cubic are the variables of RFC 9438 4.1.
type cubic struct {
	epoch     int64   // start of congestion avoidance, ns, less the time in which the window was not used; 0: not begun
	tick      int64   // of the latest ACK
	k         float64 // seconds from epoch until the window is wMax
	wMax      float64 // window before the latest reduction, 0: unknown
	wEst      float64 // Reno's window (4.3)
	cwndPrior float64 // window when Ssthresh was last set
	frac      float64 // of a byte that Cwnd lacks
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// window is W_cubic(t) (4.2, Figure 1), t in s.
func (q *cubic) window(t, mss float64) float64 {
	d := t - q.k
	return q.wMax + float64(cubicC*mss*d*d*d)
}

// begin starts an epoch (4.2). A window that slow start, or a timeout (4.8), has
// left alone grows from there.
func (q *cubic) begin(cwnd, mss float64, now int64) {
	q.epoch, q.wEst = now, cwnd
	if q.wMax <= cwnd {
		q.wMax, q.k = cwnd, 0
		return
	}
	q.k = math.Cbrt((q.wMax - cwnd) / mss / cubicC) // Figure 2
}

// skip takes the time since the latest ACK out of the epoch: the window was not
// used in it (5.8).
func (q *cubic) skip(now int64) {
	if q.epoch != 0 {
		q.epoch += now - q.tick
	}
	q.tick = now
}

// cubicAvoid is congestion avoidance (4.3, 4.4, 4.5).
func cubicAvoid(c *Congestion, q *cubic, a *AckSample) {
	mss, cwnd, acked := float64(c.MSS), float64(c.Cwnd)+q.frac, float64(a.Delivered)
	if q.epoch == 0 {
		q.begin(cwnd, mss, a.Now)
	}
	q.tick = a.Now
	alpha := cubicAlpha
	if q.wEst >= q.cwndPrior {
		alpha = 1
	}
	q.wEst += float64(alpha * mss * acked / cwnd) // Figure 4
	t := seconds(a.Now - q.epoch)
	if q.window(t, mss) < q.wEst { // Reno-friendly
		cwnd = max(cwnd, q.wEst)
	} else {
		target := min(max(q.window(t+seconds(a.SRTT), mss), cwnd), 1.5*cwnd) // Figure 5
		cwnd += float64((target - cwnd) * acked / cwnd)
	}
	cwnd = min(cwnd, cwndMax)
	c.Cwnd = uint32(cwnd)
	q.frac = cwnd - float64(c.Cwnd)
}

// cubicReduce sets the threshold after a congestion event (4.6), with fast
// convergence (4.7). A loss that happens while less than the window is used says
// something of what was used (RFC 7661 4.4.1).
func cubicReduce(c *Congestion, st *ccState, a *AckSample) {
	st.remember(c)
	q := &st.cubic
	cwnd := float64(c.Cwnd)
	if cwnd < q.wMax {
		q.wMax = cwnd * (1 + cubicBeta) / 2
	} else {
		q.wMax = cwnd
	}
	q.cwndPrior, q.epoch, q.frac = cwnd, 0, 0
	c.Ssthresh = max(uint32(float64(st.use.base(c, a))*cubicBeta), 2*c.MSS)
}

func cubicEvent(c *Congestion, st *ccState, e CongestionEvent, a *AckSample) {
	switch e {
	case CongestionLoss:
		cubicReduce(c, st, a)
	case CongestionECN:
		cubicReduce(c, st, a)
		c.Cwnd = min(c.Cwnd, c.Ssthresh)
	case CongestionTimeout: // 4.8
		cubicReduce(c, st, a)
		c.Cwnd, st.cubic.wMax = c.MSS, 0
	case CongestionBackoff:
		c.Cwnd = c.MSS
		st.cubic.epoch = 0
	case CongestionSpurious:
		st.undo(c)
	case CongestionRecovered:
		st.recovered(c, a, cubicBeta)
	}
}
