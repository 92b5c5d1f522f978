// Package offload is about the work that a network card may take off the stack:
// Caps says what a port does, and the functions here do in software what it
// doesn't.
//
// # Sending
//
// The stack builds each frame as if the card did everything: it leaves the sum
// of the pseudo-header in the checksum field, sets the Tx flags of pbuf.Meta
// that say what is still to be done, and calls the functions here with the Caps
// of the port before it hands the frame over:
//
//	if offload.MustCut(p, caps) {
//		n, ok := segmenter.Segment(p, caps, txq[len(txq):cap(txq)])
//		// ok: n complete frames; else drop and count. p is ours either way:
//		// free our reference, and TCP keeps its own until all is acknowledged.
//	} else {
//		offload.FinishTx(p, caps)
//	}
//
// What they leave in the flags is the port's part of the deal. A big segment
// that the port cuts itself goes through FinishTx for the IPv4 checksum.
//
//   - Segmenter cuts TCP segments (TSO) and UDP packets (USO). An interface of
//     the stack has one.
//   - FinishTx fills in checksums.
//
// # Receiving
//
// A port that has looked at checksums says so in the Rx flags, and VerifyIPv4
// and VerifyL4 sum only if it has not. GRO joins the frames of a burst before
// the stack sees them; a shard has one for each port without LRO:
//
//	n := port.RxBurst(q, now, burst)
//	stack.Input(nif, now, gro.Burst(burst[:n]))
//
// The receiver finds how many segments a packet is from RxLRO and SegSize, as it
// must count them (RFC 5681 4.2: an ACK at least every second one). A packet
// that is sent on instead has its orders made of what was found by Forward.
//
// # Threads
//
// A Segmenter and a GRO belong to one thread each. All else has no state and may
// be called by any thread that owns the packet. Nothing here allocates.
package offload
