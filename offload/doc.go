// Package offload is about the work that a network card may take off the stack:
// Caps says what a port does, and the functions here do in software what it
// doesn't.
//
// The stack builds each frame as if the card did everything: it leaves the sum
// of the pseudo-header in the checksum field, sets the Tx flags of pbuf.Meta
// that say what is still to be done, and calls FinishTx with the Caps of the
// port before it hands the frame over. FinishTx does what the port lacks, and
// what it leaves in the flags is the port's part of the deal.
//
// On the way in a port that has looked at checksums says so in the Rx flags,
// and VerifyIPv4 and VerifyL4 sum only if it has not.
//
// Nothing here has state; the functions may be called by any thread that owns
// the packet.
package offload
