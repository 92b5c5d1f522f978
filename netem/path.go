package netem

import (
	"math"
	"math/rand/v2"

	"github.com/shardstack/shardstack/pbuf"
)

// Forever is what Next returns when nothing is under way.
const Forever = math.MaxInt64

// Stats count what became of frames. Every frame that was offered, and every
// copy that Duplicated counts, is in one of Delivered, Lost, QueueFull,
// EarlyDropped and Overflowed, or still held.
type Stats struct {
	Offered        uint64 // frames given to Send
	Delivered      uint64 // frames given back by Receive
	DeliveredBytes uint64
	Lost           uint64 // by Loss and Burst
	Duplicated     uint64 // copies made
	QueueFull      uint64 // found no room in the queue
	EarlyDropped   uint64 // by RED, CoDel or FQCoDel
	Marked         uint64 // got CE (RFC 3168 5)
	Corrupted      uint64
	Reordered      uint64 // held up by ReorderBy
	Overflowed     uint64 // beyond Limit, or no buffer for a copy
	MostQueued     int    // bytes
}

// Path is one direction of a link. See the package comment.
type Path struct {
	cfg   Config
	rng   *rand.Rand
	bad   bool // state of cfg.Burst
	stats Stats

	queue discipline // nil: no Rate
	free  int64      // when the line is done with what it has taken, ns
	rest  uint64     // and the fraction of a nanosecond, in units of 1/Rate
	wire  ring       // frames that travel, by time of arrival
}

// New makes a Path. stream tells its random numbers from those of other paths
// with the same Seed.
func New(cfg Config, stream uint64) (*Path, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p := &Path{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, stream))}
	if cfg.Rate != 0 {
		p.queue = newDiscipline(p)
	}
	return p, nil
}

// Stats are the counters so far.
func (p *Path) Stats() Stats { return p.stats }

// Queued is how many bytes wait for the line, the frame that it sends not
// counted.
func (p *Path) Queued() int {
	if p.queue == nil {
		return 0
	}
	return p.queue.bytes()
}

// Len is how many frames the path holds.
func (p *Path) Len() int {
	if p.queue == nil {
		return p.wire.n
	}
	return p.queue.len() + p.wire.n
}

// chance is true with probability x. Without an impairment no number is drawn,
// so that adding one does not change what the others do to the first frame.
func (p *Path) chance(x float64) bool { return x > 0 && p.rng.Float64() < x }

// Send takes a frame at time now, which never goes back. The path owns f, of
// which there must be no other holder.
func (p *Path) Send(now int64, f *pbuf.Pbuf) {
	p.run(now)
	p.stats.Offered++
	if p.loses() {
		p.stats.Lost++
		f.Free()
		return
	}
	if p.chance(p.cfg.Duplicate) {
		p.stats.Duplicated++
		if again := f.Clone(pbuf.LayerLink, f.Kind()); again != nil {
			p.enter(now, again)
		} else {
			p.stats.Overflowed++
		}
	}
	p.enter(now, f)
}

// loses is the verdict of both loss models on a frame.
func (p *Path) loses() bool {
	b := &p.cfg.Burst
	lost := false
	if b.ToBad > 0 || b.LossGood > 0 {
		loss, turn := b.LossGood, b.ToBad
		if p.bad {
			loss, turn = b.LossBad, b.ToGood
		}
		lost = p.chance(loss)
		if p.chance(turn) {
			p.bad = !p.bad
		}
	}
	return p.chance(p.cfg.Loss) || lost
}

// enter queues a frame for the line, or has it travel at once.
func (p *Path) enter(now int64, f *pbuf.Pbuf) {
	switch {
	case p.Len() >= p.cfg.Limit:
		p.stats.Overflowed++
		f.Free()
	case p.queue == nil:
		p.travel(now, f)
	default:
		if p.queue.len() == 0 && p.free < now {
			p.free, p.rest = now, 0
		}
		p.queue.enqueue(f, now)
		p.stats.MostQueued = max(p.stats.MostQueued, p.queue.bytes())
		p.run(now)
	}
}

// run has the line take what it could send up to now. A frame is taken when the
// one before it has left, however late run is called.
func (p *Path) run(now int64) {
	for p.queue != nil && p.free <= now && p.queue.len() > 0 {
		f := p.queue.dequeue(p.free)
		if f == nil {
			return
		}
		t := uint64(f.TotLen())*8*1_000_000_000 + p.rest
		p.free += int64(t / p.cfg.Rate)
		p.rest = t % p.cfg.Rate
		p.travel(p.free, f)
	}
}

// travel puts a frame that leaves at a time on its way.
func (p *Path) travel(leaves int64, f *pbuf.Pbuf) {
	c := &p.cfg
	at := leaves + int64(c.Delay)
	if c.Jitter > 0 {
		at += p.rng.Int64N(int64(c.Jitter) + 1)
	}
	if p.chance(c.Reorder) {
		p.stats.Reordered++
		at += int64(c.ReorderBy)
	}
	if p.chance(c.Corrupt) {
		p.stats.Corrupted++
		p.corrupt(f)
	}
	p.wire.insert(entry{f: f, at: at})
}

// checked are the flags by which a device vouches for a frame.
const checked = pbuf.RxIPCsumGood | pbuf.RxL4CsumGood | pbuf.RxL4Partial

// corrupt flips a bit.
func (p *Path) corrupt(f *pbuf.Pbuf) {
	if f.TotLen() == 0 {
		return
	}
	bit := p.rng.IntN(8 * f.TotLen())
	f.PutAt(bit/8, f.GetAt(bit/8)^1<<(bit%8))
	f.Flags &^= checked
}

// Receive stores up to len(dst) frames that have arrived by now in dst and
// returns how many; they are the caller's.
func (p *Path) Receive(now int64, dst []*pbuf.Pbuf) (n int) {
	p.run(now)
	for n < len(dst) && p.wire.n > 0 && p.wire.head().at <= now {
		f := p.wire.pop().f
		p.stats.Delivered++
		p.stats.DeliveredBytes += uint64(f.TotLen())
		dst[n] = f
		n++
	}
	return n
}

// Next is when the path wants to run next: when a frame arrives, or the line is
// free for one that waits; Forever if nothing is under way. A Path that is asked
// later loses nothing: frames arrive late then.
func (p *Path) Next() int64 {
	next := int64(Forever)
	if p.queue != nil && p.queue.len() > 0 {
		next = p.free
	}
	if p.wire.n > 0 {
		next = min(next, p.wire.head().at)
	}
	return next
}

// Close frees the frames that the path holds.
func (p *Path) Close() {
	for p.wire.n > 0 {
		p.wire.pop().f.Free()
	}
	if p.queue != nil {
		p.queue.close()
	}
}
