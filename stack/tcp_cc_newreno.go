package stack

// NewReno: the congestion control of RFC 5681 with byte counting (RFC 3465).
// What it does in recovery (RFC 6582) is the sender's (tcp_ack.go).

// cwndMax keeps window arithmetic far from overflow: the largest window that
// RFC 7323 can announce.
const cwndMax = 1 << 30

// windowUsed reports whether the window was in use when the ACK was caused. RFC
// 7661's concern in its simplest form: a window that the sender does not use
// says nothing about the path, so it does not grow.
func windowUsed(c *Congestion, a *AckSample) bool {
	return c.Cwnd < cwndMax && a.FlightBefore >= c.Cwnd/2
}

// renoSlowStart grows the window by what is acknowledged (RFC 5681 3.1), with
// L = 2 (RFC 3465 2.2).
func renoSlowStart(c *Congestion, a *AckSample) {
	if windowUsed(c, a) {
		c.Cwnd += min(a.Acked, 2*c.MSS)
	}
}

// renoAvoid is congestion avoidance: one SMSS a window (RFC 3465 2.1).
func renoAvoid(c *Congestion, st *ccState, a *AckSample) {
	if !windowUsed(c, a) {
		return
	}
	st.acked += a.Acked
	if st.acked >= c.Cwnd {
		st.acked -= c.Cwnd
		c.Cwnd += c.MSS
	}
}

func renoEvent(c *Congestion, st *ccState, e CongestionEvent, a *AckSample) {
	switch e {
	case CongestionLoss:
		renoReduce(c, st, a)
	case CongestionTimeout: // RFC 5681 3.1: only once for the same segment
		renoReduce(c, st, a)
		c.Cwnd = c.MSS // the loss window
	case CongestionBackoff:
		c.Cwnd = c.MSS
		st.acked = 0
	case CongestionSpurious:
		st.undo(c)
	}
}

// renoReduce sets the threshold (RFC 5681 eq. 4).
func renoReduce(c *Congestion, st *ccState, a *AckSample) {
	st.remember(c)
	c.Ssthresh = max(a.FlightBefore/2, 2*c.MSS)
	st.acked = 0
}

// remember keeps the window for undo.
func (st *ccState) remember(c *Congestion) {
	st.priorCwnd, st.priorSsthresh = c.Cwnd, c.Ssthresh
}

// undo takes the latest reduction back (RFC 4015 3.2). The window that the
// sender has used since may be larger than the old one.
func (st *ccState) undo(c *Congestion) {
	if st.priorCwnd != 0 {
		c.Cwnd, c.Ssthresh = max(c.Cwnd, st.priorCwnd), max(c.Ssthresh, st.priorSsthresh)
		st.priorCwnd = 0
	}
}
