package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Loss recovery. As long as nothing is missing a connection has no state for it;
// the first duplicate ACK, SACK block or timeout makes a tcpLoss, with which ACKs
// go through ackLossy instead of ackAdvance, and which is given back when all is
// well again.
//
//	ackLossy    takeBlocks (tcp_sack.go), freeAcked     the scoreboard
//	├ tlpAck, tryUndo (tcp_tlp.go, tcp_undo.go)         was it needed at all?
//	├ findLost  rackDetect (tcp_rack.go), or NewReno    what is missing?
//	├ prr       (tcp_prr.go)                            how much may go?
//	└ lossTimer                                         RTO, PTO or reordering timer
//	outputData  resendLost, then what was never sent
//
// A segment is in flight from when it is sent until the peer has it or it is taken
// for lost (RFC 6675 4, "pipe"). Segments of which only a part is concerned are
// cut, so that all of a segment is in the same condition.

// Marks of segments that were sent.
const (
	segSacked uint8 = 1 << iota // the peer has it, out of order
	segLost                     // taken for lost
	segResent                   // and sent again since
)

// tcpLoss is the state. It belongs to one connection and goes back to a free list
// of the stack.
type tcpLoss struct {
	// The scoreboard: bytes of sequence space between sndUna and sndMax. Without
	// SACK sacked is what duplicate ACKs stand for, and no segment is marked.
	sacked, lost, resent uint32
	sackCount            uint32     // segments that were marked since sacked was 0
	high                 header.Seq // end of the highest marked; valid while sacked is not 0
	seen                 [4]header.SACKBlock
	nseen                int
	cursor               *pbuf.Pbuf // the segment marked last, nil: unknown
	next                 *pbuf.Pbuf // no segment before it is to be sent again, nil: unknown

	rack rackState
	prr  prrState
	undo undoState
	frto frtoState
	tlp  tlpState

	// Of the ACK in work.
	delivered, newlyLost uint32
	priorHigh            header.Seq
	priorSacked          uint32
	ecr                  uint32 // echoed timestamp, 0: none
	reordered            bool   // what was sent before something that had arrived has, from here on
	reorderedAt          header.Seq
	original             bool // data of before the timeout that was never sent again has arrived
}

// lossPart returns the state, making it if need be.
func (t *TCP) lossPart() *tcpLoss {
	c := t.coldPart()
	if c.loss == nil {
		c.loss = t.s.tcp.losses.get()
		c.loss.rack.last = t.s.now
		t.flags |= tfLoss
	}
	return c.loss
}

// dropLoss gives the state back. Segments keep no marks, unless they are about to
// be freed.
func (t *TCP) dropLoss() {
	if t.flags&tfLoss == 0 {
		return
	}
	t.s.tcp.losses.put(t.cold.loss)
	t.cold.loss = nil
	t.flags &^= tfLoss
}

// settleLoss gives the state back if nothing in it is of use any more, nor tells
// the order of what was sent in this very moment (rackState.stamp).
func (t *TCP) settleLoss(l *tcpLoss) {
	if t.flags&(tfRecovery|tfRTO) == 0 && l.sacked|l.lost|l.resent == 0 && t.dupAcks == 0 &&
		l.tlp.kind == tlpNone && !l.undo.open(t.sndUna) && l.rack.last <= t.s.now {
		t.dropLoss()
	}
}

// pipe is what of n bytes between sndUna and sndMax is in flight.
func (l *tcpLoss) pipe(n uint32) uint32 {
	return n + l.resent - min(n+l.resent, l.sacked+l.lost)
}

// ackLossy is ackAdvance, and more, for a connection with loss state: ack is
// sndUna or beyond, blocks what the peer has selectively acknowledged, dup says
// that the ACK is a duplicate (RFC 5681 2).
func (t *TCP) ackLossy(ack header.Seq, tsEcr uint32, blocks []header.SACKBlock, dup bool) {
	l := t.lossPart()
	a := t.ackSample()
	a.FlightBefore = t.inFlight()
	l.delivered, l.newlyLost, l.original, l.reordered = 0, 0, false, false
	l.priorHigh, l.priorSacked, l.ecr = l.high, l.sacked, tsEcr
	advance := ack.Sub(t.sndUna)
	dsack := t.flags&tfSack != 0 && len(blocks) != 0 && t.takeBlocks(l, ack, blocks)
	data := t.freeAcked(ack, tsEcr)
	t.sndUna = ack
	if t.sndNxt.Less(ack) {
		t.sndNxt = ack
	}
	if l.reordered {
		t.noteReordering(l.reorderedAt, l.priorHigh)
	}
	if advance != 0 {
		t.cold.hist.noteProgress(t.s.now)
		t.nrtx, t.rtt.backoff = 0, 0
		t.flags &^= tfSoftError
	}
	if t.flags&tfSack == 0 {
		t.countDupAcks(l, advance, dup)
	}
	t.tlpAck(l, ack, a, dup && len(blocks) == 0, dsack)
	t.tryUndo(l, advance, dsack, a)
	t.frtoAck(l, advance, a)
	wait := t.findLost(l, advance)
	a.Acked, a.Delivered, a.Lost, a.Flight = advance, l.delivered, l.newlyLost, t.inFlight()
	entered := t.recoveryState(l, a)
	// RFC 5681 3.1, RFC 3042 3: a window does not grow for duplicates.
	if advance != 0 || l.delivered != 0 && t.flags&tfOwnCC != 0 {
		t.ccAck(a)
	}
	t.lossTimer(l, advance != 0 || entered, wait)
	t.settleLoss(l)
	if data == 0 {
		return
	}
	t.sndBuf += data
	if fn := t.sent; fn != nil && t.flags&tfDetached == 0 {
		_ = fn(t.arg, t, int(data))
	}
}

// scoreAcked books that n bytes of g, all or its front, are acknowledged in order.
func (t *TCP) scoreAcked(g *tcpSeg, n uint32) {
	l := t.cold.loss
	if g.mark&segSacked != 0 {
		l.sacked -= n
		return
	}
	l.deliver(t, g, n)
	if g.mark&segLost != 0 {
		l.lost -= n
	}
	if g.mark&segResent != 0 {
		l.resent -= n
	}
}

// deliver books that n bytes of g have newly arrived.
func (l *tcpLoss) deliver(t *TCP, g *tcpSeg, n uint32) {
	l.delivered += n
	if g.tx == 1 {
		l.original = l.original || g.end().LessEq(t.recover)
		// RFC 8985 6.2 step 3: what was sent once and arrives after what was sent
		// later shows that the path reorders.
		if l.priorSacked != 0 && g.end().Less(l.priorHigh) {
			t.flags |= tfReordered
			if !l.reordered || g.seq.Less(l.reorderedAt) {
				l.reordered, l.reorderedAt = true, g.seq
			}
		}
	}
	l.rack.delivered(t, g, l.ecr)
}

// countDupAcks is the scoreboard of a connection without SACK: each duplicate ACK
// stands for a segment that has arrived (RFC 6937 3, RFC 6582 3.2).
func (t *TCP) countDupAcks(l *tcpLoss, advance uint32, dup bool) {
	mss := uint32(t.mss)
	switch {
	case advance != 0:
		// The segment at the front was the missing one; what lies behind it is
		// what the duplicates were for.
		known := min(l.sacked, advance-min(advance, mss))
		l.sacked -= known
		l.delivered -= min(l.delivered, known)
		if t.flags&tfRecovery == 0 {
			t.dupAcks, l.sacked = 0, 0
		}
	case dup && t.flags&(tfRTO|tfPersist) == 0:
		if t.dupAcks < 255 {
			t.dupAcks++
		}
		out := t.sndMax.Sub(t.sndUna)
		if room := out - min(out, l.sacked+mss); room != 0 { // not the segment that is missing
			n := min(mss, room)
			l.sacked += n
			l.delivered += n
		}
	}
	if most := t.sndMax.Sub(t.sndUna) - min(t.sndMax.Sub(t.sndUna), l.lost); l.sacked > most {
		l.sacked = most
	}
}

// findLost marks what is missing by now. The result is how long to wait until
// more may be, 0: for nothing but ACKs.
func (t *TCP) findLost(l *tcpLoss, advance uint32) (wait int64) {
	if t.sndMax == t.sndUna {
		return 0
	}
	if t.flags&tfSack != 0 {
		if l.sacked|l.lost == 0 && t.flags&(tfRecovery|tfRTO) == 0 {
			return 0
		}
		return t.rackDetect(l)
	}
	switch {
	case t.flags&tfRecovery != 0:
		if advance != 0 && t.sndUna.Less(t.recover) {
			t.loseHead(l) // RFC 6582 3.2 step 3: a partial ACK, the next is missing too
		}
	case t.dupAcks >= 3 && t.flags&tfRTO == 0:
		// RFC 6582 3.2 step 2: no second fast retransmit for the same window. An
		// ACK just below recover covers what a timeout already sent again.
		if t.sndUna.Add(^uint32(0)).GreaterEq(t.recover) || t.recover == t.iss {
			t.loseHead(l)
		}
	}
	return 0
}

// loseHead marks the front of what is in flight, an MSS of it.
func (t *TCP) loseHead(l *tcpLoss) {
	p := t.sndq.Head()
	if p == nil || p == t.unsent {
		return
	}
	g := seg(p)
	if g.n > uint32(t.mss) && (t.flags&tfProbe == 0 || !t.cold.search.has(g)) {
		t.splitSegment(p, uint32(t.mss)) // if there is no buffer, all of it
	}
	if g.mark&(segLost|segResent) != segLost {
		t.markLost(l, g)
	}
}

// markLost takes a segment, or what was sent of it again, for lost.
func (t *TCP) markLost(l *tcpLoss, g *tcpSeg) {
	n := g.seqLen()
	if g.mark&segLost == 0 {
		g.mark |= segLost
		l.lost += n
	}
	if g.mark&segResent != 0 {
		g.mark &^= segResent
		l.resent -= n
	}
	l.newlyLost += n
	l.next = nil
	if t.flags&tfProbe != 0 {
		t.cold.search.probeMarked(g, n)
	}
	t.segLost(g, n)
}

// loseAll takes all that is in flight for lost, as after a timeout. If the peer
// no longer has what it said it had, which shows in the first segment, all that
// it said counts for nothing (RFC 2018 8).
func (t *TCP) loseAll(l *tcpLoss) {
	head := t.sndq.Head()
	reneged := head != nil && seg(head).mark&segSacked != 0
	if t.flags&tfSack == 0 {
		l.sacked = 0
	}
	for p := head; p != nil && p != t.unsent; p = p.QNext() {
		g := seg(p)
		if g.mark&segSacked != 0 {
			if !reneged {
				continue
			}
			g.mark &^= segSacked
			l.sacked -= g.seqLen()
		}
		if g.mark&(segLost|segResent) != segLost {
			t.markLost(l, g)
		}
	}
	if reneged {
		l.nseen, l.cursor = 0, nil
	}
}

// clearLost forgets what was taken for lost.
func (t *TCP) clearLost(l *tcpLoss) {
	for p := t.sndq.Head(); p != nil && p != t.unsent && l.lost|l.resent != 0; p = p.QNext() {
		g := seg(p)
		if g.mark&segLost != 0 {
			l.lost -= g.seqLen()
		}
		if g.mark&segResent != 0 {
			l.resent -= g.seqLen()
		}
		g.mark &^= segLost | segResent
	}
}

// rewind has all that is in flight sent again as if for the first time, once the
// window lets it out: it has closed over it.
func (t *TCP) rewind() {
	for p := t.sndq.Head(); p != nil && p != t.unsent; p = p.QNext() {
		seg(p).mark = 0
	}
	t.flags &^= tfRecovery | tfRTO
	t.dupAcks = 0
	t.dropLoss()
	t.unsent, t.sndNxt = t.sndq.Head(), t.sndUna
}

// resendInFlight sends all that is in flight again, without a congestion event:
// it could not arrive, being too long for the path.
func (t *TCP) resendInFlight() {
	if t.sndMax != t.sndUna && t.flags&tfPersist == 0 {
		l := t.lossPart()
		t.recover = t.sndMax
		t.flags = t.flags&^tfRecovery | tfRTO
		t.dupAcks = 0
		l.undo, l.frto, l.tlp = undoState{}, frtoNone, tlpState{}
		t.loseAll(l)
	}
	_ = t.Output()
}
