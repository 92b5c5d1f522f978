package stack

// prrState is Proportional Rate Reduction (RFC 6937): during recovery the window
// goes down to the threshold in step with what arrives, and no further.
type prrState struct {
	delivered uint32 // bytes that have arrived since recovery began
	out       uint32 // bytes sent since
	flight    uint32 // RecoverFS: bytes in flight when it began
	repaired  uint32 // bytes sent again, each once
	first     bool   // the first segment has not been sent again yet
}

// window is how much may be sent now (RFC 6937 3): delivered bytes have newly
// arrived, pipe bytes are in flight. Below the threshold as much may go as arrives,
// and catch up with what did not go before; an ACK that shows progress and no new
// loss lets the window grow as in slow start (RFC 9937 6.2).
func (r *prrState) window(delivered, pipe, ssthresh, mss uint32, progress bool) uint32 {
	r.delivered += delivered
	if pipe > ssthresh {
		quota := (uint64(r.delivered)*uint64(ssthresh) + uint64(r.flight) - 1) / uint64(r.flight)
		return uint32(max(0, int64(quota)-int64(r.out)))
	}
	limit := max(r.delivered-min(r.delivered, r.out), delivered)
	if progress {
		limit += mss
	}
	return min(ssthresh-pipe, limit)
}

// prrAck sets the window for an ACK in recovery.
func (t *TCP) prrAck(l *tcpLoss, a *AckSample) {
	c := &t.cc
	pipe := t.inFlight()
	n := l.prr.window(a.Delivered, pipe, c.Ssthresh, c.MSS, a.Acked != 0 && a.Lost == 0)
	if l.prr.first {
		n = max(n, c.MSS)
	}
	c.Cwnd = max(pipe+n, c.MSS)
}

// prrSent books n bytes that go out.
func (t *TCP) prrSent(n uint32) {
	if t.flags&tfRecovery != 0 {
		t.cold.loss.prr.out += n
	}
}
