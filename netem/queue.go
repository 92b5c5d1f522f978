package netem

import "github.com/shardstack/shardstack/pbuf"

// discipline is a queue in front of a line. It owns the frames that it holds,
// and frees and counts what it drops.
type discipline interface {
	enqueue(f *pbuf.Pbuf, now int64)
	// dequeue gives the frame that the line sends next; nil if there is none
	// (any more: CoDel drops here).
	dequeue(now int64) *pbuf.Pbuf
	len() int
	bytes() int
	close()
}

// newDiscipline makes the queue that a path's configuration describes.
func newDiscipline(p *Path) discipline {
	q := &p.cfg.Queue
	switch q.Kind {
	case RED:
		return &red{fifo: fifo{cfg: q, stats: &p.stats}, path: p}
	case CoDel:
		return &codelQueue{fifo: fifo{cfg: q, stats: &p.stats}}
	case FQCoDel:
		return newFQ(p)
	}
	return &fifo{cfg: q, stats: &p.stats}
}

// fifo is first come, first served, with a bound: DropTail, and what RED and
// CoDel stand on.
type fifo struct {
	cfg   *Queue
	stats *Stats
	ring  ring
	size  int // bytes
}

func (q *fifo) len() int   { return q.ring.n }
func (q *fifo) bytes() int { return q.size }

// full reports whether a frame finds no room. A queue that is empty takes any.
func (q *fifo) full(f *pbuf.Pbuf) bool {
	return q.ring.n >= q.cfg.Packets || q.ring.n > 0 && q.size+f.TotLen() > q.cfg.Bytes
}

func (q *fifo) enqueue(f *pbuf.Pbuf, now int64) {
	if q.full(f) {
		q.stats.QueueFull++
		f.Free()
		return
	}
	if q.cfg.MarkBytes > 0 && q.size > q.cfg.MarkBytes && MarkCE(f) {
		q.stats.Marked++
	}
	q.put(f, now)
}

func (q *fifo) put(f *pbuf.Pbuf, now int64) {
	q.ring.push(entry{f: f, at: now})
	q.size += f.TotLen()
}

// take is the first entry; its frame is nil if there is none.
func (q *fifo) take() entry {
	if q.ring.n == 0 {
		return entry{}
	}
	e := q.ring.pop()
	q.size -= e.f.TotLen()
	return e
}

func (q *fifo) dequeue(int64) *pbuf.Pbuf { return q.take().f }

func (q *fifo) close() {
	for e := q.take(); e.f != nil; e = q.take() {
		e.f.Free()
	}
}

// red is random early detection: it drops, or marks, with a probability that
// grows with the average queue (Floyd, Jacobson: Random Early Detection Gateways
// for Congestion Avoidance, 1993; "gentle", Floyd 2000).
type red struct {
	fifo
	path  *Path
	avg   int64 // average queue in bytes, times 2^WeightLog
	count int   // frames since the last one that was dropped or marked
	empty int64 // since when the queue is empty
}

func (q *red) enqueue(f *pbuf.Pbuf, now int64) {
	q.average(f, now)
	switch {
	case q.full(f):
		q.stats.QueueFull++
		q.count = 0
		f.Free()
		return
	case !q.early():
		q.count++
	case q.cfg.ECN && q.avg>>q.cfg.WeightLog <= 2*int64(q.cfg.MaxBytes) && MarkCE(f):
		q.stats.Marked++
		q.count = 0
	default:
		q.stats.EarlyDropped++
		q.count = 0
		f.Free()
		return
	}
	q.put(f, now)
}

// average brings the average up to date; a queue that was empty counts as if so
// many frames like f had seen it empty as the line could have sent.
func (q *red) average(f *pbuf.Pbuf, now int64) {
	w := q.cfg.WeightLog
	if q.len() > 0 {
		q.avg += int64(q.size) - q.avg>>w
		return
	}
	tx := max(int64(uint64(f.TotLen())*8*1_000_000_000/q.path.cfg.Rate), 1)
	for m := (now - q.empty) / tx; m > 0 && q.avg>>w > 0; m-- {
		q.avg -= q.avg >> w
	}
}

// early decides whether a frame is to be dropped before the queue is full.
func (q *red) early() bool {
	lo, hi := int64(q.cfg.MinBytes), int64(q.cfg.MaxBytes)
	avg := q.avg >> q.cfg.WeightLog
	var pb float64
	switch {
	case avg < lo:
		q.count = 0
		return false
	case avg < hi:
		pb = q.cfg.MaxP * float64(avg-lo) / float64(hi-lo)
	case avg < 2*hi:
		pb = q.cfg.MaxP + float64((1-q.cfg.MaxP)*float64(avg-hi)/float64(hi))
	default:
		return true
	}
	// Products are rounded before they are added: no machine may fuse the two.
	left := 1 - float64(float64(q.count)*pb)
	return left <= pb || q.path.rng.Float64() < pb/left
}

func (q *red) dequeue(now int64) *pbuf.Pbuf {
	f := q.take().f
	if q.len() == 0 {
		q.empty = now
	}
	return f
}
