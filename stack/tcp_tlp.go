package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Tail loss probe (RFC 8985 7): when the last segments of a flight are lost no ACK
// tells. A probe after two round trips makes the peer say what it has, long before
// the retransmission timer would start all over.
//
// Only connections with selective acknowledgements have probes, as RFC 8985 3 asks
// for them and Linux has it: without them what comes back for a probe does not say
// whether it was needed (7.4), and of a lost tail would show the last segment only.
//
// Nor is there a probe before a round trip was measured, and a second one only after
// another was (7.3): a path that has become slow must get to show it.
//
// rtxAt is one of four timers: tfPersist, tfTLP and tfReoTimer say which; none of
// them: retransmission.

const (
	// tlpSlack keeps bunched ACKs from causing probes over short round trips.
	tlpSlack = 2_000_000
	// tlpLeast keeps a peer that is not scheduled for a while, on the same machine or
	// the same switch, from being probed.
	tlpLeast = 10_000_000
)

type tlpKind uint8

const (
	tlpNone  tlpKind = iota
	tlpNew           // the probe was new data
	tlpAgain         // or the last segment again
)

// tlpState is a probe that is under way.
type tlpState struct {
	kind tlpKind
	end  header.Seq // sndMax when it was sent
}

// startRtx starts the timer with the first segment of a flight (RFC 6298 5.1).
func (t *TCP) startRtx() {
	t.flags &^= tfPersist
	if t.flags&tfLoss == 0 || t.mayProbe() {
		t.restartRtx()
	} else {
		t.setRtx(t.s.now + t.rtt.rto())
	}
}

// restartRtx starts the retransmission timer anew (RFC 6298 5.3), or that of a
// probe. Something is in flight and nothing missing. A probe that would be due
// later than the retransmission goes at that time in its place (RFC 8985 7.2),
// and the retransmission a timeout later.
func (t *TCP) restartRtx() {
	d := t.rtt.rto()
	t.flags &^= tfTLP | tfReoTimer
	if t.probes() {
		t.flags |= tfTLP
		t.setProbe(t.s.now + d)
		return
	}
	t.setRtx(t.s.now + d)
}

// setProbe sets the timer for a probe; the retransmission would be due at rto.
func (t *TCP) setProbe(rto int64) {
	pto := int64(t.rtt.srtt8)*250 + tlpSlack // 2 SRTT
	pto = max(pto, tlpLeast)
	if t.sndMax.Sub(t.sndUna) <= uint32(t.mss) {
		pto += int64(t.s.cfg.TCP.MaxAckDelay)
	}
	at := min(t.s.now+pto, rto)
	t.rtt.afterProbe = uint16(min((rto-at)>>tickShift, 1<<16-1))
	t.setRtx(at)
}

// moreSent is called when new data has joined what was in flight: a probe waits
// for that as well, but not beyond the time of the retransmission, which does not
// move (RFC 8985 7.2, RFC 6298 5.1).
func (t *TCP) moreSent() {
	at := t.rtxAt
	switch {
	case t.flags&tfTLP != 0:
		at += int64(t.rtt.afterProbe) << tickShift
	case t.flags&tfPersist != 0 || !t.probes() || t.flags&tfLoss != 0 && !t.mayProbe():
		return
	}
	t.flags |= tfTLP
	t.setProbe(at)
}

// probes reports whether the connection has probes now.
func (t *TCP) probes() bool {
	return t.flags&tfSack != 0 && t.rtt.srtt8 != 0 && !t.rtt.probed && t.state >= StateEstablished
}

// mayProbe reports whether a probe may be planned in spite of the loss state:
// nothing is missing, and there is no probe yet (RFC 8985 7.2, 7.3).
func (t *TCP) mayProbe() bool {
	l := t.cold.loss
	return t.flags&(tfRecovery|tfRTO) == 0 && l.sacked|l.lost == 0 && l.tlp.kind == tlpNone
}

// lossTimer is restartRtx for a connection with loss state: restart if anything
// has arrived, and if RACK waits for something, no later than that.
func (t *TCP) lossTimer(l *tcpLoss, restart bool, wait int64) {
	if t.sndMax == t.sndUna {
		t.flags &^= tfTLP | tfReoTimer
		if t.flags&tfPersist == 0 {
			t.rtxAt = 0
		}
		return
	}
	if t.flags&tfPersist != 0 {
		return
	}
	switch {
	case wait != 0:
		if at := t.s.now + wait; restart || t.rtxAt == 0 || at < t.rtxAt || t.flags&(tfReoTimer|tfTLP) != 0 {
			t.flags = t.flags&^tfTLP | tfReoTimer
			t.setRtx(min(at, t.s.now+t.rtt.rto()))
		}
	case restart && t.mayProbe():
		t.restartRtx()
	case restart || t.flags&tfTLP != 0 && l.sacked != 0: // ACKs come: no probe is needed
		t.flags &^= tfTLP | tfReoTimer
		t.setRtx(t.s.now + t.rtt.rto())
	}
}

// tlpTimeout sends a probe (7.3): a segment of new data, or the last one again.
func (t *TCP) tlpTimeout() {
	t.flags &^= tfTLP
	if t.claimHolds() {
		return
	}
	l := t.lossPart()
	kind := tlpNone
	if p := t.unsent; p != nil && t.windowHas(seg(p)) {
		if t.sendProbe(p) {
			kind = tlpNew
		}
	} else if t.probeLast() {
		kind = tlpAgain
	}
	if kind != tlpNone {
		t.s.stats.TCP.LossProbes++
		t.rtt.probed = true
		l.tlp = tlpState{kind, t.sndMax}
	}
	t.setRtx(t.s.now + t.rtt.rto())
	t.settleLoss(l)
}

// sendProbe sends an MSS of new data whatever the congestion window says.
func (t *TCP) sendProbe(p *pbuf.Pbuf) bool {
	g := seg(p)
	if g.n > uint32(t.mss) && !t.splitSegment(p, uint32(t.mss)) || !t.sendSegment(p, g) {
		return false
	}
	t.sentNew(p, g)
	return true
}

// probeLast sends the last segment again, at most an MSS of it.
func (t *TCP) probeLast() bool {
	p := t.sndq.Tail()
	if t.unsent != nil {
		for p = t.sndq.Head(); p != nil && p.QNext() != t.unsent; {
			p = p.QNext()
		}
	}
	if p == nil {
		return false
	}
	g := seg(p)
	if mss := uint32(t.mss); g.n > mss {
		if !t.splitSegment(p, (g.n-1)/mss*mss) {
			return false
		}
		p = p.QNext()
		g = seg(p)
	}
	return t.sendSegment(p, g)
}

// tlpAck ends a probe (7.4). One that has repaired a loss is answered as one.
func (t *TCP) tlpAck(l *tcpLoss, ack header.Seq, a *AckSample, plainDup, dsack bool) {
	p := &l.tlp
	if p.kind == tlpNone || ack.Less(p.end) {
		return
	}
	switch {
	case p.kind == tlpNew || dsack: // nothing was lost
	case ack.Greater(p.end):
		t.ccEvent(CongestionLoss, a)
		if !t.ccOwnsRecovery() {
			t.cc.Cwnd = max(min(t.cc.Cwnd, t.cc.Ssthresh), t.cc.MSS)
		}
		a.Repaired = t.cc.MSS
		t.ccEvent(CongestionRecovered, a)
	case !plainDup: // still both may be
		return
	}
	p.kind = tlpNone
}
