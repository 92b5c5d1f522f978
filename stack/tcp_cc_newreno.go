package stack

// newReno is the congestion control of RFC 5681 with the recovery of RFC 6582
// and byte counting (RFC 3465).
type newReno struct{}

// cwndMax keeps window arithmetic far from overflow: the largest window that
// RFC 7323 can announce.
const cwndMax = 1 << 30

func (newReno) OnAck(c *Congestion, acked, flight uint32, _ int64) {
	if c.Cwnd >= cwndMax {
		return
	}
	// RFC 7661's concern in its simplest form: a window that the sender does
	// not use says nothing about the path, so it does not grow.
	if flight+acked < c.Cwnd/2 {
		return
	}
	if c.Cwnd < c.Ssthresh {
		c.Cwnd += min(acked, 2*c.MSS) // slow start, L = 2 (RFC 3465 2.2)
		return
	}
	c.acked += acked // congestion avoidance: one SMSS a window
	if c.acked >= c.Cwnd {
		c.acked -= c.Cwnd
		c.Cwnd += c.MSS
	}
}

func (newReno) OnLoss(c *Congestion, flight uint32, _ int64) {
	c.Ssthresh = max(flight/2, 2*c.MSS) // RFC 5681 eq. 4
	c.acked = 0
}

func (newReno) OnTimeout(c *Congestion, flight uint32, first bool, _ int64) {
	if first { // RFC 5681 3.1: not again for the same segment
		c.Ssthresh = max(flight/2, 2*c.MSS)
	}
	c.Cwnd = c.MSS // the loss window
	c.acked = 0
}
