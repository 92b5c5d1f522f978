// Package mem is a wire in memory: two ends, each a port with queues and RSS.
// What is sent into one end arrives at the other, in a buffer of the receiver's
// own pool. Tests, simulations and benchmarks use it in place of cards and cable.
//
//	sending queue's thread                receiving queue's thread
//	TxBurst ── hash, RETA ─► link         RxBurst
//	  │                        ┌─ fill ◄── empty buffers ──┤   pool
//	  └── copy into a posted ◄─┘                           │
//	      buffer ──────────────── recv ── completions ────►┘
//
// # Two threads
//
// It works as a card does. Each receiving queue posts empty buffers; the sender
// copies the bytes into one, as DMA would, and leaves a completion with length
// and hash; the receiver writes the buffer's header. Headers, reference counts
// and pools are therefore never touched by another thread, and no lock is taken:
// between each sending and each receiving queue lie two SPSC rings, and a burst
// costs a few operations on them, whatever its length. With one thread, as in a
// simulation, the same code runs.
//
// A frame for which no buffer is posted is lost and counted (RxMissed), as by a
// card, and TxBurst takes everything; or it is held back, see Config.Pause.
//
// # Handing over
//
// With Config.HandOver a frame of 256 bytes and more, in one buffer of the sending
// queue's own pool, is not copied, as between the ends of Linux's veth: the receiver
// gets an alias of the buffer (pbuf.Pool.MakeAliases), a KindRef that is to be read
// only, and the sender's reference goes over to it. It comes back by a ring, a batch
// once a round, when the receiver has freed it; until then the buffer counts for the
// sender's pool as not free. Who sends it again meanwhile has it copied, as are all
// other frames, and what is more than HandOver. A direction with an Impairment, and
// pools of a device's memory, copy all.
//
// What the other end still has when an end is closed is missing in the pool
// (pbuf.ErrLeak): let it free all first, or close it first.
//
// # Steering
//
// With more than one queue, or with offload.RSSHash in its Caps, an end hashes
// what arrives (Toeplitz, as rss.Hasher.HashFrame does) and its RETA picks the
// queue. Frames that are not IP have hash 0. One queue without RSSHash costs no
// hash.
//
// # Checksums
//
// An end without capabilities leaves checksums to the stack. The wire does not
// damage frames, so an end may claim to do them: if the sender has the TxCsum
// offloads and the receiver RxCsum, they are never computed at all, as between
// two virtual machines, and arriving frames are flagged as good. If the receiver
// lacks RxCsum, or the direction corrupts frames, the wire computes what the
// sender left open, and corrupted frames are not flagged.
//
// # Big packets
//
// An end with TSO or USO takes packets that ask to be cut. If the other end has
// LRO or UDPLRO, and the direction has no impairment, they arrive whole, in a
// chain of buffers, with RxLRO and SegSize: nothing is cut, joined or summed, as
// between two virtual machines; those of BIG TCP (BigTCP at both ends) too. Else
// the wire cuts them, with buffers of the
// sender's pool, into frames that share no fate: each is steered, lost or damaged
// on its own.
//
// # Impairments
//
// Each direction can lose, delay, reorder, duplicate, corrupt and shape, see
// Impairment. Delayed frames wait at the receiver and come out of RxBurst when
// its now has reached their time; NextEvent says when that is. For one thread,
// everything is a function of the seed, the frames and the times passed in.
package mem
