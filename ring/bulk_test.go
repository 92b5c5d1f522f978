package ring

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBulkGoesOverWholeOrNotAtAll(t *testing.T) {
	r, err := NewSPSC[*int](8)
	require.NoError(t, err)
	v := make([]*int, 8)
	for i := range v {
		v[i] = new(int)
		*v[i] = i
	}
	got := make([]*int, 5)
	for range 7 { // the batches wrap round at every offset
		require.True(t, r.PushBulk(v[:5]))
		require.False(t, r.PushBulk(v[:4]), "there is room for three")
		require.Equal(t, 5, r.Len())
		require.False(t, r.PopBulk(make([]*int, 6)), "there are five")
		require.True(t, r.PopBulk(got))
		require.Equal(t, v[:5], got)
		for _, s := range r.slots {
			require.Nil(t, s, "the ring keeps nothing alive")
		}
	}
	require.True(t, r.PushBulk(v))
	require.False(t, r.PushBulk(v[:1]))
	require.True(t, r.PushBulk(nil))
	require.True(t, r.PopBulk(nil))
}
