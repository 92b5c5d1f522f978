package stack

// Congestion is what a congestion controller steers, in bytes (RFC 5681 2).
type Congestion struct {
	Cwnd     uint32 // congestion window
	Ssthresh uint32 // slow start threshold
	MSS      uint32 // SMSS
	acked    uint32 // bytes acknowledged since Cwnd last grew (RFC 3465)
}

// CongestionControl decides how much may be in flight. The stack calls it on
// its thread; flight is FlightSize in bytes, now the clock in nanoseconds.
type CongestionControl interface {
	// OnAck: acked bytes of new data were acknowledged outside recovery.
	OnAck(c *Congestion, acked, flight uint32, now int64)
	// OnLoss: three duplicate ACKs; it sets Ssthresh (RFC 5681 eq. 4), the
	// stack does the rest of fast recovery.
	OnLoss(c *Congestion, flight uint32, now int64)
	// OnTimeout: the retransmission timer ran out, first time for this
	// segment if first; it sets Cwnd and Ssthresh.
	OnTimeout(c *Congestion, flight uint32, first bool, now int64)
}

// init starts a connection: initial window (RFC 6928, by the formula there),
// no threshold.
func (c *Congestion) init(mss uint32, iw int) {
	c.MSS = mss
	c.Cwnd = min(uint32(iw)*mss, max(2*mss, uint32(iw)*1460))
	c.Ssthresh = 1 << 30
	c.acked = 0
}

// The stack's own controller is called without an interface, so that the
// common case is a direct call.

func (t *TCP) onAck(acked uint32) {
	flight := t.sndMax.Sub(t.sndUna)
	if t.cold != nil && t.cold.ctl != nil {
		t.cold.ctl.OnAck(&t.cc, acked, flight, t.s.now)
		return
	}
	newReno{}.OnAck(&t.cc, acked, flight, t.s.now)
}

func (t *TCP) onLoss() {
	flight := t.sndMax.Sub(t.sndUna)
	if t.cold != nil && t.cold.ctl != nil {
		t.cold.ctl.OnLoss(&t.cc, flight, t.s.now)
		return
	}
	newReno{}.OnLoss(&t.cc, flight, t.s.now)
}

func (t *TCP) onTimeout(first bool) {
	flight := t.sndMax.Sub(t.sndUna)
	if t.cold != nil && t.cold.ctl != nil {
		t.cold.ctl.OnTimeout(&t.cc, flight, first, t.s.now)
		return
	}
	newReno{}.OnTimeout(&t.cc, flight, first, t.s.now)
}
