package mem

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
)

// queue is one queue of an end. All of it is the thread's that owns the queue,
// but for the gate and the doorbell, and for what New and Attach set.
type queue struct {
	end  *End
	id   int
	pool *pbuf.Pool

	// Sending.
	to     []*txLink  // by queue of the peer
	impair *impairer  // nil: frames arrive as they are sent
	plain  bool       // one link, no hash, no impairment
	pause  bool       // wait for the receiver's buffers instead of losing frames
	finish pbuf.Flags // what is to be done if the sender left it open: checksums, cutting
	big    *bigSender // cuts; nil: not to be done
	span   uint       // longest frame, less minFrame
	homes  []*channel // where what was handed over comes back

	// Receiving.
	from   []*rxLink // by queue of the peer; nil before Attach and after Close
	turn   int       // whose link is looked at first
	held   heap      // delayed frames
	lender *lender   // of the pool; nil: frames are not handed over to it

	// Scratch space.
	head    [frameHead]byte   // start of a chain, to be hashed
	cs      [burst]completion // taken from a link
	arrived [burst]*pbuf.Pbuf // on its way to held
	bufs    [burst]*pbuf.Pbuf // taken from the pool, to be posted
	addrs   [burst]uintptr    // of bufs, or of aliases
	one     [1]*pbuf.Pbuf     // a burst of one

	n      counters
	shared ring.Snapshot[counters]

	gate ring.State[gate]
	door port.Doorbell
}

// gate is how a closing end keeps senders away from buffers that it takes back:
// the sender holds it busy during a burst, and Close shuts it.
type gate uint32

const (
	gateShut gate = iota
	gateOpen
	gateBusy
)

// counters are a queue's, written by its thread and published once a burst.
type counters struct {
	port.Stats
	WireStats
}

// WireStats counts what the impairments of one direction did. Of all frames
// that one end sent (TxPackets), and with both ends idle,
//
//	TxPackets + Duplicated = Lost + TailDropped + Overflowed
//	        + the receiver's RxPackets + RxMissed + RxErrors
type WireStats struct {
	Lost        uint64 // lost by Loss
	Duplicated  uint64 // copies made by Duplicate
	Corrupted   uint64 // arrived, or dropped later, with a flipped bit
	Reordered   uint64 // held up by Reorder
	TailDropped uint64 // QueueBytes were waiting for the line
	Overflowed  uint64 // Limit frames were waiting at the receiver
}

func (s *WireStats) add(o *WireStats) {
	s.Lost += o.Lost
	s.Duplicated += o.Duplicated
	s.Corrupted += o.Corrupted
	s.Reordered += o.Reordered
	s.TailDropped += o.TailDropped
	s.Overflowed += o.Overflowed
}

func newQueue(e *End, id int) *queue {
	q := &queue{end: e, id: id}
	q.held.init(e.limit)
	return q
}

// publish shows the counters to other threads.
func (q *queue) publish() { q.shared.Publish(&q.n) }

// Stats are the counters of queue q, zero for a queue that does not exist.
func (e *End) Stats(q int) port.Stats {
	qu, err := e.queue(q)
	if err != nil {
		return port.Stats{}
	}
	var n counters
	qu.shared.Load(&n)
	for _, sender := range e.peer.queues {
		n.RxMissed += sender.to[q].missed.Load()
		n.RxErrors += sender.to[q].refused.Load()
	}
	return n.Stats
}

// Wire counts what happened on the wire to the frames that this end sent. Any
// thread.
func (e *End) Wire() WireStats {
	var sum WireStats
	for _, q := range e.queues {
		var n counters
		q.shared.Load(&n)
		n.Overflowed = 0 // the other direction's
		sum.add(&n.WireStats)
	}
	for _, q := range e.peer.queues {
		var n counters
		q.shared.Load(&n)
		sum.Overflowed += n.Overflowed
	}
	return sum
}

// Waiter is an eventfd that senders signal while the queue's thread sleeps; nil
// where there is none.
func (e *End) Waiter(q int) port.Waiter {
	qu, err := e.queue(q)
	if err != nil || e.state.Load() == endClosed || qu.door.Open() != nil {
		return nil
	}
	return qu
}

// Notify implements port.Notifier.
func (e *End) Notify(q int, fn func()) port.Armer {
	qu, err := e.queue(q)
	if err != nil || e.state.Load() == endClosed {
		return nil
	}
	qu.door.Call(fn)
	return qu
}

// FD implements port.Waiter.
func (q *queue) FD() int { return q.door.FD() }

// Arm implements port.Waiter.
func (q *queue) Arm() bool {
	q.door.Arm()
	if q.waiting() {
		q.door.Disarm()
		return false
	}
	return true
}

// waiting reports whether a sender has put anything that RxBurst has not looked
// at yet.
func (q *queue) waiting() bool {
	for _, l := range q.from {
		if l.recv.Len() > 0 {
			return true
		}
	}
	return false
}
