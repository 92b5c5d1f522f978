// Package port is the driver interface: what a shard asks of a network device.
// Each driver has a folder below: mem (a wire in memory), tap (Linux TAP). pcap
// and trace wrap any port and look at its frames.
//
// # Queues and threads
//
// A port has queues, each with a receive and a transmit side. A queue belongs
// to one thread, or one goroutine, which alone calls RxBurst, TxBurst and the
// Waiter of it; there are no locks, and queues don't touch each other. Attach, Start and Close are
// for the thread that sets things up, Info, Link and Stats for any.
//
// # Life
//
//	Attach    each queue, with the pool that its received buffers come from
//	Start     frames flow
//	RxBurst, TxBurst, …
//	          all threads leave their queues
//	Close     posted buffers go back to their pools
//
// # Buffers
//
// RxBurst gives buffers of the queue's pool to the caller. TxBurst takes packets
// over and frees them when they are sent, or drops and counts them; either way
// on the calling thread and before or in a later call for the same queue. A
// frame is an Ethernet frame without checksum sequence, a chain of buffers where
// the Caps have MultiSeg.
//
// # Time
//
// now is the shard's clock in nanoseconds, read once a round. Ports read no
// clock on the data path.
package port
