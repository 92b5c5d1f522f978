package header

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRFC9293_3_4_ComparisonIsModulo compares numbers on both sides of the wrap.
func TestRFC9293_3_4_ComparisonIsModulo(t *testing.T) {
	for _, base := range []Seq{0, 1, 1000, 1<<31 - 1, 1 << 31, 1<<31 + 1, 1<<32 - 1000, 1<<32 - 1} {
		for _, n := range []uint32{1, 2, 1460, 1 << 30, 1<<31 - 1} {
			a, b := base, base.Add(n)
			require.True(t, a.Less(b) && a.LessEq(b) && b.Greater(a) && b.GreaterEq(a))
			require.False(t, b.Less(a) || b.LessEq(a) || a.Greater(b) || a.GreaterEq(b))
			require.Equal(t, n, b.Sub(a))
			require.Equal(t, int32(n), b.Diff(a))
			require.Equal(t, -int32(n), a.Diff(b))
			require.Equal(t, b, MaxSeq(a, b))
			require.Equal(t, b, MaxSeq(b, a))
			require.Equal(t, a, MinSeq(a, b))
			require.Equal(t, a, MinSeq(b, a))
		}
		require.False(t, base.Less(base) || base.Greater(base))
		require.True(t, base.LessEq(base) && base.GreaterEq(base))
		require.Zero(t, base.Sub(base))
	}
}

// TestRFC9293_3_10_7_4_Window checks the edges of a receive window.
func TestRFC9293_3_10_7_4_Window(t *testing.T) {
	for _, start := range []Seq{0, 5000, 1<<31 - 10, 1<<32 - 10, 1<<32 - 1} {
		const n = 100
		require.True(t, start.InWindow(start, n))
		require.True(t, start.Add(n-1).InWindow(start, n))
		require.False(t, start.Add(n).InWindow(start, n))
		require.False(t, (start-1).InWindow(start, n))
		require.False(t, start.InWindow(start, 0), "a closed window holds nothing")
	}
}

// TestSeqRangeWalksTheCircle compares InRange with distances in 64 bits.
func TestSeqRangeWalksTheCircle(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 10000 {
		from, size, off := Seq(r.Uint32()), uint64(r.Uint32()), uint64(r.Uint32())
		a, to := from.Add(uint32(off)), from.Add(uint32(size))
		require.Equal(t, off < size, a.InRange(from, to))
	}
	require.False(t, Seq(5).InRange(5, 5))
	require.True(t, Seq(0).InRange(1<<32-1, 1))
	require.False(t, Seq(1).InRange(1<<32-1, 1))
}
