// Package impair is a fault injector for ports: a wrapper between a device and a
// stack that loses, delays, doubles, reorders and damages frames, and has a line
// of limited rate with a queue, as package netem models them.
//
//	p, err := tap.New(tap.Config{…, NoVnetHdr: true})
//	bad, err := impair.Wrap(p, impair.Config{
//		Rx: netem.Config{Delay: 20 * time.Millisecond, Loss: 0.01, Seed: 1},
//		Tx: netem.Config{Delay: 20 * time.Millisecond, Loss: 0.01, Seed: 2},
//	})
//
// The clock is the now that is passed to RxBurst and TxBurst; frames come and go
// when the owner of a queue calls them, and the wrapper says when it wants to be
// called (port.Timed). Each queue has random numbers, a line and a queue of its
// own: with several queues Rate is that of each.
//
// Frames that are under way are buffers of the queue's pool: it has to have
// enough for what the delay and the queue hold.
//
// The wrapper takes frames one by one: it does not offer the device's segmentation
// and checksums, so that each frame of a segmented packet has a fate of its own,
// and damage is found by the receiver's checksum.
package impair

import (
	"fmt"
	"math"

	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
)

// Config says what happens to frames that are received, and to those that are
// sent.
type Config struct {
	Rx, Tx netem.Config
}

// burst is how many frames are taken from the device at a time.
const burst = 64

// keeps are the capabilities that the wrapper passes on.
const keeps = offload.RSSHash | offload.MultiSeg | offload.RxCsum | offload.VLANStrip

// Port is a port with faults.
type Port struct {
	port.Port
	queues []queue
}

// queue is one queue's; its thread owns it.
type queue struct {
	rx, tx *netem.Path
	pool   *pbuf.Pool
	buf    [burst]*pbuf.Pbuf
	due    []*pbuf.Pbuf // have left the line, and the device has not taken them
	noBuf  uint64
}

// Wrap returns a port that is p with faults. The error matches port.ErrConfig if
// the device joins frames (LRO: open it without offloads), netem.ErrConfig if the
// configuration contradicts itself. Call it before Attach.
func Wrap(p port.Port, cfg Config) (*Port, error) {
	info := p.Info()
	if joins := info.Caps & (offload.LRO | offload.UDPLRO); joins != 0 {
		return nil, fmt.Errorf("%w: impair: %s joins frames (%v)", port.ErrConfig, info.Name, joins)
	}
	w := &Port{Port: p, queues: make([]queue, info.Queues)}
	for i := range w.queues {
		q := &w.queues[i]
		var err error
		if q.rx, err = netem.New(cfg.Rx, uint64(2*i)); err != nil {
			return nil, err
		}
		if q.tx, err = netem.New(cfg.Tx, uint64(2*i+1)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Unwrap implements port.Wrapper.
func (w *Port) Unwrap() port.Port { return w.Port }

// Info implements port.Port.
func (w *Port) Info() port.Info {
	i := w.Port.Info() // a RETA may have been changed
	i.Caps &= keeps
	return i
}

// Attach implements port.Port.
func (w *Port) Attach(q int, pool *pbuf.Pool) error {
	if err := w.Port.Attach(q, pool); err != nil {
		return err
	}
	w.queues[q].pool = pool
	return nil
}

// Close implements port.Port. Frames that are under way are lost.
func (w *Port) Close() error {
	for i := range w.queues {
		q := &w.queues[i]
		q.rx.Close()
		q.tx.Close()
		for _, f := range q.due {
			f.Free()
		}
		q.due = nil
	}
	return w.Port.Close()
}

// RxBurst implements port.Port. It also sends what is due.
func (w *Port) RxBurst(i int, now int64, dst []*pbuf.Pbuf) int {
	q := &w.queues[i]
	w.send(i, q, now)
	for {
		n := w.Port.RxBurst(i, now, q.buf[:])
		for _, f := range q.buf[:n] {
			q.rx.Send(now, f)
		}
		if n < len(q.buf) {
			break
		}
	}
	return q.rx.Receive(now, dst)
}

// TxBurst implements port.Port. It takes all frames. One that the caller keeps,
// to send it again, travels as a copy.
func (w *Port) TxBurst(i int, now int64, ps []*pbuf.Pbuf) int {
	q := &w.queues[i]
	for _, p := range ps {
		f := p
		if p.Shared() || p.Next() != nil || p.Kind() == pbuf.KindRef {
			f = q.pool.Alloc(pbuf.LayerLink, p.TotLen(), pbuf.KindPool)
			if f == nil {
				q.noBuf++
				p.Free()
				continue
			}
			_ = p.Copy(f) // it is as long
			f.Meta = p.Meta
			p.Free()
		}
		q.tx.Send(now, f)
	}
	w.send(i, q, now)
	return len(ps)
}

// send gives the device what has left the line.
func (w *Port) send(i int, q *queue, now int64) {
	for {
		if len(q.due) == 0 {
			n := q.tx.Receive(now, q.buf[:])
			if n == 0 {
				return
			}
			q.due = append(q.due[:0], q.buf[:n]...)
		}
		n := w.Port.TxBurst(i, now, q.due)
		q.due = q.due[:copy(q.due, q.due[n:])]
		if len(q.due) > 0 {
			return // the device is behind: the rest at the next call
		}
	}
}

// NextEvent implements port.Timed.
func (w *Port) NextEvent(i int) int64 {
	q := &w.queues[i]
	next := min(q.rx.Next(), q.tx.Next())
	if len(q.due) > 0 {
		next = math.MinInt64
	}
	if t, ok := port.As[port.Timed](w.Port); ok {
		next = min(next, t.NextEvent(i))
	}
	return next
}

// Faults are the counters of queue i, of frames received and sent; lost is how
// many frames to send there was no buffer for. Only the thread that owns the
// queue may call it, or any when it has stopped.
func (w *Port) Faults(i int) (rx, tx netem.Stats, lost uint64) {
	q := &w.queues[i]
	return q.rx.Stats(), q.tx.Stats(), q.noBuf
}
