package mem

import (
	"fmt"
	"math/bits"
	"runtime"
	"time"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
)

// An end is attached, queue by queue, started and closed. The gates of the
// sending queues are open only while both ends are started.

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
	parts, frame := 0, e.maxFrame
	if e.cfg.Caps&(offload.LRO|offload.UDPLRO) != 0 {
		frame = max(frame, bigHeader+offload.MaxTSO)
		if e.cfg.Caps.Has(offload.BigTCP) {
			frame = bigHeader + offload.MaxBig
		}
	}
	if room > 0 {
		parts = (frame + room - 1) / room
	}
	if room == 0 || depth < parts {
		return fmt.Errorf("%w: mem: queue %d of %s: pool %q has %d free buffers of %d bytes; a frame of %d bytes must fit in 1/%d of half of them, and of QueueLen %d",
			port.ErrConfig, q.id, e.cfg.Name, pool.Name(), free, room, frame, senders, e.cfg.QueueLen)
	}
	size := max(1<<bits.Len(uint(depth-1)), 2)
	slots := size
	if e.wire.handOver > 0 {
		slots *= 2
	}
	from := make([]*rxLink, senders)
	for i, sender := range e.peer.queues {
		fill, err := ring.NewSPSC[uintptr](size)
		if err != nil {
			return err
		}
		recv, err := ring.NewSPSC[completion](slots)
		if err != nil {
			return err
		}
		tx := sender.to[q.id]
		tx.fill, tx.recv, tx.room, tx.depth = fill, recv, room, depth
		tx.stock = make([]uintptr, max(parts, burst))
		from[i] = &rxLink{
			fill: fill, recv: recv, peer: tx, depth: depth,
			batch: min(burst/2, (depth+1)/2), parts: make([]*pbuf.Pbuf, 0, parts),
		}
	}
	q.pool, q.from = pool, from
	if e.wire.handOver > 0 {
		q.lend()
	}
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
		both := append(e.queues[:len(e.queues):len(e.queues)], e.peer.queues...)
		if e.wire.handOver > 0 {
			for _, q := range both {
				if err := q.openChannels(e.wire.handOver); err != nil {
					e.state.Store(endNew)
					return err
				}
			}
		}
		for _, q := range both {
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
		q.closeChannels()
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
			if c.info&infoAlias != 0 {
				q.borrow(l, 1)
			}
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
	if q.lender != nil {
		q.pool.FlushLent()
	}
	q.from = nil
}
