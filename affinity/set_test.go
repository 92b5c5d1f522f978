package affinity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// list parses a list of cores or ends the test.
func list(t testing.TB, text string) Set {
	t.Helper()
	s, err := ParseList(text)
	require.NoError(t, err)
	return s
}

func TestSetOf(t *testing.T) {
	s, err := Of(8, 0, 3, 8, MaxCores-1)
	require.NoError(t, err)
	require.Equal(t, []int{0, 3, 8, MaxCores - 1}, s.Cores())
	require.Equal(t, 4, s.Len())
	require.Equal(t, "0,3,8,1023", s.String())
	for _, c := range []int{-1, MaxCores, 1 << 40} {
		s, err := Of(0, c)
		require.ErrorIs(t, err, ErrRange)
		require.True(t, s.IsEmpty())
		require.False(t, s.Contains(c))
	}
}

func TestSetEmpty(t *testing.T) {
	var s Set
	require.True(t, s.IsEmpty())
	require.Zero(t, s.Len())
	require.Nil(t, s.Cores())
	require.Equal(t, "", s.String())
	require.Equal(t, "0x0", s.Mask())
	require.Equal(t, -1, s.At(0))
}

func TestSetOrder(t *testing.T) {
	s := list(t, "64,2-4,1000")
	for i, want := range []int{2, 3, 4, 64, 1000} {
		require.Equal(t, want, s.At(i))
	}
	require.Equal(t, -1, s.At(-1))
	require.Equal(t, -1, s.At(5))
	require.Equal(t, "2-4", s.First(3).String())
	require.Equal(t, "", s.First(0).String())
	require.Equal(t, s, s.First(99))
	for i, c := range s.All() {
		require.Equal(t, s.At(i), c)
		if i == 2 {
			break
		}
	}
}

func TestSetAlgebra(t *testing.T) {
	a, b := list(t, "0-5,700"), list(t, "4-9")
	require.Equal(t, "0-9,700", a.Union(b).String())
	require.Equal(t, "4-5", a.Intersect(b).String())
	require.Equal(t, "0-3,700", a.Minus(b).String())
	require.Equal(t, "0-5,700", a.String(), "operations leave their operands alone")

	a.Remove(700)
	a.Remove(701)
	a.Remove(-1)
	a.Remove(MaxCores)
	require.Equal(t, list(t, "0-5"), a)
}
