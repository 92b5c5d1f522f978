package netem

import (
	"math"

	"github.com/shardstack/shardstack/pbuf"
)

// codel is the state of RFC 8289's algorithm, for one queue.
type codel struct {
	firstAbove int64 // when the delay will have been above Target for an Interval; 0: it is not
	dropNext   int64
	count      int // drops since dropping began
	lastCount  int
	dropping   bool
}

// maxFrame is what may always wait: a queue of less is not controlled (RFC 8289
// 5.3, MTU).
const maxFrame = 1514

// source is what codel takes frames from.
type source interface {
	take() entry
	bytes() int
}

// law gives when to drop next: the interval shrinks with the square root of the
// number of drops (RFC 8289 4.5).
func (c *codel) law(t int64, cfg *Queue) int64 {
	return t + int64(float64(cfg.Interval)/math.Sqrt(float64(c.count)))
}

// pick takes a frame and says whether its delay allows to drop it (RFC 8289 5.3,
// dodequeue).
func (c *codel) pick(s source, now int64, cfg *Queue) (f *pbuf.Pbuf, drop bool) {
	e := s.take()
	switch {
	case e.f == nil:
		c.firstAbove = 0
	case now-e.at < int64(cfg.Target) || s.bytes() <= maxFrame:
		c.firstAbove = 0
	case c.firstAbove == 0:
		c.firstAbove = now + int64(cfg.Interval)
	default:
		drop = now >= c.firstAbove
	}
	return e.f, drop
}

// dequeue gives the next frame of s, nil if there is none, and drops or marks on
// the way what RFC 8289 5.5 says.
func (c *codel) dequeue(s source, now int64, cfg *Queue, st *Stats) *pbuf.Pbuf {
	f, drop := c.pick(s, now, cfg)
	if f == nil {
		c.dropping = false
		return nil
	}
	if !c.dropping {
		if !drop {
			return f
		}
		marked := c.punish(f, cfg, st)
		if !marked {
			f, _ = c.pick(s, now, cfg)
		}
		c.dropping = true
		// A queue that was controlled a moment ago goes on from the rate of drops
		// that controlled it (5.5: "16*INTERVAL").
		c.count = c.start(now, cfg)
		c.lastCount = c.count
		c.dropNext = c.law(now, cfg)
		return f
	}
	if !drop {
		c.dropping = false
		return f
	}
	for c.dropping && now >= c.dropNext {
		c.count++
		if c.punish(f, cfg, st) {
			c.dropNext = c.law(c.dropNext, cfg)
			return f
		}
		if f, drop = c.pick(s, now, cfg); !drop {
			c.dropping = false
		} else {
			c.dropNext = c.law(c.dropNext, cfg)
		}
	}
	return f
}

// start is the count with which dropping begins.
func (c *codel) start(now int64, cfg *Queue) int {
	if delta := c.count - c.lastCount; delta > 1 && now-c.dropNext < 16*int64(cfg.Interval) {
		return delta
	}
	return 1
}

// punish marks a frame, or frees it; true: it is marked and goes on.
func (c *codel) punish(f *pbuf.Pbuf, cfg *Queue, st *Stats) bool {
	if cfg.ECN && MarkCE(f) {
		st.Marked++
		return true
	}
	st.EarlyDropped++
	f.Free()
	return false
}

// codelQueue is one queue under codel.
type codelQueue struct {
	fifo
	ctl codel
}

func (q *codelQueue) dequeue(now int64) *pbuf.Pbuf {
	return q.ctl.dequeue(&q.fifo, now, q.cfg, q.stats)
}
