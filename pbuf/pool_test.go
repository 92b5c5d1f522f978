package pbuf_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func TestConfigValidate(t *testing.T) {
	var backing [pbuf.NumClasses]pbuf.Backing
	backing[pbuf.ClassJumbo] = &fakeBacking{}
	for _, bad := range []pbuf.Config{
		{DataRoom: 100}, {DataRoom: -1}, {DataRoom: pbuf.MaxRoom + 1},
		{JumboRoom: 1000}, {JumboRoom: pbuf.MaxRoom + 1}, {JumboRoom: -5},
		{HugePages: 9}, {NUMANode: -1}, {NUMANode: pbuf.Node(5000)},
		{Small: -1, Buffers: -1, Jumbo: -1}, {Small: 1 << 40}, {Buffers: 1 << 40}, {Jumbo: 1 << 40},
		{Jumbo: -1, Backing: backing},
	} {
		require.ErrorIs(t, bad.Validate(), pbuf.ErrConfig, bad)
		_, err := pbuf.NewPool(bad)
		require.ErrorIs(t, err, pbuf.ErrConfig, bad)
	}
	for _, good := range []pbuf.Config{
		{}, {DataRoom: 256}, {DataRoom: pbuf.MaxRoom}, {Small: -1}, {Buffers: -1, Jumbo: -1}, {DataRoom: 9000, JumboRoom: 9000},
	} {
		require.NoError(t, good.Validate(), good)
	}
}

func TestZeroConfigIsDocumentedDefault(t *testing.T) {
	pl, err := pbuf.NewPool(pbuf.Config{})
	require.NoError(t, err)
	require.Equal(t, pbuf.DefaultSmall, pl.Cap(pbuf.ClassSmall))
	require.Equal(t, pbuf.DefaultBuffers, pl.Cap(pbuf.ClassStandard))
	require.Equal(t, pbuf.DefaultJumbo, pl.Cap(pbuf.ClassJumbo))
	require.Equal(t, pbuf.SmallRoom, pl.DataRoom(pbuf.ClassSmall))
	require.Equal(t, pbuf.DefaultDataRoom, pl.DataRoom(pbuf.ClassStandard))
	require.Equal(t, pbuf.DefaultJumboRoom, pl.DataRoom(pbuf.ClassJumbo))
	require.NotEmpty(t, pl.Name())
	require.NotZero(t, pl.ID())
	require.Same(t, pl, pbuf.ByID(pl.ID()))
	require.NoError(t, pl.Close())
	require.Nil(t, pbuf.ByID(pl.ID()))
	require.ErrorIs(t, pl.Close(), pbuf.ErrClosed)
	require.Nil(t, pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM))
}

func TestClassWithoutBuffers(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Small: 4, Buffers: -1, Jumbo: -1})
	require.Zero(t, pl.Cap(pbuf.ClassStandard))
	require.Zero(t, pl.DataRoom(pbuf.ClassStandard))
	require.Nil(t, pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindPool))
	require.Nil(t, pl.Alloc(pbuf.LayerRaw, 1000, pbuf.KindRAM))
	require.Zero(t, pl.AllocBatch(make([]*pbuf.Pbuf, 1)))
}

func TestStatsAndCounts(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Name: "x", Small: 3})
	require.Equal(t, "x", pl.Name())
	p := pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM)
	q := pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM)
	q.Free()
	require.False(t, pl.Full())
	require.Equal(t, 2, pl.Avail(pbuf.ClassSmall))
	require.Equal(t, pbuf.ClassStats{Cap: 3, Avail: 2, Allocs: 2, Frees: 1}, pl.Stats().Class[pbuf.ClassSmall])
	p.Free()
	require.True(t, pl.Full())
}

func TestCloseReportsLeaks(t *testing.T) {
	pl, err := pbuf.NewPool(pbuf.Config{Name: "leaky", Small: 4, Buffers: 4, Jumbo: 1})
	require.NoError(t, err)
	p := pl.Alloc(pbuf.LayerRaw, 3000, pbuf.KindPool)
	err = pl.Close()
	require.ErrorIs(t, err, pbuf.ErrLeak)
	var leak *pbuf.LeakError
	require.True(t, errors.As(err, &leak))
	require.Equal(t, [pbuf.NumClasses]int{0, 2, 0}, leak.Out)
	require.Equal(t, "leaky", leak.Pool)
	require.ErrorContains(t, err, `"leaky": small 0, standard 2, jumbo 0`)
	require.Equal(t, debugBuild, leak.Report != "")
	p.Free()
	require.NoError(t, pl.Close(), "the pool is as good as before")
}

func TestCloseRefusesWhileHoldingForeign(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	p := a.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM)
	pbuf.Handover(p, b.ID())
	p.Free()
	require.ErrorIs(t, b.Close(), pbuf.ErrBusy)
	require.ErrorIs(t, a.Close(), pbuf.ErrLeak)
	pbuftest.Settle(a, b)
	require.NoError(t, b.Close())
	require.NoError(t, a.Close())
}

func TestPoolLimit(t *testing.T) {
	var pls []*pbuf.Pool
	ids := map[uint8]bool{}
	for range pbuf.MaxPools {
		pl, err := pbuf.NewPool(pbuf.Config{Small: 1, Buffers: -1, Jumbo: -1})
		if err != nil {
			require.ErrorIs(t, err, pbuf.ErrLimit)
			break
		}
		require.False(t, ids[pl.ID()])
		ids[pl.ID()] = true
		pls = append(pls, pl)
	}
	for _, pl := range pls {
		require.NoError(t, pl.Close())
	}
	require.Len(t, pls, pbuf.MaxPools-1)
}

func TestNames(t *testing.T) {
	require.Equal(t, "RxHash|TxTSO|LinkMulticast|RxL4Partial", (pbuf.RxHash | pbuf.TxTSO | pbuf.LinkMulticast | pbuf.RxL4Partial).String())
	require.Empty(t, pbuf.Flags(0).String())
	require.Zero(t, pbuf.RxL4Partial&pbuf.FlagsUser)
	require.Equal(t, []string{"RAM", "Pool", "Ref", "Kind?"},
		[]string{pbuf.KindRAM.String(), pbuf.KindPool.String(), pbuf.KindRef.String(), pbuf.Kind(9).String()})
	require.Equal(t, []string{"small", "standard", "jumbo", "class?"},
		[]string{pbuf.ClassSmall.String(), pbuf.ClassStandard.String(), pbuf.ClassJumbo.String(), pbuf.Class(3).String()})
	require.Equal(t, []string{"base", "transparent huge", "huge"},
		[]string{pbuf.PagesBase.String(), pbuf.PagesTransparent.String(), pbuf.PagesHuge.String()})
}
