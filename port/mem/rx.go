package mem

import (
	"math"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// RxBurst gives the frames that have arrived by now, and posts buffers in place
// of those that were used.
func (e *End) RxBurst(qi int, now int64, dst []*pbuf.Pbuf) int {
	q := e.queues[qi]
	q.door.Disarm()
	q.settle()
	var n int
	if e.limit > 0 {
		n = q.receiveHeld(now, dst)
	} else {
		n = q.receive(dst)
	}
	if n > 0 {
		q.n.RxPackets += uint64(n)
		for _, p := range dst[:n] {
			q.n.RxBytes += uint64(p.TotLen())
		}
		q.publish()
	}
	return n
}

// receive takes frames from the links, beginning with another one each time, so
// that no sender starves.
func (q *queue) receive(dst []*pbuf.Pbuf) int {
	n := 0
	if q.turn++; q.turn >= len(q.from) {
		q.turn = 0
	}
	i := q.turn
	for range q.from {
		n += q.drain(q.from[i], dst[n:])
		if i++; i >= len(q.from) {
			i = 0
		}
	}
	return n
}

// drain takes frames from a link until it is empty or dst full, and posts
// buffers to it: a batch at a time while frames come, and the rest when none do.
func (q *queue) drain(l *rxLink, dst []*pbuf.Pbuf) int {
	n := 0
	for n < len(dst) {
		want := min(len(dst)-n, burst)
		got := l.recv.PopBatch(q.cs[:want])
		n += q.accept(l, q.cs[:got], dst[n:])
		if got < want {
			break
		}
	}
	if l.depth-l.posted >= l.batch || n == 0 {
		q.post(l)
	}
	return n
}

// accept makes packets of completions and returns how many: fewer, if some have
// several buffers. The headers of the buffers are this thread's and were written
// by it when it posted them; here they are touched one after the other, so that
// the misses of those that have left the cache overlap.
func (q *queue) accept(l *rxLink, cs []completion, dst []*pbuf.Pbuf) int {
	n, aliases := 0, 0
	for i := range cs {
		c := &cs[i]
		p := pbuf.At(c.buf)
		if c.info&infoAlias != 0 {
			aliases++
			dst[n] = p
			n++
			continue
		}
		p.SetLen(int(c.info & infoLen))
		if more := c.info&infoMore != 0; more || len(l.parts) > 0 {
			if len(l.parts) == 0 {
				l.first = c.hash
			}
			if p = l.join(p, more); p == nil {
				continue
			}
		}
		p.Time = c.time
		p.Flags = q.rxFlags(c.info)
		if c.info&infoLRO != 0 {
			applyLens(p, l.first)
		}
		if p.Flags&pbuf.RxHash != 0 {
			p.Hash = c.hash
		}
		dst[n] = p
		n++
	}
	l.posted -= len(cs) - aliases
	if aliases != 0 {
		q.borrow(l, aliases)
	}
	return n
}

// borrow books n aliases that have come by l.
func (q *queue) borrow(l *rxLink, n int) {
	if !l.known {
		l.known = true
		q.lender.learn(l.home.key[0], l.home)
	}
	q.pool.Borrowed(n)
}

// rxFlags are the flags of an arrived frame.
func (q *queue) rxFlags(info uint32) pbuf.Flags {
	f := q.end.rxFlags
	if info&infoDirty != 0 {
		f &^= pbuf.RxIPCsumGood | pbuf.RxL4CsumGood
	}
	if info&infoHash != 0 && q.end.cfg.Caps.Has(offload.RSSHash) {
		f |= pbuf.RxHash
	}
	return f
}

// post fills the link up with empty buffers, as far as the pool has them.
func (q *queue) post(l *rxLink) {
	for l.posted < l.depth {
		n := min(l.depth-l.posted, burst, q.pool.Avail(pbuf.ClassStandard))
		if n == 0 {
			return
		}
		n = q.pool.AllocBatch(q.bufs[:n])
		for i, p := range q.bufs[:n] {
			q.addrs[i] = p.Addr()
		}
		l.posted += l.fill.PushBatch(q.addrs[:n])
	}
}

// receiveHeld is receive for frames that have a time: they go from the links
// to the heap, and from there in the order of their times.
func (q *queue) receiveHeld(now int64, dst []*pbuf.Pbuf) int {
	q.hold()
	n := 0
	for n < len(dst) && q.held.next() <= now {
		dst[n] = q.held.pop()
		n++
	}
	return n
}

// hold empties the links into the heap. What is beyond the limit is dropped.
func (q *queue) hold() {
	before := q.n.Overflowed
	for _, l := range q.from {
		for {
			n := q.drain(l, q.arrived[:])
			for _, p := range q.arrived[:n] {
				if !q.held.push(p) {
					q.n.Overflowed++
					p.Free()
				}
			}
			if n < len(q.arrived) {
				break
			}
		}
	}
	if q.n.Overflowed != before {
		q.publish()
	}
}

// NextEvent implements port.Timed.
func (e *End) NextEvent(qi int) int64 {
	q := e.queues[qi]
	switch {
	case e.limit > 0:
		q.hold()
		return q.held.next()
	case q.waiting():
		return math.MinInt64
	}
	return math.MaxInt64
}
