package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Selective acknowledgement, the sender's side (RFC 2018 5, RFC 6675 5, RFC 2883).

// takeBlocks takes the blocks of an ACK, before what it acknowledges in order is
// freed. It reports whether the first tells of a duplicate.
func (t *TCP) takeBlocks(l *tcpLoss, ack header.Seq, blocks []header.SACKBlock) (dsack bool) {
	// RFC 2883 4: the first block is of a duplicate if it lies below the
	// acknowledgement, or within the second.
	if b := blocks[0]; b.Left.Less(b.Right) {
		dsack = b.Right.LessEq(ack)
		if !dsack && len(blocks) > 1 {
			o := blocks[1]
			dsack = o.Left.LessEq(b.Left) && b.Right.LessEq(o.Right)
		}
		if dsack {
			t.s.stats.TCP.DSACKsIn++
			t.cold.hist.dsackDups += uint32(t.segments(b.Right.Sub(b.Left)))
			t.dsackSeen(l)
			l.undo.duplicate(b)
			blocks = blocks[1:]
		}
	}
	seen, nseen := l.seen, l.nseen
	l.nseen = 0
	for _, b := range blocks {
		if b.Left.Less(ack) {
			b.Left = ack
		}
		if b.Left.GreaterEq(b.Right) || b.Right.Greater(t.sndMax) {
			continue // old, or nonsense
		}
		if t.markSacked(l, news(b, seen[:nseen])) && l.nseen < len(l.seen) {
			l.seen[l.nseen] = b
			l.nseen++
		}
	}
	return dsack
}

// oldBlocks takes the blocks of an ACK that another has overtaken: what they tell is
// still true (RFC 2018 5). What they tell of duplicates is not looked at.
func (t *TCP) oldBlocks(in *inSegment) {
	if t.flags&(tfSack|tfLoss) != tfSack|tfLoss || in.opts.NSACK == 0 {
		return
	}
	var fresh [len(in.opts.SACK)]header.SACKBlock
	n := 0
	for _, b := range in.opts.SACK[:in.opts.NSACK] {
		if b.Left.GreaterEq(t.sndUna) {
			fresh[n] = b
			n++
		}
	}
	if n != 0 {
		t.ackLossy(t.sndUna, 0, fresh[:n], false)
	}
}

// news is what of b was not told by the blocks of the last ACK, as far as that is
// easy to say: blocks mostly grow at one end.
func news(b header.SACKBlock, seen []header.SACKBlock) header.SACKBlock {
	for _, s := range seen {
		switch {
		case s.Left.LessEq(b.Left) && b.Left.LessEq(s.Right):
			if s.Right.GreaterEq(b.Right) {
				return header.SACKBlock{Left: b.Right, Right: b.Right}
			}
			b.Left = s.Right
		case s.Left.LessEq(b.Right) && b.Right.LessEq(s.Right):
			b.Right = s.Left
		}
	}
	return b
}

// markSacked marks the segments that b covers, cutting those that it covers in
// part. False: not all could be marked, for want of a buffer.
func (t *TCP) markSacked(l *tcpLoss, b header.SACKBlock) bool {
	p := l.cursor
	if p == nil || seg(p).seq.Greater(b.Left) {
		p = t.sndq.Head()
	}
	for ; p != nil && p != t.unsent; p = p.QNext() {
		g := seg(p)
		if g.seq.GreaterEq(b.Right) {
			break
		}
		if g.end().LessEq(b.Left) {
			continue
		}
		if g.mark&segSacked == 0 {
			if g.seq.Less(b.Left) { // its back, which comes next
				if !t.splitSegment(p, b.Left.Sub(g.seq)) {
					return false
				}
				continue
			}
			if over := b.Right.Sub(g.seq); g.end().Greater(b.Right) && (over >= g.n || !t.splitSegment(p, over)) {
				return false // over == g.n: all but its FIN
			}
			t.sackSegment(l, g)
		}
		l.cursor = p
	}
	return true
}

// sackSegment books that g has arrived out of order.
func (t *TCP) sackSegment(l *tcpLoss, g *tcpSeg) {
	n := g.seqLen()
	l.deliver(t, g, n)
	if g.tx == 1 {
		t.sampleRTT(t.s.now - g.sentAt)
	}
	t.segDelivered(g, n)
	if g.mark&segLost != 0 {
		l.lost -= n
	}
	if g.mark&segResent != 0 {
		l.resent -= n
	}
	g.mark = segSacked
	if l.sacked == 0 {
		l.sackCount, l.high = 0, g.end()
	} else if g.end().Greater(l.high) {
		l.high = g.end()
	}
	l.sacked += n
	l.sackCount += uint32(t.segments(g.n))
}

// forget is told that p leaves the queue.
func (l *tcpLoss) forget(p *pbuf.Pbuf) {
	if l.cursor == p {
		l.cursor = nil
	}
	if l.next == p {
		l.next = nil
	}
}
