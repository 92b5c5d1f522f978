package ring

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// newSPSC makes a ring or ends the test.
func newSPSC[T any](t testing.TB, capacity int) *SPSC[T] {
	t.Helper()
	r, err := NewSPSC[T](capacity)
	require.NoError(t, err)
	return r
}

func TestSPSCCapacity(t *testing.T) {
	for _, c := range []int{-8, -1, 0, 1, 3, 6, 1000, MaxCapacity + 1, 2 * MaxCapacity} {
		r, err := NewSPSC[uint64](c)
		require.ErrorIs(t, err, ErrCapacity, "capacity %d", c)
		require.Nil(t, r)
	}
	for c := 2; c <= 1<<16; c *= 2 {
		require.Equal(t, c, newSPSC[uint8](t, c).Cap())
	}
}

func TestSPSCFullAndEmpty(t *testing.T) {
	r := newSPSC[int](t, 4)
	for lap := range 10 {
		_, ok := r.Pop()
		require.False(t, ok)
		require.Zero(t, r.PopBatch(make([]int, 3)))
		for i := range 4 {
			require.Equal(t, i, r.Len())
			require.Equal(t, 4-i, r.Free())
			require.True(t, r.Push(lap*4+i))
		}
		require.False(t, r.Push(-1))
		require.Zero(t, r.PushBatch([]int{-1, -2}))
		for i := range 4 {
			v, ok := r.Pop()
			require.True(t, ok)
			require.Equal(t, lap*4+i, v)
		}
	}
}

// TestSPSCBatches pushes and pops every pair of batch sizes through small
// rings, so that every split at the end of the slots is met.
func TestSPSCBatches(t *testing.T) {
	for _, capacity := range []int{2, 4, 8, 16} {
		for push := 0; push <= capacity+2; push++ {
			for pop := 0; pop <= capacity+2; pop++ {
				testBatches(t, capacity, push, pop)
			}
		}
	}
}

// testBatches runs enough batches for several laps against a slice.
func testBatches(t *testing.T, capacity, push, pop int) {
	t.Helper()
	r := newSPSC[int](t, capacity)
	next := 0
	want := []int{}
	in, out := make([]int, push), make([]int, pop)
	for range 4 * capacity {
		for i := range in {
			in[i] = next + i
		}
		n := r.PushBatch(in)
		require.Equal(t, min(push, capacity-len(want)), n)
		want = append(want, in[:n]...)
		next += n
		require.Equal(t, len(want), r.Len())

		for i := range out {
			out[i] = -1
		}
		n = r.PopBatch(out)
		require.Equal(t, min(pop, len(want)), n)
		require.Equal(t, want[:n], out[:n])
		for _, v := range out[n:] {
			require.Equal(t, -1, v, "dst beyond the elements was written")
		}
		want = append([]int{}, want[n:]...)
	}
}
