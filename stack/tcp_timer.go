package stack

import (
	"github.com/shardstack/shardstack/header"
)

// A connection has several timers and one entry in the wheel. A timer is set
// by writing its time; the wheel is touched only if that is earlier than the
// entry. When the entry fires, what is due runs and the entry is set to the
// earliest of the rest: restarting the retransmission timer at every ACK costs
// a store. The entry of a connection that has ended stays, too, and serves the
// next that takes its PCB.

// arm makes sure that the entry fires at or before at.
func (t *TCP) arm(at int64) {
	if t.timerAt == 0 || at < t.timerAt {
		t.timerAt = at
		t.s.tcp.wheel.schedule(t.id, at)
	}
}

// setRtx starts the retransmission timer.
func (t *TCP) setRtx(at int64) {
	t.rtxAt = at
	t.arm(at)
}

// timerSoon has the timers of a connection fetched whose entry is about to fire.
func (s *Stack) timerSoon(id uint32) { prefetchTimers(s.pcb(id)) }

// timerFired is the wheel's call: connection id's entry is due. Most often nothing
// else is, as the timers have been moved since: of a connection that waits among very
// many one cache line is touched, then.
func (s *Stack) timerFired(id uint32) {
	t := s.pcb(id)
	t.timerAt = 0
	if at := t.earliest(); at > s.now && t.cold == nil {
		if at != Forever {
			t.timerAt = at
			s.tcp.wheel.schedule(id, at)
		}
		return
	}
	if t.s == nil {
		return
	}
	prefetchPCB(t)
	now := s.now
	due := func(at int64) bool { return at != 0 && at <= now && t.s != nil }
	if due(t.delack) {
		t.delackTimeout()
	}
	if due(t.rtxAt) {
		t.rtxAt = 0
		t.rtxTimeout()
	}
	if t.flags&tfOwnCC != 0 && due(t.cold.own.pace.at) {
		t.paceTimeout()
	}
	if due(t.ctlAt) {
		t.ctlAt = 0
		t.ctlTimeout()
	}
	if c := t.cold; c != nil && due(c.refusedAt) {
		c.refusedAt = 0
		if t.refused != nil && t.offerRefused() {
			_ = t.Output()
		}
	}
	if c := t.cold; c != nil && due(c.pollAt) {
		c.pollAt = now + c.pollEvery
		t.pollTimeout(c)
	}
	if k := t.ownKnobs(); k != nil && due(k.userAt) {
		k.userAt = 0
		t.userTimeoutFired()
	}
	if t.s != nil {
		t.rearm()
	}
}

// delackTimeout sends an ACK that waited for nothing, or, if the port is behind, when
// it has caught up: an ACK that is dropped costs the peer a timeout.
func (t *TCP) delackTimeout() {
	t.delack = 0
	t.s.stats.TCP.DelayedAcks++
	t.flags |= tfAckNow
	if t.nif.busy() {
		t.nif.await(t)
		return
	}
	t.flushAck()
}

// earliest is the earliest of the timers that every connection has, or Forever.
func (t *TCP) earliest() int64 {
	at := int64(Forever)
	for _, x := range [...]int64{t.delack, t.rtxAt, t.ctlAt} {
		if x != 0 && x < at {
			at = x
		}
	}
	return at
}

// rearm sets the entry to the earliest timer.
func (t *TCP) rearm() {
	at := t.earliest()
	if c := t.cold; c != nil {
		for _, x := range [...]int64{c.pollAt, c.refusedAt} {
			if x != 0 && x < at {
				at = x
			}
		}
		if o := c.own; o != nil && o.pace.at != 0 && o.pace.at < at {
			at = o.pace.at
		}
		if k := c.knobs; k != nil && k.userAt != 0 {
			at = min(at, k.userAt)
		}
	}
	if at != Forever {
		t.arm(at)
	}
}

// rtxTimeout is the retransmission or persist timer running out.
func (t *TCP) rtxTimeout() {
	if t.flags&tfClosePend != 0 {
		_ = t.shutdownSend()
		if t.s == nil || t.rtxAt != 0 {
			return
		}
	}
	switch {
	case t.flags&tfPersist != 0:
		t.persistTimeout()
	case t.sndMax == t.sndUna:
		t.flags &^= tfTLP | tfReoTimer
		_ = t.Output() // nothing in flight: a send that failed for want of a buffer
	case t.flags&tfReoTimer != 0:
		t.reorderTimeout()
	case t.flags&tfTLP != 0:
		t.tlpTimeout()
	default:
		t.retransmitTimeout()
	}
}

// retransmitTimeout is RFC 6298 5.4 … 5.7 and RFC 5681 3.1: back off, send the
// first segment again, and begin anew from there in slow start.
func (t *TCP) retransmitTimeout() {
	if int(t.nrtx) >= t.retryLimit() && t.userTimeout() == 0 {
		t.fastBlackHole()
		err := ErrTimeout
		if t.flags&tfSoftError != 0 { // RFC 1122 4.2.3.9
			err = ErrUnreachable
		}
		t.abandon(err, t.state != StateSynSent) // RFC 9293 3.8.3
		return
	}
	if t.claimHolds() {
		return
	}
	t.noteTimeout()
	if t.nrtx == 0 {
		t.stalled(seg(t.sndq.Head()).sentAt)
	}
	if t.nrtx < 255 {
		t.nrtx++
		t.rtt.backoff++
	}
	if t.flags&tfProbe != 0 {
		t.probeTimeout()
	}
	if t.nrtx%blackHoleRounds == 0 {
		t.blackHole()
		t.fastBlackHole()
	}
	a := t.ackSample()
	a.FlightBefore = t.inFlight()
	if t.nrtx == 1 {
		t.ccEvent(CongestionTimeout, a)
	} else {
		t.ccEvent(CongestionBackoff, a)
	}
	if t.sndWnd == 0 && t.state >= StateEstablished { // RFC 9293 3.8.6.1: only probes may go
		t.rewind()
	} else {
		t.timeoutLoss()
	}
	_ = t.Output()
	if t.s != nil && t.rtxAt == 0 {
		t.setRtx(t.s.now + t.rtt.rto())
	}
}

// timeoutLoss takes all that is in flight for lost.
func (t *TCP) timeoutLoss() {
	l := t.lossPart()
	first := t.nrtx == 1 && t.flags&(tfRecovery|tfRTO) == 0 && t.state >= StateEstablished
	l.frto = frtoNone
	if first { // RFC 5682 2.1 step 1
		l.frto = frtoWait
		l.undo.begin(t.sndUna)
	}
	t.recover = t.sndMax // RFC 6582 4: no fast retransmit for what goes out again
	t.flags = t.flags&^(tfRecovery|tfReoTimer|tfTLP) | tfRTO
	t.dupAcks = 0
	l.tlp, l.prr = tlpState{}, prrState{}
	t.loseAll(l)
}

// retransmitHead sends the first unacknowledged segment again (fast
// retransmit, answer to a repeated SYN).
func (t *TCP) retransmitHead() {
	p := t.sndq.Head()
	if p == nil {
		return
	}
	g := seg(p)
	if g.tx == 0 {
		return
	}
	t.sendSegment(p, g)
}

// startPersist starts the persist timer: the peer's window is closed and only
// a probe makes sure that we hear when it opens (RFC 9293 3.8.6.1).
func (t *TCP) startPersist() {
	t.flags |= tfPersist
	t.nrtx = 0
	t.stalled(t.s.now)
	t.setRtx(t.s.now + t.rtt.rto())
}

func (t *TCP) stopPersist() {
	t.flags &^= tfPersist
	t.rtxAt, t.nrtx, t.rtt.backoff = 0, 0, 0
	if t.sndMax != t.sndUna {
		t.setRtx(t.s.now + t.rtt.rto())
	}
}

// persistTimeout sends a probe: one byte beyond a closed window, or what fits
// into a small one (the override of silly window avoidance). A peer that
// answers keeps the connection open for ever (RFC 9293 3.8.6.1, MUST-37).
func (t *TCP) persistTimeout() {
	t.s.stats.TCP.PersistProbes++
	t.rtt.backoff = min(t.rtt.backoff+1, 16)
	n := max(min(t.sndWnd, t.cc.Cwnd), 1)
	p := t.unsent
	if p == nil && t.flags&tfPull != 0 {
		if p = t.pullProbe(n); p == nil {
			t.setRtx(t.s.now + t.rtt.rto())
			return
		}
	}
	if p == nil {
		t.stopPersist()
		return
	}
	g := seg(p)
	if g.n > n && !t.splitSegment(p, n) || !t.sendSegment(p, g) {
		t.setRtx(t.s.now + t.rtt.rto())
		return
	}
	// The probe may be taken: from now on it counts as sent, but the next
	// probe begins with it again.
	if end := g.end(); end.Greater(t.sndMax) {
		t.sndMax = end
	}
	t.setRtx(t.s.now + t.rtt.rto())
}

// ctlTimeout is the timer of the states that wait: keepalive, FIN-WAIT-2,
// TIME-WAIT.
func (t *TCP) ctlTimeout() {
	switch t.state {
	case StateTimeWait, StateFinWait2:
		if t.state == StateTimeWait || t.flags&tfDetached != 0 {
			t.abandon(ErrClosed, false)
			return
		}
	case StateFinWait1, StateClosing, StateLastAck:
		if _, bounded := t.lingers(); bounded && t.flags&tfDetached != 0 {
			t.abandon(ErrTimeout, true)
			return
		}
	}
	if t.flags&tfKeepAlive != 0 {
		t.keepaliveTimeout()
	}
}

// armKeepalive sets the timer to when the next probe would be due.
func (t *TCP) armKeepalive() {
	if t.state == StateEstablished || t.state == StateCloseWait {
		t.ctlAt = t.cold.nextKeepalive()
		t.arm(t.ctlAt)
	}
}

// nextKeepalive is when the connection will have been silent for too long.
func (c *tcpCold) nextKeepalive() int64 {
	return c.lastRecv + int64(c.keep.Idle) + int64(c.keepSent)*int64(c.keep.Interval)
}

// keepaliveTimeout sends a probe when the connection has been idle for long:
// an ACK with an old sequence number that the peer must answer
// (RFC 9293 3.8.4, RFC 1122 4.2.3.6).
func (t *TCP) keepaliveTimeout() {
	c := t.cold
	if t.state != StateEstablished && t.state != StateCloseWait {
		return
	}
	if t.s.now >= c.nextKeepalive() {
		if c.keepSent >= c.keep.Count {
			t.abandon(ErrTimeout, true)
			return
		}
		c.keepSent++
		t.s.stats.TCP.KeepaliveProbes++
		t.sendEmpty(t.sndMax.Add(^uint32(0)), header.TCPAck)
	}
	t.armKeepalive()
}

// pollTimeout calls the user's PollFunc.
func (t *TCP) pollTimeout(c *tcpCold) {
	if fn := c.poll; fn != nil && t.state != StateTimeWait {
		_ = fn(t.arg, t)
		if t.s != nil && t.unsent != nil {
			_ = t.Output()
		}
	}
}

// refusedRetry is how long refused data waits before it is offered again,
// unless a segment comes first (lwIP's fast timer).
const refusedRetry = 250_000_000

func (t *TCP) armRefused() {
	c := t.coldPart()
	c.refusedAt = t.s.now + refusedRetry
	t.arm(c.refusedAt)
}
