package ring

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNothingAllocated(t *testing.T) {
	type stats [64]uint64
	r, p := newSPSC[uint64](t, 64), newSPSC[*stats](t, 64)
	words, pointers := make([]uint64, 32), make([]*stats, 32)
	var snap Snapshot[stats]
	var bell Bell
	var flag Flag
	var s stats
	require.Zero(t, testing.AllocsPerRun(100, func() {
		r.PushBatch(words)
		r.Push(1)
		r.Pop()
		r.PopBatch(words)
		p.PushBatch(pointers)
		p.Push(&s)
		p.Pop()
		p.PopBatch(pointers)
		bell.Arm()
		bell.Ring()
		bell.Disarm()
		flag.Set()
		snap.Publish(&s)
		snap.Load(&s)
	}))
}

// TestPoppedSlotsAreCleared looks for what a ring would keep alive.
func TestPoppedSlotsAreCleared(t *testing.T) {
	type message struct {
		n    int
		data []byte
	}
	r := newSPSC[message](t, 8)
	in, out := make([]message, 5), make([]message, 5)
	for i := range in {
		in[i] = message{i + 1, []byte{1}}
	}
	for range 7 { // batches that do and do not go round the end
		require.Equal(t, 5, r.PushBatch(in))
		require.True(t, r.Push(in[0]))
		_, ok := r.Pop()
		require.True(t, ok)
		require.Equal(t, 5, r.PopBatch(out))
		for i := range r.slots {
			require.Zero(t, r.slots[i])
		}
	}
}

func TestHasPointers(t *testing.T) {
	require.False(t, hasPointers[uint64]())
	require.False(t, hasPointers[uintptr]())
	require.False(t, hasPointers[complex128]())
	require.False(t, hasPointers[struct{}]())
	require.False(t, hasPointers[[2]struct {
		a [3]uint16
		b [0]*int
	}]())
	require.True(t, hasPointers[*int]())
	require.True(t, hasPointers[string]())
	require.True(t, hasPointers[func()]())
	require.True(t, hasPointers[any]())
	require.True(t, hasPointers[[]int]())
	require.True(t, hasPointers[map[int]int]())
	require.True(t, hasPointers[chan int]())
	require.True(t, hasPointers[struct {
		a int
		b [2]struct{ c error }
	}]())
}
