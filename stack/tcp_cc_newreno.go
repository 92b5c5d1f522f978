package stack

// NewReno: the congestion control of RFC 5681 with byte counting (RFC 3465).
// What it does in recovery (RFC 6582) is the sender's (tcp_ack.go).

// cwndMax keeps window arithmetic far from overflow: the largest window that
// RFC 7323 can announce.
const cwndMax = 1 << 30

// slowStart grows the window by what is delivered (RFC 5681 3.1), at most limit
// segments an ACK (L of RFC 3465 2.2), and by one while what a timeout has sent
// again is acknowledged (2.3).
func slowStart(c *Congestion, a *AckSample, limit uint32) {
	if a.AfterTimeout {
		limit = 1
	}
	c.Cwnd = min(c.Cwnd+min(a.Delivered, limit*c.MSS), c.Ssthresh)
}

// renoL is L of RFC 3465 2.2.
const renoL = 2

// renoAvoid is congestion avoidance: one SMSS a window (RFC 3465 2.1).
func renoAvoid(c *Congestion, st *ccState, a *AckSample) {
	st.acked += a.Delivered
	if st.acked >= c.Cwnd {
		st.acked -= c.Cwnd
		c.Cwnd += c.MSS
	}
}

func renoEvent(c *Congestion, st *ccState, e CongestionEvent, a *AckSample) {
	switch e {
	case CongestionLoss:
		renoReduce(c, st, a)
	case CongestionECN: // RFC 3168 6.1.2: as for a loss, without recovery
		renoReduce(c, st, a)
		c.Cwnd = min(c.Cwnd, c.Ssthresh)
	case CongestionTimeout: // RFC 5681 3.1: only once for the same segment
		renoReduce(c, st, a)
		c.Cwnd = c.MSS // the loss window
	case CongestionBackoff:
		c.Cwnd = c.MSS
		st.acked = 0
	case CongestionSpurious:
		st.undo(c)
	case CongestionRecovered:
		st.recovered(c, a, 0.5)
	}
}

// renoReduce sets the threshold (RFC 5681 eq. 4; RFC 7661 4.4.1).
func renoReduce(c *Congestion, st *ccState, a *AckSample) {
	st.remember(c)
	c.Ssthresh = max(st.use.base(c, a)/2, 2*c.MSS)
	st.acked = 0
}
