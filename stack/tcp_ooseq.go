package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// The out-of-order queue holds segments beyond rcvNxt: sorted, disjoint, and
// within Config.TCP.MaxOutOfOrder bytes. Its packets begin at the data.

// queueOutOfOrder keeps a segment for later. It owns p.
func (t *TCP) queueOutOfOrder(p *pbuf.Pbuf, seq header.Seq, n uint32, fin bool) {
	s := t.s
	if t.ooBytes+n > uint32(s.cfg.TCP.MaxOutOfOrder) || !t.oooRoom(p.ChainLen()) {
		s.drop(p, DropTCPOutOfOrder)
		return
	}
	left, right := seq, seq.Add(n)
	if fin {
		right = right.Add(1)
	}
	// Find the neighbours: prev ends the run that starts before seq.
	var prev *pbuf.Pbuf
	next := t.ooseq.Head()
	if last := t.ooseq.Tail(); last != nil && seg(last).seq.LessEq(seq) {
		prev, next = last, nil // behind a hole the rest comes in order
	}
	for next != nil && seg(next).seq.LessEq(seq) {
		prev, next = next, next.QNext()
	}
	if prev != nil {
		g := seg(prev)
		if g.flags&header.TCPFin != 0 {
			s.drop(p, DropTCPSeq) // nothing comes after a FIN
			return
		}
		if end := g.end(); end.Greater(seq) {
			overlap := end.Sub(seq)
			t.sackDuplicate(seq, seq.Add(min(overlap, n)))
			if overlap > n || overlap == n && !fin {
				t.sackArrived(left, right)
				s.stats.TCP.DupSegsIn++
				s.drop(p, DropTCPSeq)
				return
			}
			if p = p.FreeHeader(int(overlap)); p == nil {
				return // the FIN alone: it comes again
			}
			seq, n = end, n-overlap
		}
	}
	p, n, fin = t.trimAgainst(p, seq, n, fin, prev)
	t.sackArrived(left, right)
	if p == nil {
		return
	}
	g := seg(p)
	*g = tcpSeg{seq: seq, n: n}
	if fin {
		g.flags = header.TCPFin
	}
	t.ooseq.InsertAfter(prev, p)
	s.tcp.oooBufs += p.ChainLen()
	t.flags |= tfHeld
	t.ooBytes += n
}

// trimAgainst resolves the overlap with the segments behind prev: those that
// the new one covers go, of one that reaches beyond it the new one is cut.
func (t *TCP) trimAgainst(p *pbuf.Pbuf, seq header.Seq, n uint32, fin bool, prev *pbuf.Pbuf) (*pbuf.Pbuf, uint32, bool) {
	end := seq.Add(n)
	for {
		next := t.ooseq.Head()
		if prev != nil {
			next = prev.QNext()
		}
		if next == nil {
			return p, n, fin
		}
		g := seg(next)
		if g.seq.GreaterEq(end) && !(fin && g.seq == end) {
			return p, n, fin
		}
		if end.GreaterEq(g.seq.Add(g.n)) {
			fin = fin || g.flags&header.TCPFin != 0 && g.seq.Add(g.n) == end
			t.ooBytes -= g.n
			t.s.tcp.oooBufs -= next.ChainLen()
			t.sackDuplicate(g.seq, g.seq.Add(g.n))
			t.ooseq.RemoveAfter(prev)
			t.s.stats.TCP.DupSegsIn++
			next.Free()
			continue
		}
		n = g.seq.Sub(seq)
		t.sackDuplicate(g.seq, end)
		if n == 0 {
			t.s.drop(p, DropTCPSeq)
			return nil, 0, false
		}
		p.Realloc(int(n))
		return p, n, false
	}
}

// deliverOutOfOrder gives the user what has become in order.
func (t *TCP) deliverOutOfOrder() {
	for t.s != nil && t.refused == nil {
		p := t.ooseq.Head()
		if p == nil {
			return
		}
		g := seg(p)
		if g.seq.Greater(t.rcvNxt) {
			return
		}
		t.ooseq.Pop()
		t.ooBytes -= g.n
		t.s.tcp.oooBufs -= p.ChainLen()
		seq, n, fin := g.seq, g.n, g.flags&header.TCPFin != 0
		if p, _, n, fin = t.trimToWindow(p, seq, n, fin); p == nil {
			continue
		}
		if n == 0 {
			p.Free()
		} else if !t.deliver(p, n) {
			return
		}
		if fin {
			t.finInput()
			return
		}
	}
}

func (t *TCP) purgeOOSeq() {
	if !t.ooseq.Empty() || t.flags&tfSackOut != 0 {
		t.dropOOSeq()
	}
}

func (t *TCP) dropOOSeq() {
	for p := t.ooseq.Head(); p != nil; p = p.QNext() {
		t.s.tcp.oooBufs -= p.ChainLen()
	}
	t.ooseq.FreeAll()
	t.ooBytes = 0
	t.dropSackOut()
}
