package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/dchest/siphash"
	"github.com/stretchr/testify/require"
)

func TestSipHash12IsSipHash24(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		k0, k1, a, b := r.Uint64(), r.Uint64(), r.Uint64(), r.Uint32()
		var m [12]byte
		binary.BigEndian.PutUint64(m[:], a)
		binary.BigEndian.PutUint32(m[8:], b)
		require.Equal(t, siphash.Hash(k0, k1, m[:]), sipHash12(k0, k1, a, b))
	}
}

func BenchmarkSipHash12(b *testing.B) {
	var h uint64
	for i := range b.N {
		h ^= sipHash12(1, 2, uint64(i), uint32(i))
	}
	sinkHash = h
}

var sinkHash uint64
