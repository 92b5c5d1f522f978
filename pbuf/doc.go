// Package pbuf is the packet buffer of the stack: lwIP's pbuf, laid out so
// that it is also a DPDK mbuf, in memory the garbage collector never sees.
//
// # Layout
//
// A pool is one mapping cut into elements of three size classes. An element is
//
//	+--------------+--------------+--------------+----------+-----------------+
//	| rte_mbuf     | Pbuf, line 0 | Pbuf, line 1 | headroom | data room       |
//	| 128 B, only  | hot fields   | control      | 128 B    | 256 B, 2 KiB or |
//	| DPDK uses it | 64 B         | block 64 B   |          | 64 KiB          |
//	+--------------+--------------+--------------+----------+-----------------+
//	^ mbuf         ^ *Pbuf        ^ CB[T](p)
//
// which is what rte_pktmbuf_pool_create makes with a private area of PbufSize
// bytes. Elements start on a cache line, and the distance between two is an odd
// number of lines, so that the hot lines of a pool spread over all sets of the
// cache. The layout needs addresses of 64 bits. The header holds addresses as uintptr: the collector does not scan the
// mapping, and storing a link costs no write barrier.
//
// # Chains and references
//
// A packet is a chain of buffers. As in lwIP, TotLen of each buffer is its own
// length plus that of all buffers after it, and each buffer is counted by
// itself: Free drops one reference of the first buffer and goes on to the next
// only if that was the last one. A reference to the middle of a chain therefore
// keeps everything behind it.
//
// A KindRef buffer has a header and no bytes of its own. Its payload is in a
// Region (application memory outside the Go heap, made by NewRegion) or in
// another buffer (after Split), and it keeps that memory. The data room of such
// an element is unused; its first word links to the other buffer. Neither the
// mbuf area nor the control block is touched for this. Keeping a buffer's
// memory is not a reference to the buffer: that one may be freed before, with
// its chain, and only its element stays out until the last link is gone.
//
// # Threads
//
// There are no atomics. A Pool and every buffer it handed out belong to one
// thread, until Handover marks a packet as held by another pool's thread. A
// buffer freed away from home is put on a list of the pool that held it; the
// owner of that pool moves the list home in batches (TakeForeign there, Return
// at home). A reference to application memory or to another buffer is dropped
// at home, too.
//
// # Debug build
//
// With -tags pbufdebug the package panics on double free, use after free,
// writes into freed buffers or beyond the end of one, calls from a thread that
// does not own the pool (once Pool.BindThread was called) and queueing twice,
// and the error of Pool.Close lists the allocation stack of every leak. The
// normal build contains none of this.
package pbuf
