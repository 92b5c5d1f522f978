package stack

import (
	"encoding/binary"
	"math/bits"

	"github.com/dchest/siphash"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Connections are found by a hash of their ends: the NIC's, where shards share
// ports by it or it comes with each packet (Config.Hasher), else one of the
// stack's own.

// hashFlow is the hash of packets from remote:rport to local:lport. With a hasher
// it is what the NIC computes for the incoming direction.
func (s *Stack) hashFlow(local, remote header.Addr, lport, rport uint16) uint32 {
	if s.hasher == nil {
		return s.flowKey.hash(local, remote, lport, rport)
	}
	return s.hasher.HashTuple(remote.Unzoned(), local.Unzoned(), rport, lport)
}

// knowsHash reports whether p.Hash is its flow's hash.
func (s *Stack) knowsHash(p *pbuf.Pbuf) bool { return s.hasher != nil && p.Flags&pbuf.RxHash != 0 }

// flowKey is the secret of a stack's own hash, in which each half of the flow is
// mixed with a part of the key and both are multiplied to 128 bits. Who doesn't
// know the key can't choose flows that collide, but for this: flows whose ports differ
// in the last three bits only have neighbouring slots, a cache line of the table
// together. Connections are opened with one port after the other, and their packets
// often come in that order, too: with very many of them the line is still in the
// cache.
type flowKey [4]uint64

// makeFlowKey derives the key from two words of a secret.
func makeFlowKey(k0, k1 uint64) (k flowKey) {
	for i := range k {
		var b [16]byte
		copy(b[:], "flow hash")
		binary.LittleEndian.PutUint32(b[12:], uint32(i))
		k[i] = siphash.Hash(k0, k1, b[:])
	}
	return k
}

// hash4 hashes a flow of IPv4 from remote:rport to local:lport.
func (k *flowKey) hash4(remote, local uint32, rport, lport uint16) uint32 {
	return k.ports(uint64(remote)<<32|uint64(local), rport, lport)
}

// hash hashes a flow of either family; one of IPv4 as hash4 does.
func (k *flowKey) hash(local, remote header.Addr, lport, rport uint16) uint32 {
	if remote.Is4() && local.Is4() {
		return k.hash4(remote.Uint32(), local.Uint32(), rport, lport)
	}
	remote, local = remote.Unzoned(), local.Unzoned()
	far := uint64(fold128(k[0]^remote.Hi(), k[1]^remote.Lo()))
	near := uint64(fold128(k[2]^local.Hi(), k[3]^local.Lo()))
	return k.ports(far<<32|near, rport, lport)
}

// ports hashes the ports with what stands for the addresses.
func (k *flowKey) ports(addrs uint64, rport, lport uint16) uint32 {
	const inLine = slotsPerLine - 1
	both := uint32(rport)<<16 | uint32(lport)
	return fold128(k[0]^addrs, k[1]^uint64(both&^(inLine<<16|inLine))) ^ (both>>16^both)&inLine
}

// fold128 is a product of 128 bits, folded to 32.
func fold128(a, b uint64) uint32 {
	hi, lo := bits.Mul64(a, b)
	hi ^= lo
	return uint32(hi ^ hi>>32)
}
