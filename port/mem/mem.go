package mem

import (
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"time"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/rss"
)

// End is one end of a wire: a port. It also has the optional interfaces
// port.RETASetter, port.KeySetter and port.Timed.
type End struct {
	cfg      EndConfig
	maxFrame int
	rss      port.RSS    // zero without RSS
	hasher   *rss.Hasher // nil without RSS
	rxFlags  pbuf.Flags  // of each undamaged frame that arrives here
	limit    int         // delayed frames a queue holds; 0 = frames are not delayed
	queues   []*queue
	peer     *End
	state    ring.State[endState]
	wire     *wire
}

// wire is what the ends share. mu serialises Attach, Start, Close and the
// setters of both; frames flow without it.
type wire struct{ mu sync.Mutex }

// endState says where in its life an end is.
type endState uint32

const (
	endNew endState = iota
	endStarted
	endClosed
)

var (
	_ port.Port       = (*End)(nil)
	_ port.Timed      = (*End)(nil)
	_ port.RETASetter = (*End)(nil)
	_ port.KeySetter  = (*End)(nil)
)

// New makes a wire and returns its ends. Errors match port.ErrConfig.
//
// Frames flow when both ends are started. An end may be closed while the other
// one is in use: what that sends is then dropped, as the link is down.
func New(cfg Config) (a, b *End, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	w := new(wire)
	a = newEnd(cfg.A.withDefaults(0), cfg.BtoA, w)
	b = newEnd(cfg.B.withDefaults(1), cfg.AtoB, w)
	a.peer, b.peer = b, a
	a.connect(cfg.AtoB, 0, cfg.Pause)
	b.connect(cfg.BtoA, 1, cfg.Pause)
	return a, b, nil
}

// newEnd makes an end at which frames arrive with the impairment in.
func newEnd(cfg EndConfig, in Impairment, w *wire) *End {
	e := &End{cfg: cfg, wire: w, maxFrame: cfg.MTU + linkHeader}
	if cfg.Queues > 1 || cfg.Caps.Has(offload.RSSHash) {
		e.rss.Key = cfg.RSSKey
		e.rss.RETA, _ = rss.NewRETA(cfg.RETASize, cfg.Queues) // checked by Validate
		e.hasher = rss.NewHasher(cfg.RSSKey)
	}
	if cfg.Caps.Has(offload.RxCsum) {
		e.rxFlags |= pbuf.RxIPCsumGood | pbuf.RxL4CsumGood
	}
	if cfg.Caps.Has(offload.RxTime) {
		e.rxFlags |= pbuf.RxTime
	}
	if in.timed() {
		e.limit = in.withDefaults().Limit
	}
	e.queues = make([]*queue, cfg.Queues)
	for i := range e.queues {
		e.queues[i] = newQueue(e, i)
	}
	return e
}

// connect makes the links from e to its peer, with the impairment out.
func (e *End) connect(out Impairment, direction uint64, pause bool) {
	for i, q := range e.queues {
		q.to = make([]*txLink, len(e.peer.queues))
		for j, r := range e.peer.queues {
			q.to[j] = &txLink{to: r}
		}
		if out.impaired() {
			q.impair = newImpairer(out, direction<<32|uint64(i), len(e.queues))
		}
		// Left to the receiver if it vouches for the wire anyway.
		if !e.peer.cfg.Caps.Has(offload.RxCsum) || out.Corrupt > 0 {
			q.finish = pbuf.TxIPCsum | pbuf.TxTCPCsum | pbuf.TxUDPCsum
		}
		q.plain = e.peer.hasher == nil && q.impair == nil
		q.pause = pause && q.impair == nil
		q.span = uint(min(e.maxFrame, e.peer.maxFrame) - minFrame)
	}
}

// Info describes the end. RSS is zero without RSS.
func (e *End) Info() port.Info {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	return port.Info{
		Name: e.cfg.Name, Queues: e.cfg.Queues, MTU: e.cfg.MTU, MAC: e.cfg.MAC,
		Caps: e.cfg.Caps, RSS: e.rss,
	}
}

// queue checks a queue's number.
func (e *End) queue(q int) (*queue, error) {
	if q < 0 || q >= len(e.queues) {
		return nil, fmt.Errorf("%w: %s has %d, not %d", port.ErrQueue, e.cfg.Name, len(e.queues), q)
	}
	return e.queues[q], nil
}

// checkNew says why an end can't be set up any more. Under mu.
func (e *End) checkNew() error {
	switch e.state.Load() {
	case endStarted:
		return fmt.Errorf("%w: %s", port.ErrState, e.cfg.Name)
	case endClosed:
		return fmt.Errorf("%w: %s", port.ErrClosed, e.cfg.Name)
	}
	return nil
}

// Attach gives queue q its pool and posts buffers of it.
func (e *End) Attach(q int, pool *pbuf.Pool) error {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	qu, err := e.queue(q)
	if err == nil {
		err = e.checkNew()
	}
	if err != nil {
		return err
	}
	if qu.pool != nil {
		return fmt.Errorf("%w: queue %d of %s", port.ErrState, q, e.cfg.Name)
	}
	return qu.attach(pool)
}

// attach makes the rings of all links to the queue and posts buffers.
func (q *queue) attach(pool *pbuf.Pool) error {
	e, senders := q.end, len(q.end.peer.queues)
	room := pool.DataRoom(pbuf.ClassStandard)
	free := pool.Avail(pbuf.ClassStandard)
	depth := min(e.cfg.QueueLen, free/2) / senders
	parts := 0
	if room > 0 {
		parts = (e.maxFrame + room - 1) / room
	}
	if room == 0 || depth < parts {
		return fmt.Errorf("%w: mem: queue %d of %s: pool %q has %d free buffers of %d bytes; a frame of %d bytes must fit in 1/%d of half of them, and of QueueLen %d",
			port.ErrConfig, q.id, e.cfg.Name, pool.Name(), free, room, e.maxFrame, senders, e.cfg.QueueLen)
	}
	size := max(1<<bits.Len(uint(depth-1)), 2)
	from := make([]*rxLink, senders)
	for i, sender := range e.peer.queues {
		fill, err := ring.NewSPSC[uintptr](size)
		if err != nil {
			return err
		}
		recv, err := ring.NewSPSC[completion](size)
		if err != nil {
			return err
		}
		tx := sender.to[q.id]
		tx.fill, tx.recv, tx.room = fill, recv, room
		tx.stock = make([]uintptr, max(parts, burst))
		from[i] = &rxLink{
			fill: fill, recv: recv, peer: tx, depth: depth,
			batch: min(burst/2, (depth+1)/2), parts: make([]*pbuf.Pbuf, 0, parts),
		}
	}
	q.pool, q.from = pool, from
	for _, l := range from {
		q.post(l)
	}
	return nil
}

// Start lets frames flow, once both ends are started.
func (e *End) Start() error {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	if err := e.checkNew(); err != nil {
		return err
	}
	for _, q := range e.queues {
		if q.pool == nil {
			return fmt.Errorf("%w: queue %d of %s", port.ErrNotAttached, q.id, e.cfg.Name)
		}
	}
	e.state.Store(endStarted)
	if e.Link().Up {
		for _, q := range append(e.queues[:len(e.queues):len(e.queues)], e.peer.queues...) {
			q.gate.Move(gateShut, gateOpen)
		}
	}
	return nil
}

// closePatience is how long Close waits for a thread of the other end to leave
// TxBurst. A burst takes microseconds; a thread that was killed in one never
// leaves.
const closePatience = time.Second

// Close takes the link down and returns the posted buffers. The other end may be
// in use meanwhile. ErrBusy: a thread did not leave TxBurst; nothing was
// returned, and Close may be tried again.
func (e *End) Close() error {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	if e.state.Load() == endClosed {
		return fmt.Errorf("%w: %s", port.ErrClosed, e.cfg.Name)
	}
	for _, q := range append(e.queues[:len(e.queues):len(e.queues)], e.peer.queues...) {
		if !q.shut() {
			return fmt.Errorf("%w: queue %d of %s is sending", port.ErrBusy, q.id, q.end.cfg.Name)
		}
	}
	e.state.Store(endClosed)
	var err error
	for _, q := range e.queues {
		q.reclaim()
		if cerr := q.door.Close(); cerr != nil {
			err = fmt.Errorf("mem: close doorbell of %s: %w", e.cfg.Name, cerr)
		}
	}
	return err
}

// shut keeps the queue's thread out of its links from now on, and waits until
// it has left them.
func (q *queue) shut() bool {
	for start := time.Now(); ; runtime.Gosched() {
		if q.gate.Move(gateOpen, gateShut) || q.gate.Load() == gateShut {
			return true
		}
		if time.Since(start) > closePatience {
			return false
		}
	}
}

// reclaim gives all buffers of the queue back to its pool, wherever in the wire
// they are. The senders are shut out.
func (q *queue) reclaim() {
	for _, l := range q.from {
		for c, ok := l.recv.Pop(); ok; c, ok = l.recv.Pop() {
			pbuf.At(c.buf).Free()
		}
		for a, ok := l.fill.Pop(); ok; a, ok = l.fill.Pop() {
			pbuf.At(a).Free()
		}
		for _, a := range l.peer.stock[:l.peer.have] {
			pbuf.At(a).Free()
		}
		l.peer.have = 0
		for _, p := range l.parts {
			p.Free()
		}
	}
	for p := q.held.pop(); p != nil; p = q.held.pop() {
		p.Free()
	}
	q.from = nil
}

// Link is up when both ends are started and none is closed.
func (e *End) Link() port.LinkState {
	return port.LinkState{Up: e.state.Load() == endStarted && e.peer.state.Load() == endStarted}
}

// SetRETA replaces the redirection table; only before Start.
func (e *End) SetRETA(t rss.RETA) error {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	if err := e.checkNew(); err != nil {
		return err
	}
	if !e.rss.Enabled() {
		return fmt.Errorf("%w: %s has one queue and no RSS", port.ErrNotSupported, e.cfg.Name)
	}
	if t.Size() != e.cfg.RETASize {
		return fmt.Errorf("%w: a RETA of %d entries for %s, which has %d", port.ErrConfig, t.Size(), e.cfg.Name, e.cfg.RETASize)
	}
	if err := t.Validate(e.cfg.Queues); err != nil {
		return fmt.Errorf("%w: %s: %w", port.ErrConfig, e.cfg.Name, err)
	}
	e.rss.RETA = t
	return nil
}

// SetKey replaces the RSS key; only before Start.
func (e *End) SetKey(k rss.Key) error {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	if err := e.checkNew(); err != nil {
		return err
	}
	if !e.rss.Enabled() {
		return fmt.Errorf("%w: %s has one queue and no RSS", port.ErrNotSupported, e.cfg.Name)
	}
	if k.IsZero() {
		return fmt.Errorf("%w: a zero RSS key for %s", port.ErrConfig, e.cfg.Name)
	}
	e.rss.Key = k
	e.hasher = rss.NewHasher(k)
	return nil
}
