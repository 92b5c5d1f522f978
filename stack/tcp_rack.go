package stack

import (
	"github.com/shardstack/shardstack/header"
)

// RACK (RFC 8985): a segment is lost if one that was sent later has arrived, and
// long enough ago that it can't just have been overtaken.

// rackState is what RACK knows of the segment sent last among those that have
// arrived (5.2).
type rackState struct {
	xmit int64      // when it was sent; 0: none has arrived
	rtt  int64      // its round trip, ns
	end  header.Seq // its end
	// A round in which a D-SACK has widened the window ends when sndUna is here.
	round   header.Seq
	roundOn bool
	last    int64 // send time of the segment sent last
}

// stamp is the send time of a segment that goes out now. Since the clock is read
// once a round, segments of one burst differ by a nanosecond each: what is sent
// again is out of sequence, so that only the time tells the order.
func (r *rackState) stamp(now int64) int64 {
	r.last = max(now, r.last+1)
	return r.last
}

// dupThresh duplicate ACKs, or segments selectively acknowledged, are no
// reordering as long as none was seen (RFC 5681 3.2, RFC 8985 6.2 step 4).
const dupThresh = 3

// delivered takes a segment that has arrived (6.2 steps 1 and 2); ecr is the
// echoed timestamp, 0 for none.
func (r *rackState) delivered(t *TCP, g *tcpSeg, ecr uint32) {
	rtt := max(t.s.now-g.sentAt, 0)
	if g.tx > 1 {
		// Did this transmission arrive, or one before? It did not if the echo is
		// of an earlier one, or it has come too soon.
		if t.flags&tfTimestamps != 0 && ecr != 0 && int32(ecr-(uint32(g.sentAt>>20)+t.tsOffset)) < 0 {
			return
		}
		if rtt < int64(t.rtt.minRTT)*1000 {
			return
		}
	}
	r.rtt = rtt
	if g.sentAt > r.xmit || g.sentAt == r.xmit && g.end().Greater(r.end) {
		r.xmit, r.end = g.sentAt, g.end()
	}
}

// reoWindow is how much longer than a round trip a segment may take before it
// counts as lost, in ns (6.2 step 4).
func (t *TCP) reoWindow(l *tcpLoss) int64 {
	if t.flags&tfReordered == 0 && (t.flags&(tfRecovery|tfRTO) != 0 || l.sackCount >= dupThresh) {
		return 0
	}
	quarter := int64(t.rtt.minRTT) * 1000 / 4
	return min(quarter*int64(1+t.cold.reoMult), int64(t.rtt.srtt8)*125)
}

// dsackSeen widens the reordering window, once a round trip (6.2 step 4).
func (t *TCP) dsackSeen(l *tcpLoss) {
	r := &l.rack
	if r.roundOn && t.sndUna.GreaterEq(r.round) {
		r.roundOn = false
	}
	if !r.roundOn {
		r.round, r.roundOn = t.sndMax, true
		if t.cold.reoMult < 255 {
			t.cold.reoMult++
		}
		t.cold.reoPersist = 16
	}
}

// rackDetect marks what is lost (6.2 step 5). The result is how long to wait for
// the next that may be, 0: for none.
func (t *TCP) rackDetect(l *tcpLoss) (wait int64) {
	r := &l.rack
	if r.xmit == 0 {
		return 0
	}
	reo, now := t.reoWindow(l), t.s.now
	for p := t.sndq.Head(); p != nil && p != t.unsent; p = p.QNext() {
		g := seg(p)
		if g.mark&segSacked != 0 || g.mark&(segLost|segResent) == segLost {
			continue
		}
		if g.sentAt > r.xmit || g.sentAt == r.xmit && g.end().GreaterEq(r.end) {
			if g.tx == 1 {
				break // what follows was sent later still
			}
			continue
		}
		if left := g.sentAt + r.rtt + reo - now; left > 0 {
			wait = max(wait, left)
			continue
		}
		t.markLost(l, g)
	}
	return wait
}

// reorderTimeout is the reordering timer running out (6.3).
func (t *TCP) reorderTimeout() {
	t.flags &^= tfReoTimer
	l := t.lossPart()
	a := t.ackSample()
	a.FlightBefore = t.inFlight()
	l.delivered, l.newlyLost = 0, 0
	wait := t.rackDetect(l)
	a.Lost, a.Flight = l.newlyLost, t.inFlight()
	t.recoveryState(l, a)
	t.lossTimer(l, true, wait)
	_ = t.Output()
}
