package netem

import (
	"github.com/shardstack/shardstack/pbuf"
)

// fq is FlowQueue-CoDel (RFC 8290): flows are hashed to queues, which send in
// turn by deficit round robin; those that have just begun to send go first.
type fq struct {
	cfg   *Queue
	stats *Stats
	salt  uint64
	flows []fqFlow
	fresh []int32 // flows that have not used up their first turn
	old   []int32
	n     int
	size  int
}

// fqFlow is one queue. It is its own codel's source.
type fqFlow struct {
	fifo
	all    *fq
	ctl    codel
	credit int
	listed bool
}

func newFQ(p *Path) *fq {
	q := &fq{cfg: &p.cfg.Queue, stats: &p.stats, salt: p.rng.Uint64()}
	q.flows = make([]fqFlow, q.cfg.Flows)
	for i := range q.flows {
		q.flows[i].fifo = fifo{cfg: q.cfg, stats: q.stats}
		q.flows[i].all = q
	}
	return q
}

func (q *fq) len() int   { return q.n }
func (q *fq) bytes() int { return q.size }

func (q *fq) close() {
	for i := range q.flows {
		q.flows[i].close()
	}
	q.n, q.size, q.fresh, q.old = 0, 0, nil, nil
}

// take implements source and keeps the sums.
func (l *fqFlow) take() entry {
	e := l.fifo.take()
	if e.f != nil {
		l.all.n--
		l.all.size -= e.f.TotLen()
	}
	return e
}

// enqueue appends to the frame's flow (RFC 8290 4.1).
func (q *fq) enqueue(f *pbuf.Pbuf, now int64) {
	i := int32(flowHash(f, q.salt) % uint64(len(q.flows)))
	l := &q.flows[i]
	l.put(f, now)
	q.n++
	q.size += f.TotLen()
	if !l.listed {
		l.listed, l.credit = true, q.cfg.Quantum
		q.fresh = append(q.fresh, i)
	}
	if q.n > q.cfg.Packets || q.size > q.cfg.Bytes && q.n > 1 {
		q.shed()
	}
}

// shed drops half of the frames of the flow with the most bytes, at most 64,
// from the front (RFC 8290 4.1).
func (q *fq) shed() {
	fat := &q.flows[0]
	for i := range q.flows {
		if l := &q.flows[i]; l.size > fat.size {
			fat = l
		}
	}
	for n := max(min(fat.ring.n/2, 64), 1); n > 0; n-- {
		q.stats.QueueFull++
		fat.take().f.Free()
	}
}

// dequeue gives the next frame of the flow whose turn it is (RFC 8290 4.2).
func (q *fq) dequeue(now int64) *pbuf.Pbuf {
	for {
		list, isFresh := &q.fresh, true
		if len(*list) == 0 {
			list, isFresh = &q.old, false
		}
		if len(*list) == 0 {
			return nil
		}
		i := (*list)[0]
		l := &q.flows[i]
		if l.credit <= 0 {
			l.credit += q.cfg.Quantum
			popFront(list)
			q.old = append(q.old, i)
			continue
		}
		f := l.ctl.dequeue(l, now, q.cfg, q.stats)
		if f != nil {
			l.credit -= f.TotLen()
			return f
		}
		// A fresh flow that is empty has to wait its turn among the old ones, lest
		// it starve them by sending a frame now and then.
		popFront(list)
		if isFresh && len(q.old) > 0 {
			q.old = append(q.old, i)
		} else {
			l.listed = false
		}
	}
}

// popFront takes the first element out and keeps the memory.
func popFront(l *[]int32) {
	s := *l
	*l = s[:copy(s, s[1:])]
}
