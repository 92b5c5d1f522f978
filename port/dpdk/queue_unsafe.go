//go:build dpdk

package dpdk

/*
#include "dev.h"
*/
import "C"

import (
	"sync/atomic"
	"unsafe"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
)

// queue is one queue of a device. All of it is its thread's, but for the
// counters.
type queue struct {
	c      *C.struct_sp_queue
	handle C.uintptr_t // c, in a form that the runtime need not look at
	pool   *pbuf.Pool
	mem    *memory
	rx     *C.struct_rte_mempool // of its own, if the pool is not of our making
	heads  *C.struct_rte_mempool
	waiter *waiter
	live   bool       // from Start to Close
	last   port.Stats // while it is not
	lastN  Counters
}

// RxBurst implements port.Port: one crossing.
func (p *Port) RxBurst(qi int, now int64, dst []*pbuf.Pbuf) int {
	q := p.queues[qi]
	if !q.live {
		return 0
	}
	q.pool.FlushLent()
	n := int(C.sp_rx(q.handle, (*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(dst))), C.uint32_t(len(dst)), C.int64_t(now)))
	c := q.c
	if n != 0 {
		q.pool.Received(dst[:n], pbuf.ClassStandard, int(c.rx_own), int(c.rx_lent))
	}
	if c.books != 0 {
		q.book()
	}
	return n
}

// TxBurst implements port.Port: one crossing for C.SP_TX_MAX packets.
func (p *Port) TxBurst(qi int, now int64, ps []*pbuf.Pbuf) int {
	q := p.queues[qi]
	if !q.live {
		pbuf.FreeBatch(ps) // the link is down
		q.last.TxDropped += uint64(len(ps))
		return len(ps)
	}
	q.pool.FlushLent()
	n := 0
	for n < len(ps) {
		part := ps[n:min(len(ps), n+C.SP_TX_MAX)]
		k := int(C.sp_tx(q.handle, (*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(part))), C.uint32_t(len(part)), C.int64_t(now)))
		q.book()
		if n += k; k < len(part) {
			break
		}
	}
	return n
}

// book books what a crossing has given away and frees what it has left to us.
func (q *queue) book() {
	c := q.c
	q.pool.Sent((*[pbuf.NumClasses]uint32)(unsafe.Pointer(&c.sent)), int(c.sent[pbuf.NumClasses]))
	for _, a := range c.released[:c.released_n] {
		pbuf.At(uintptr(a)).Free()
	}
	c.sent = [C.SP_SORTS]C.uint32_t{}
	c.released_n = 0
}

// load reads a counter that the queue's thread writes.
func load(v *C.uint64_t) uint64 { return atomic.LoadUint64((*uint64)(v)) }

// stats are the queue's own counters, those from before Start included.
func (q *queue) stats() port.Stats {
	if q.c == nil {
		return q.last
	}
	n := &q.c.n
	s := q.last
	s.Add(&port.Stats{
		RxPackets: load(&n.rx_packets), RxBytes: load(&n.rx_bytes),
		RxMissed: load(&n.rx_missed), RxErrors: load(&n.rx_errors),
		TxPackets: load(&n.tx_packets), TxBytes: load(&n.tx_bytes),
		TxDropped: load(&n.tx_dropped), TxErrors: load(&n.tx_errors),
	})
	return s
}

// counters tell how the queue's packets crossed.
func (q *queue) counters() Counters {
	if q.c == nil {
		return q.lastN
	}
	n := &q.c.n
	return Counters{
		RxCopied: load(&n.rx_copied), TxCopied: load(&n.tx_copied),
		TxHeld: load(&n.tx_held), TxExternal: load(&n.tx_external), Misses: load(&q.mem.c.misses),
	}
}

// waiter is the port.Waiter of a queue with interrupts.
type waiter struct {
	q  *queue
	fd int
}

// FD implements port.Waiter: an epoll descriptor with the queue's interrupt.
func (w *waiter) FD() int { return w.fd }

// Arm implements port.Waiter.
func (w *waiter) Arm() bool { return C.sp_arm(w.q.handle) != 0 }
