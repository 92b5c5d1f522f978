// Package dpdk is a port over a device of DPDK: a network card, or one of DPDK's
// virtual devices. It calls DPDK's C library and is built with the tag dpdk; in a
// build without it the functions here return port.ErrNotSupported, and nothing
// needs a C compiler.
//
//	p, err := dpdk.Open(dpdk.Config{Device: "0000:01:00.0", Queues: 8})
//	g, err := shard.NewGroup(shard.Config{Ports: []shard.PortConfig{{Port: p, …}}})
//
// # mbufs are pbufs
//
// An element of a mempool is
//
//	rte_mbuf 128 | pbuf header 128, the mbuf's private area | headroom 128 | data room
//
// so that a packet goes from the device to the stack and back without a copy or
// an allocation. A shard asks the port for the memory of its pool
// (port.PoolBacker): one mempool a shard for small buffers and one for standard
// ones. Jumbo buffers, whose length no mbuf can hold, stay in the pool's own
// mapping and go out as external segments.
//
// What is received in foreign elements (of a mempool that a program brought, of
// the other end of a pair in memory, of indirect and external mbufs) is lent: the
// pool passes it on but does not use it again, and it goes back to the mempool
// that it is from.
//
// # Crossings
//
// A call of C costs some tens of nanoseconds. There is one a receive burst and
// one a transmit burst, and none otherwise: what pools need and what they give
// back is fetched and returned on the way of a burst. The receive crossing writes
// the line of each packet's header that Go will look at, with hash, checksum
// status and tag out of the mbuf.
//
// # Packets that others hold too
//
// TCP keeps the segments that it sends. Their buffers are the device's until it
// has read them, and may not be written to before. The port counts as a holder
// meanwhile (Pbuf.RefCount), as port.Port says, and looks at its next bursts
// whether the device is done. Cards free what they have sent only when they need
// the room; the port asks them to every millisecond. A device that can't be asked
// gets copies.
//
// The other end of a pair in memory gets the mbuf with a reference more, and makes
// an indirect mbuf of its own for it: a second header on the same bytes, to be read
// only (Pbuf.Alias), as the first is still the sender's. Freeing it drops the
// reference. Short packets are copied, as that is quicker.
//
// # Threads
//
// A thread that calls a burst is made known to DPDK with its first one, and
// forgotten when it ends. The environment (EAL) is started once a process, by the
// first Open or by Init, on a thread of its own: the caller's affinity stays. A
// program that has started DPDK itself says so with UseRunning and wraps its
// devices with Wrap.
package dpdk
