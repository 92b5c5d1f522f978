package stack

import (
	"github.com/shardstack/shardstack/header"
)

// A loss that was none. Three signs of it are known: the echoed timestamp is of
// before the retransmission (Eifel, RFC 3522), the peer had all that was sent again
// already (D-SACK, RFC 3708), and after a timeout data arrives that was not sent
// again (F-RTO, RFC 5682). Then the controller takes its answer back (RFC 4015).

// undoState is what can still show that the latest recovery was for nothing.
type undoState struct {
	on    bool
	ended bool       // recovery has; later than until nothing will show
	mark  header.Seq // sndUna when it began
	until header.Seq
	bytes uint32 // sent again
	dups  uint32 // of these the peer had
	stamp uint32 // timestamp of the first retransmission, valid if bytes is not 0
}

// begin starts a recovery.
func (u *undoState) begin(una header.Seq) { *u = undoState{on: true, mark: una} }

// open reports whether there is something to wait for.
func (u *undoState) open(una header.Seq) bool {
	return u.on && (!u.ended || una.Less(u.until) && u.bytes != 0)
}

// resent books n bytes that go out again.
func (u *undoState) resent(t *TCP, n uint32) {
	if u.bytes == 0 {
		u.stamp = t.s.tsNow + t.tsOffset
	}
	u.bytes += n
}

// duplicate takes a D-SACK block.
func (u *undoState) duplicate(b header.SACKBlock) {
	if u.on && b.Right.Greater(u.mark) {
		u.dups += b.Right.Sub(b.Left)
	}
}

// tryUndo looks for the first two signs.
func (t *TCP) tryUndo(l *tcpLoss, advance uint32, dsack bool, a *AckSample) {
	u := &l.undo
	if !u.on || u.bytes == 0 {
		return
	}
	if u.ended && t.sndUna.Greater(u.until) {
		u.on = false
		return
	}
	// RFC 3522 3.2: the first acknowledgement of what was sent again echoes a
	// timestamp of before.
	eifel := advance != 0 && !u.ended && t.flags&tfTimestamps != 0 && l.ecr != 0 && int32(l.ecr-u.stamp) < 0
	if eifel || dsack && u.dups >= u.bytes {
		t.spurious(l, a)
	}
}

// spurious takes the recovery back.
func (t *TCP) spurious(l *tcpLoss, a *AckSample) {
	t.s.stats.TCP.SpuriousRecoveries++
	if t.flags&tfRTO == 0 && t.flags&tfSack != 0 {
		t.flags |= tfReordered
	}
	if t.flags&(tfRecovery|tfRTO) != 0 {
		t.clearLost(l)
		t.flags &^= tfRecovery | tfRTO
		t.dupAcks = 0
		if t.flags&tfSack == 0 {
			l.sacked = 0
		}
	}
	l.undo, l.frto = undoState{}, frtoNone
	a.Recovery, a.AfterTimeout = false, false
	t.ccEvent(CongestionSpurious, a)
}

// frtoState is where F-RTO stands (RFC 5682 2.1, with SACK 3.1).
type frtoState uint8

const (
	frtoNone    frtoState = iota
	frtoWait              // a timeout was answered by one retransmission
	frtoNewData           // the ACK of that was answered by new data
)

// frtoAck takes an ACK after a timeout.
func (t *TCP) frtoAck(l *tcpLoss, advance uint32, a *AckSample) {
	if l.frto == frtoNone || t.flags&tfRTO == 0 {
		l.frto = frtoNone
		return
	}
	switch {
	case l.original && (t.flags&tfSack != 0 || l.frto == frtoNewData && advance != 0):
		t.spurious(l, a) // step 3b: what was not sent again has arrived
	case l.frto == frtoNewData: // step 3a: the loss was real
		l.frto = frtoNone
		if !t.ccOwnsRecovery() {
			t.cc.Cwnd = max(t.cc.Cwnd, 3*t.cc.MSS)
		}
	case advance == 0 || t.sndUna.GreaterEq(t.recover):
		l.frto = frtoNone // step 2a
	case t.unsent != nil && t.windowHas(seg(t.unsent)):
		l.frto = frtoNewData // step 2b
	default:
		l.frto = frtoNone
	}
}

// windowHas reports whether the peer's window has room for an MSS of g.
func (t *TCP) windowHas(g *tcpSeg) bool {
	return g.seq.Sub(t.sndUna)+min(g.n, uint32(t.mss)) <= t.sndWnd
}
