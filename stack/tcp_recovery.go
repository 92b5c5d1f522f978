package stack

// recoveryState enters and leaves fast recovery, and sets the window in it. It
// reports whether it entered.
func (t *TCP) recoveryState(l *tcpLoss, a *AckSample) (entered bool) {
	if t.flags&tfRTO != 0 && t.sndUna.GreaterEq(t.recover) {
		t.flags &^= tfRTO
		t.recovered(l)
	}
	if t.flags&tfRecovery != 0 && t.sndUna.GreaterEq(t.recover) {
		t.endRecovery(l, a)
	}
	if l.lost != l.resent && t.flags&(tfRecovery|tfRTO) == 0 {
		if t.flags&tfProbe == 0 || !t.probeAlone(l) {
			t.enterRecovery(l, a)
		}
		entered = true
	}
	if t.flags&tfRecovery != 0 {
		a.Recovery = true
		if !t.ccOwnsRecovery() {
			t.prrAck(l, a)
		}
	}
	return entered
}

// enterRecovery: something is lost (RFC 6675 5 step 4, RFC 6582 3.2 step 2).
func (t *TCP) enterRecovery(l *tcpLoss, a *AckSample) {
	t.s.stats.TCP.FastRetransmits++
	t.recover = t.sndMax
	t.flags |= tfRecovery
	l.undo.begin(t.sndUna)
	l.prr = prrState{flight: max(a.FlightSize, 1), first: true}
	t.ccEvent(CongestionLoss, a)
}

// endRecovery: all that was in flight when it began is acknowledged.
func (t *TCP) endRecovery(l *tcpLoss, a *AckSample) {
	if !t.ccOwnsRecovery() { // RFC 5681 3.2 step 6
		t.cc.Cwnd = max(t.cc.Ssthresh, t.cc.MSS)
	}
	t.flags &^= tfRecovery
	t.recovered(l)
	a.Repaired = l.prr.repaired
	t.ccEvent(CongestionRecovered, a)
}

// recovered ends either recovery.
func (t *TCP) recovered(l *tcpLoss) {
	t.dupAcks = 0
	if t.flags&tfSack == 0 {
		l.sacked = 0
	}
	l.frto = frtoNone
	l.undo.until, l.undo.ended = t.sndMax, true
	// RFC 8985 6.2 step 4: the reordering window shrinks again after 16
	// recoveries without a sign that it was too small.
	if t.cold.reoPersist != 0 {
		if t.cold.reoPersist--; t.cold.reoPersist == 0 {
			t.cold.reoMult = 0
		}
	}
}

// resendLost sends what is lost again, as far as the window lets it, in order
// (RFC 6675 4, NextSeg rule 1). False: a buffer or the path was missing. held: what
// was never sent has to wait as well.
func (t *TCP) resendLost() (ok, held bool) {
	l := t.cold.loss
	if l.lost <= l.resent || l.frto == frtoNewData {
		return true, false
	}
	p := l.next
	if p == nil {
		p = t.sndq.Head()
	}
	for ; p != nil && p != t.unsent && l.lost > l.resent; p = p.QNext() {
		l.next = p
		g := seg(p)
		if g.mark&(segLost|segResent) != segLost {
			continue
		}
		// RFC 9293 3.8.6 (SHLD-16): as far as a window that has shrunk allows.
		off := uint32(max(0, int32(g.seq.Sub(t.sndUna))))
		if g.n != 0 && off >= t.sndWnd {
			return true, true
		}
		n := t.resendQuota(l, g)
		if g.n != 0 {
			n = min(n, t.sndWnd-off)
		}
		if n == 0 || t.paceHolds() {
			return true, true
		}
		if t.nif.holds() {
			t.nif.await(t)
			return true, true
		}
		if n < g.n && !t.splitSegment(p, n) || !t.sendSegment(p, g) {
			return false, true
		}
		l.resentNow(t, g)
	}
	return true, false
}

// resendQuota is how much of a lost segment may go now: all, or a multiple of the
// MSS; 0: nothing.
func (t *TCP) resendQuota(l *tcpLoss, g *tcpSeg) uint32 {
	mss := uint32(t.mss)
	pipe := t.inFlight()
	room := t.cc.Cwnd - min(t.cc.Cwnd, pipe)
	if l.prr.first || pipe == 0 { // the first goes in any case (RFC 6937 3, RFC 5681 3.2 step 3)
		room = max(room, mss)
	}
	n := g.n
	if n > mss {
		most := mss
		if t.flags&tfBig != 0 {
			most = uint32(t.bigLen())
		}
		n = t.paced(max(min(n, most, room-room%mss), mss))
	}
	if n > room && room < mss {
		return 0
	}
	return max(n, 1) // SYN or FIN alone
}

// resentNow books that g has gone out again.
func (l *tcpLoss) resentNow(t *TCP, g *tcpSeg) {
	n := g.seqLen()
	g.mark |= segResent
	l.resent += n
	l.prr.first = false
	if g.tx == 2 {
		l.prr.repaired += n
	}
	l.undo.resent(t, n)
	if t.flags&tfProbe != 0 {
		t.cold.search.probeResent(g, n)
	}
	if t.flags&tfPersist != 0 || t.rtxAt == 0 {
		t.flags &^= tfPersist
		t.setRtx(t.s.now + t.rtt.rto())
	}
}
