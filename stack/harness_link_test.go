package stack

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/shardstack/shardstack/pbuf"
)

// linkConfig says what one direction of a pair's link does to frames.
type linkConfig struct {
	Loss    float64       // part of the frames that get lost
	Dup     float64       // part that arrive twice
	Reorder float64       // part that are held back by 1 to 4 times Delay
	Corrupt float64       // part that have one bit inverted
	Delay   time.Duration // default 50 µs; negative: none
	Jitter  time.Duration // added at random, so that frames overtake each other
	Rate    float64       // bits per second, 0: no limit
	Queue   int           // frames that wait for the rate before they get lost; default 1000
	Seed    uint64
	// Filter sees every frame first; false loses it. It may change b.
	Filter func(b []byte) bool
}

// link is one direction of a pair's link.
type link struct {
	cfg      linkConfig
	rng      *rand.Rand
	inFlight flight
	seq      uint64
	free     int64 // when the sender has sent what it has
	waiting  []int64
	lost     int
	carried  int
}

// bullet is a frame under way.
type bullet struct {
	at  int64
	seq uint64
	b   []byte
}

type flight []bullet

func (f flight) Len() int { return len(f) }
func (f flight) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].seq < f[j].seq
}
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)   { *f = append(*f, x.(bullet)) }
func (f *flight) Pop() any {
	x := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return x
}

func (l *link) init(cfg linkConfig, stream uint64) {
	def(&cfg.Delay, 50*time.Microsecond)
	def(&cfg.Queue, 1000)
	cfg.Delay = max(cfg.Delay, 0)
	l.cfg, l.rng = cfg, rand.New(rand.NewPCG(cfg.Seed, stream))
}

func (l *link) chance(p float64) bool { return p > 0 && l.rng.Float64() < p }

// send takes a frame at time now.
func (l *link) send(now int64, b []byte) {
	c := &l.cfg
	if c.Filter != nil && !c.Filter(b) || l.chance(c.Loss) {
		l.lost++
		return
	}
	leaves := now
	if c.Rate > 0 {
		for len(l.waiting) > 0 && l.waiting[0] <= now {
			l.waiting = l.waiting[1:]
		}
		if len(l.waiting) >= c.Queue {
			l.lost++
			return
		}
		l.free = max(l.free, now) + int64(float64(len(b)*8)/c.Rate*1e9)
		leaves = l.free
		l.waiting = append(l.waiting, leaves)
	}
	if l.chance(c.Corrupt) {
		b[l.rng.IntN(len(b))] ^= 1 << l.rng.IntN(8)
	}
	for n := 1; n > 0; n-- {
		at := leaves + int64(c.Delay)
		if c.Jitter > 0 {
			at += l.rng.Int64N(int64(c.Jitter))
		}
		if l.chance(c.Reorder) {
			at += int64(c.Delay) * (1 + l.rng.Int64N(4))
		}
		l.seq++
		heap.Push(&l.inFlight, bullet{at, l.seq, b})
		if l.chance(c.Dup) {
			n++
		}
	}
}

// next is when the next frame arrives, or Forever.
func (l *link) next() int64 {
	if len(l.inFlight) == 0 {
		return Forever
	}
	return l.inFlight[0].at
}

// deliver has h receive the frames that are there by now, in one burst.
func (l *link) deliver(now int64, h *host) {
	var ps []*pbuf.Pbuf
	for l.next() <= now {
		l.carried++
		ps = append(ps, h.packet(heap.Pop(&l.inFlight).(bullet).b))
	}
	if len(ps) > 0 {
		h.Input(h.nif, now, ps)
	}
}
