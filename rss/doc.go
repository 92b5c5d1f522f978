// Package rss computes what a network card's receive-side scaling computes,
// and turns it round: it finds the source ports that make the card deliver the
// replies of an outgoing connection to a wanted queue.
//
// A card hashes the addresses and ports of a frame with the Toeplitz function
// under a secret [Key], and the low bits of the hash pick an entry of its
// redirection table ([RETA]); the entry names the receive queue. [Hasher] is
// the hash, bit for bit as Microsoft's RSS specification defines it and as its
// verification vectors check it. [Hasher.HashFrame] classifies a raw frame as
// a card would. [Solver] answers the inverse question.
//
// # Why the inverse is cheap
//
// Toeplitz is linear over GF(2): the hash is the XOR of one 32-bit window of
// the key for each input bit that is set. The bits of the local port therefore
// contribute a part of their own,
//
//	hash(remote, local, rport, lport) = hash(remote, local, rport, 0) ^ L(lport)
//
// and L, restricted to the few bits that index the RETA, is a 6×16 to 9×16 bit
// matrix. The ports that reach one RETA entry are an affine subspace, found by
// Gaussian elimination once for a key and a table; a queue owns the union of
// the subspaces of its entries. What is left for each connection is one hash
// and a handful of table reads.
//
// # Direction
//
// Hashes are of incoming frames: source is the remote end, destination the
// local one. With [SymmetricKey] the two directions hash alike.
//
// # Threads and memory
//
// Key, Hasher, RETA values, Solver and Ports do not change once made (but for
// [RETA.Set]) and may be used by any number of threads. Nothing allocates but
// the constructors and the methods that say so.
package rss
