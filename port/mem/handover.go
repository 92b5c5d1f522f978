package mem

import (
	"math/bits"
	"slices"
	"sync"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/ring"
)

// With Config.HandOver frames are not copied: the receiver gets an alias of the
// sender's buffer (pbuf.Pool.MakeAlias), which the sender keeps until it is back.
//
//	sender                                  receiver
//	hand ── alias ──► recv (link) ────────► accept
//	  ▲                                        │ freed: its pool's Lender
//	  └─ unalias ◄─── back (channel) ◄──── lender.Drain, once a round
//
// What can't be handed over is copied, behind and in front of what can: frames of
// several buffers, references to other memory, short ones, and all beyond the
// number that may be out.

// copyBreak is the length, in bytes, below which a frame is copied: it fits in a
// few lines, and a buffer of the sender is free at once.
const copyBreak = 256

// channel takes aliases home: from the pool that they were lent to, to the pool
// whose buffers they are of. Wires between the same two pools share one.
type channel struct {
	back  *ring.SPSC[uintptr]
	limit int // aliases that may be out
	out   int // that are; the sender's
	links int // under channels.mu
	key   [2]uint8
	buf   [burst]uintptr
}

// take frees what has come home. Sender's thread.
func (c *channel) take() {
	for {
		n := c.back.PopBatch(c.buf[:])
		if n == 0 {
			return
		}
		c.out -= n
		pbuf.Unalias(c.buf[:n])
		if n < len(c.buf) {
			return
		}
	}
}

// lender is the pbuf.Lender of a receiving pool. All of it is that pool's thread's.
type lender struct {
	homes [pbuf.MaxPools]*channel // by pool that lends
	only  *channel                // if all has come by one
	count int
}

// learn is told of each link that aliases come by, before the first is freed.
func (d *lender) learn(home uint8, c *channel) {
	if d.homes[home] == nil {
		d.count++
	}
	if d.homes[home] = c; d.count == 1 {
		d.only = c
	} else {
		d.only = nil
	}
}

// Drain implements pbuf.Lender. There is room for all that is out.
func (d *lender) Drain(src []uintptr) {
	if d.only != nil {
		d.only.back.PushBatch(src)
		return
	}
	for _, a := range src {
		d.homes[pbuf.AliasHome(a)].back.Push(a)
	}
}

// channels are those of the process, by the pools that they lead from and to: a
// pool has one Lender, which finds its way by them.
var channels struct {
	mu  sync.Mutex
	all map[[2]uint8]*channel
}

// openChannel gives the channel for what pool home lends to pool to.
func openChannel(home, to uint8, limit int) (*channel, error) {
	channels.mu.Lock()
	defer channels.mu.Unlock()
	key := [2]uint8{home, to}
	c := channels.all[key]
	if c == nil {
		back, err := ring.NewSPSC[uintptr](max(1<<bits.Len(uint(limit-1)), 2))
		if err != nil {
			return nil, err
		}
		if channels.all == nil {
			channels.all = map[[2]uint8]*channel{}
		}
		c = &channel{key: key, back: back, limit: limit}
		channels.all[key] = c
	}
	c.links++
	return c, nil
}

// close forgets the channel with its last link.
func (c *channel) close() {
	channels.mu.Lock()
	defer channels.mu.Unlock()
	if c.links--; c.links == 0 {
		delete(channels.all, c.key)
	}
}

// lend makes the queue's pool one that aliases may come to, if it is not a device's.
func (q *queue) lend() {
	d, _ := q.pool.Lender().(*lender)
	if d == nil {
		if d = new(lender); !q.pool.SetLender(d) {
			return
		}
	}
	q.lender = d
}

// openChannels lets the queue hand frames over to what links lead to. Both ends are
// attached.
func (q *queue) openChannels(limit int) error {
	if !q.pool.CanAlias() || q.impair != nil {
		return nil
	}
	for _, l := range q.to {
		if l.to.lender == nil {
			continue
		}
		c, err := openChannel(q.pool.ID(), l.to.pool.ID(), limit)
		if err != nil {
			return err
		}
		l.home = c
		l.to.from[q.id].home = c
		l.by = pbuf.Borrower{
			To: l.to.pool.ID(), Meta: pbuf.Meta{Flags: l.to.rxFlags(0)},
			Least: copyBreak, Most: max(copyBreak, int(q.span)+minFrame), Not: q.finish,
		}
		if !slices.Contains(q.homes, c) {
			q.homes = append(q.homes, c)
		}
	}
	return nil
}

// closeChannels takes back what is back already. The queue's thread is gone.
func (q *queue) closeChannels() {
	for _, c := range q.homes {
		c.take()
	}
	for _, l := range q.to {
		if l.home != nil {
			l.home.close()
			l.home = nil
		}
	}
	q.homes = nil
}

// settle takes home what has come back, and sends home what the pool's thread has
// freed since.
func (q *queue) settle() {
	for _, c := range q.homes {
		c.take()
	}
	if q.lender != nil {
		q.pool.FlushLent()
	}
}

// outcome is what became of a frame.
type outcome uint8

const (
	undone  outcome = iota
	copied          // or lost, or refused: the sender frees it
	handed          // it is the receiver's
	refused         // the receiver pauses us
)

// hand hands the first of ps over, as far as that can be, and returns how many and
// what is to become of the next. undone: it is to be copied; refused: only the ring
// is full, so the sender is to be paused.
func (q *queue) hand(l *txLink, ps []*pbuf.Pbuf, now int64) (n, bytes int, next outcome) {
	most := min(l.home.limit-l.home.out, burst)
	if most <= 0 {
		return 0, 0, undone
	}
	if l.slots < most && !l.earn(most) {
		if q.pause {
			return 0, 0, refused
		}
		return 0, 0, undone
	}
	n, bytes = q.pool.MakeAliases(ps, &l.by, now, q.addrs[:min(most, l.slots)])
	l.home.out += n
	l.slots -= n
	if l.outN+n > len(l.out) {
		l.deliver()
	}
	out := l.out[l.outN:]
	for i, a := range q.addrs[:min(n, len(out))] {
		out[i] = completion{buf: a, info: infoAlias}
	}
	l.outN += n
	return n, bytes, undone
}

// handOne is hand for a frame that has been hashed: c has time, hash and flags.
func (q *queue) handOne(l *txLink, p *pbuf.Pbuf, c completion) outcome {
	m := l.by.Meta
	m.Flags = l.to.rxFlags(c.info)
	if m.Flags&pbuf.RxHash != 0 {
		m.Hash = c.hash
	}
	l.by.Meta, m = m, l.by.Meta
	q.one[0] = p
	n, _, next := q.hand(l, q.one[:], c.time)
	q.one[0] = nil
	l.by.Meta = m
	if n == 1 {
		return handed
	}
	return next
}

// earn looks how many frames may be handed over until the receiver takes some: n
// would be good, one will do.
func (l *txLink) earn(n int) bool {
	l.slots = max(0, l.depth-l.recv.Len()-l.outN)
	return l.slots > 0
}
