package load

import (
	"encoding/binary"
	"hash"
	"math/rand/v2"
)

// patternBlock is the period of the byte pattern that services send.
const patternBlock = 1 << 20

// PatternSeed is the seed of the pattern that services send.
const PatternSeed = 1

// NewPattern is a block of 1 MiB of pseudo-random bytes, the same for the same
// seed. Streams are this block over and over.
func NewPattern(seed uint64) []byte {
	b := make([]byte, patternBlock)
	r := rand.NewPCG(seed, seed)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}

// HashPattern feeds n bytes of the stream with that seed to h: what a receiver
// of n bytes should have seen.
func HashPattern(h hash.Hash, seed uint64, n int64) {
	b := NewPattern(seed)
	for n > 0 {
		k := min(n, int64(len(b)))
		_, _ = h.Write(b[:k])
		n -= k
	}
}

// patternOf is the first n bytes of the services' stream.
func patternOf(n int) []byte {
	block := NewPattern(PatternSeed)
	if n <= len(block) {
		return block[:n:n]
	}
	b := make([]byte, 0, n)
	for len(b) < n {
		b = append(b, block[:min(n-len(b), len(block))]...)
	}
	return b
}

// streamAt is the part of the pattern's stream at offset off, up to the end of
// its block.
func streamAt(block []byte, off uint64) []byte { return block[off%uint64(len(block)):] }
