package pbuf_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func TestAllocRefPointsIntoRegion(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(1000)
	require.NoError(t, err)
	b := r.Bytes()
	require.Len(t, b, 1000)
	require.Equal(t, make([]byte, 1000), b)
	p := pl.AllocRef(r, 100, 900)
	require.Equal(t, pbuf.KindRef, p.Kind())
	require.Equal(t, pbuf.ClassSmall, p.Class())
	require.Same(t, &b[100], &p.Payload()[0])
	require.Equal(t, 900, p.TotLen())
	require.Zero(t, p.Headroom())
	require.Zero(t, p.Tailroom())
	require.Nil(t, p.Append(1), "not even where the region goes on")
	require.False(t, p.SetLen(901))
	require.True(t, p.SetLen(10))
	require.False(t, p.Reset(pbuf.LayerRaw))
	empty := pl.AllocRef(r, 1000, 0)
	require.Zero(t, empty.TotLen())
	require.Equal(t, 2, r.Refs())
	p.Free()
	empty.Free()
	require.NoError(t, r.Close())
}

func TestAllocRefBadRange(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(1000)
	require.NoError(t, err)
	for _, bad := range []struct{ off, n int }{
		{-1, 1}, {0, -1}, {0, 1001}, {1000, 1}, {1001, 0}, {1, math.MaxInt}, {math.MaxInt, 1}, {math.MinInt, 0},
	} {
		require.Nil(t, pl.AllocRef(r, bad.off, bad.n), bad)
	}
	require.NoError(t, r.Close())
	require.Nil(t, pl.AllocRef(r, 0, 0), "closed")
}

func TestAllocRefExhausted(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Small: 1, Buffers: 1, Jumbo: -1})
	r, err := pbuf.NewRegion(10)
	require.NoError(t, err)
	p, q := pl.AllocRef(r, 0, 10), pl.AllocRef(r, 0, 10)
	require.Equal(t, pbuf.ClassStandard, q.Class())
	require.Nil(t, pl.AllocRef(r, 0, 10))
	require.Equal(t, 2, r.Refs())
	p.Free()
	q.Free()
	require.NoError(t, r.Close())
}

func TestRegionCloseRefusesWhileReferred(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(10)
	require.NoError(t, err)
	p, q := a.AllocRef(r, 0, 5), b.AllocRef(r, 5, 5)
	require.ErrorIs(t, r.Close(), pbuf.ErrBusy)
	p.Ref()
	p.Free()
	require.ErrorIs(t, r.Close(), pbuf.ErrBusy)
	p.Free()
	require.ErrorIs(t, r.Close(), pbuf.ErrBusy)
	q.Free()
	require.NoError(t, r.Close())
	require.ErrorIs(t, r.Close(), pbuf.ErrClosed)
	require.Nil(t, r.Bytes())
	require.Zero(t, r.Refs())
}

func TestRegionConfig(t *testing.T) {
	for _, bad := range []pbuf.RegionConfig{
		{}, {Size: -1}, {Size: 1, HugePages: 99}, {Size: 1, NUMANode: -1}, {Size: 1, NUMANode: 1 << 20},
	} {
		_, err := pbuf.NewRegionConfig(bad)
		require.ErrorIs(t, err, pbuf.ErrConfig, bad)
	}
	r, err := pbuf.NewRegionConfig(pbuf.RegionConfig{Size: 5 << 20, Prefault: true})
	require.NoError(t, err)
	b := r.Bytes()
	b[0], b[len(b)-1] = 1, 2
	require.NoError(t, r.Close())
}

func TestRegionLimit(t *testing.T) {
	var rs []*pbuf.Region
	for range pbuf.MaxRegions {
		r, err := pbuf.NewRegion(1)
		if err != nil {
			require.ErrorIs(t, err, pbuf.ErrLimit)
			break
		}
		rs = append(rs, r)
	}
	for _, r := range rs {
		require.NoError(t, r.Close())
	}
	require.Len(t, rs, pbuf.MaxRegions-1)
	r, err := pbuf.NewRegion(1)
	require.NoError(t, err, "numbers are used again")
	require.NoError(t, r.Close())
}
