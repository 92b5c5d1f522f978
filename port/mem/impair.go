package mem

import (
	"math"
	"math/bits"
	"math/rand/v2"

	"github.com/shardstack/shardstack/pbuf"
)

// impairer does to the frames of one sending queue what Impairment says. It is
// the sender's: the receiver only sees times.
type impairer struct {
	cfg  Impairment
	rng  *rand.Rand
	line line
}

// newImpairer makes the impairer of one of several queues that share a
// direction. stream tells its random numbers from those of others.
func newImpairer(cfg Impairment, stream uint64, queues int) *impairer {
	cfg = cfg.withDefaults()
	return &impairer{
		cfg:  cfg,
		rng:  rand.New(rand.NewPCG(cfg.Seed, stream)),
		line: newLine(cfg.Rate, cfg.QueueBytes, queues),
	}
}

// chance is true with probability x. Without an impairment no number is drawn,
// so that adding one does not change what the others do to the first frame.
func (im *impairer) chance(x float64) bool { return x > 0 && im.rng.Float64() < x }

// send puts a frame on the wire: never, once or twice, now or later, whole or
// not.
func (im *impairer) send(q *queue, l *txLink, p *pbuf.Pbuf, c completion) {
	if im.chance(im.cfg.Loss) {
		q.n.Lost++
		return
	}
	copies := 1
	if im.chance(im.cfg.Duplicate) {
		q.n.Duplicated++
		copies = 2
	}
	sent := c.time
	for range copies {
		when, ok := im.line.transmit(sent, p.TotLen())
		if !ok {
			q.n.TailDropped++
			continue
		}
		c.time = when + int64(im.cfg.Delay)
		if im.cfg.Jitter > 0 {
			c.time += im.rng.Int64N(int64(im.cfg.Jitter) + 1)
		}
		if im.chance(im.cfg.Reorder) {
			q.n.Reordered++
			c.time += int64(im.cfg.ReorderBy)
		}
		if im.chance(im.cfg.Corrupt) {
			q.n.Corrupted++
			dirty := c
			dirty.info |= infoDirty
			l.scatter(p, dirty, im.rng.IntN(8*p.TotLen()))
			continue
		}
		l.put(p, c, 1)
	}
}

// line is a transmitter of limited rate with a queue in front.
type line struct {
	rate  uint64 // bits per second; 0 = not limited
	queue uint64 // bytes that may wait
	free  int64  // when the line is done with what it has taken, ns
	rest  uint64 // and the fraction of a nanosecond, in units of 1/rate
}

func newLine(rate uint64, queue, shares int) line {
	if rate == 0 {
		return line{}
	}
	return line{rate: max(rate/uint64(shares), 1), queue: uint64(queue / shares)}
}

// bitNanos is what a byte on the line takes, in bits times nanoseconds per
// second.
const bitNanos = 8 * 1_000_000_000

// waiting is how many bytes the line still has to send, that of the frame under
// way included.
func (l *line) waiting(now int64) uint64 {
	hi, lo := bits.Mul64(uint64(l.free-now), l.rate)
	if hi >= bitNanos {
		return math.MaxUint64
	}
	n, _ := bits.Div64(hi, lo, bitNanos)
	return n
}

// transmit queues n bytes at time now and returns when the last of them has
// left; false if they don't fit in the queue. A line that is idle takes any
// frame.
func (l *line) transmit(now int64, n int) (done int64, ok bool) {
	if l.rate == 0 {
		return now, true
	}
	if l.free <= now {
		l.free, l.rest = now, 0
	} else if w := l.waiting(now); w > l.queue || uint64(n) > l.queue-w {
		return 0, false
	}
	t := uint64(n)*bitNanos + l.rest
	l.free += int64(t / l.rate)
	l.rest = t % l.rate
	return l.free, true
}
