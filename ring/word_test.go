package ring

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlag(t *testing.T) {
	var f Flag
	require.False(t, f.IsSet())
	require.True(t, f.Set())
	require.False(t, f.Set(), "only the first is told so")
	require.True(t, f.IsSet())
	require.True(t, f.Clear())
	require.False(t, f.Clear())
	require.False(t, f.IsSet())
}

func TestState(t *testing.T) {
	type phase uint32
	const (
		created phase = iota
		running
		stopped
	)
	var s State[phase]
	require.Equal(t, created, s.Load())
	require.False(t, s.Move(running, stopped))
	require.Equal(t, created, s.Load())
	require.True(t, s.Move(created, running))
	require.False(t, s.Move(created, running))
	require.Equal(t, running, s.Load())
	s.Store(stopped)
	require.Equal(t, stopped, s.Load())
}

func TestCounter(t *testing.T) {
	var c Counter
	require.Zero(t, c.Load())
	require.EqualValues(t, 1, c.Inc())
	require.EqualValues(t, 11, c.Add(10))
	require.EqualValues(t, 11, c.Load())
}

func TestSnapshot(t *testing.T) {
	type stats struct{ in, out uint64 }
	var s Snapshot[stats]
	got := stats{7, 7}
	require.Zero(t, s.Load(&got))
	require.Zero(t, got, "nothing is published yet")
	for i := uint64(1); i <= 10; i++ {
		mine := stats{i, 2 * i}
		s.Publish(&mine)
		mine.in = 99
		for range int(i % 3) { // none, one or two loads in between
			require.Equal(t, i, s.Load(&got))
			require.Equal(t, stats{i, 2 * i}, got)
		}
	}
	require.EqualValues(t, 10, s.Load(&got))
}

func TestRef(t *testing.T) {
	var r Ref[int]
	require.Nil(t, r.Load())
	a, b := new(int), new(int)
	r.Store(a)
	require.Same(t, a, r.Load())
	require.False(t, r.Swap(b, b))
	require.True(t, r.Swap(a, b))
	require.Same(t, b, r.Load())
}
