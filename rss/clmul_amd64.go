//go:build !purego

package rss

import (
	"math/bits"

	"github.com/shardstack/shardstack/header"
)

// Toeplitz is a product of polynomials over GF(2). With input bit s and key bit
// m as coefficients, hash bit j is the sum of all input[s]·key[s+j]; turning the
// key round makes that coefficient j of a product. The processor multiplies 64
// by 64 bits without carries, so an IPv6 4-tuple takes nine multiplications in
// place of 36 table reads, and none of the first-level cache. For the three of
// an IPv4 4-tuple the call costs what it saves.

// hasCLMUL: the processor has PCLMULQDQ (CPUID 1, ECX bit 1), as all of amd64
// have since 2011.
var hasCLMUL = cpuid1()>>1&1 != 0

// hash6 is the hash of an IPv6 input; ports are source<<16 | destination, or 0
// for none.
func (h *Hasher) hash6(src, dst header.Addr, ports uint32) uint32 {
	if !hasCLMUL {
		return h.tables6(src, dst, ports)
	}
	// The product has the hash's bits in reverse, as it has the key's.
	return bits.Reverse32(clmul6(&h.reversed, src.Hi(), src.Lo(), dst.Hi(), dst.Lo(), uint64(ports)<<32))
}

// clmul6 multiplies; key is the reversed key, ports are in the upper half.
//
//go:noescape
func clmul6(key *[5]uint64, srcHi, srcLo, dstHi, dstLo, ports uint64) uint32

func cpuid1() (ecx uint32)
