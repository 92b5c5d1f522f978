package pbuf_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func TestSplitBetweenBuffers(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 256})
	p := fill(t, pl, pbuf.KindPool, pattern(700))
	second := p.Next()
	rest := p.Split(256)
	require.Same(t, second, rest)
	require.Equal(t, pattern(700)[:256], content(p))
	require.Equal(t, pattern(700)[256:], content(rest))
	require.False(t, p.Shared())
	p.Free()
	rest.Free()
}

func TestSplitCopiesShortRest(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := fill(t, pl, pbuf.KindRAM, pattern(1000))
	p.Hash, p.Time = 7, 8
	rest := p.Split(1000 - pbuf.SmallRoom)
	require.Equal(t, pbuf.KindRAM, rest.Kind())
	require.Equal(t, pbuf.Headroom, rest.Headroom())
	require.Equal(t, p.Meta, rest.Meta)
	require.Equal(t, p.Time, rest.Time)
	require.False(t, p.Shared())
	require.Equal(t, pbuf.DefaultDataRoom-p.Len(), p.Tailroom())
	copy(p.Append(10), "0123456789")
	require.Equal(t, pattern(1000)[1000-pbuf.SmallRoom:], content(rest))
	p.Free()
	rest.Free()
}

func TestSplitSharesLongRest(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	data := pattern(60000)
	p := fill(t, pl, pbuf.KindRAM, data)
	tail := fill(t, pl, pbuf.KindRAM, pattern(5))
	p.Cat(tail)
	rest := p.Split(1448)
	require.Equal(t, pbuf.KindRef, rest.Kind())
	require.Same(t, tail, rest.Next())
	require.Equal(t, data[:1448], content(p))
	require.Equal(t, append(data[1448:len(data):len(data)], pattern(5)...), content(rest))
	require.True(t, p.Shared())
	require.Zero(t, p.Tailroom())
	require.Nil(t, p.Append(1))

	third := rest.Split(1448)
	require.Equal(t, 1, p.Free())
	require.Equal(t, pl.Cap(pbuf.ClassJumbo)-1, pl.Avail(pbuf.ClassJumbo), "the memory is in use")
	require.Equal(t, data[1448:2896], content(rest))
	rest.Free()
	require.Equal(t, data[2896:], content(third)[:60000-2896])
	require.Equal(t, 2, third.Free())
	require.True(t, pl.Full())
}

func TestSplitRoomReturnsWithRest(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := fill(t, pl, pbuf.KindRAM, pattern(2000))
	rest := p.Split(1000)
	require.Zero(t, p.Tailroom())
	require.False(t, p.Reset(pbuf.LayerRaw))
	rest.Free()
	require.False(t, p.Shared())
	require.Equal(t, pbuf.DefaultDataRoom-1000, p.Tailroom())
	p.Free()
}

// A rest is often appended to the first part again, as when a segment that was
// cut for a small window is sent whole later.
func TestSplitAndCatAgain(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := fill(t, pl, pbuf.KindRAM, pattern(2000))
	p.Cat(p.Split(1000))
	require.Equal(t, pattern(2000), content(p))
	p.Cat(p.Split(500))
	require.Equal(t, pattern(2000), content(p))
	require.Equal(t, 3, p.Free())
	require.True(t, pl.Full())
}

func TestSplitOfRegionStaysInRegion(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(1000)
	require.NoError(t, err)
	copy(r.Bytes(), pattern(1000))
	p := pl.AllocRef(r, 100, 900)
	rest := p.Split(890)
	require.Equal(t, pbuf.KindRef, rest.Kind(), "not even a short rest is copied")
	require.Equal(t, 2, r.Refs())
	require.False(t, p.Shared())
	p.Free()
	require.ErrorIs(t, r.Close(), pbuf.ErrBusy)
	require.Equal(t, pattern(1000)[990:], content(rest))
	rest.Free()
	require.NoError(t, r.Close())
}

func TestSplitBadArguments(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := fill(t, pl, pbuf.KindRAM, pattern(100))
	for _, n := range []int{0, -1, 100, 101, math.MaxInt, math.MinInt} {
		require.Nil(t, p.Split(n), n)
	}
	require.Equal(t, pattern(100), content(p))
	p.Free()
}

func TestSplitWithoutMemoryChangesNothing(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Small: -1, Buffers: 1, Jumbo: -1})
	p := fill(t, pl, pbuf.KindRAM, pattern(1000))
	require.Nil(t, p.Split(900))
	require.Nil(t, p.Split(100))
	require.Equal(t, pattern(1000), content(p))
	require.False(t, p.Shared())
	p.Free()
}

// TestSplitAwayFromHome cuts a rest again that another thread cut first: the
// second cut may not touch the counter of the first buffer, which is elsewhere.
func TestSplitAwayFromHome(t *testing.T) {
	a, b, c := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	p := fill(t, a, pbuf.KindRAM, pattern(2000))
	require.True(t, pbuf.Handover(p, b.ID()))
	rest := p.Split(500) // b's header for a's memory, held at b
	require.Equal(t, b.ID(), rest.Home())
	require.False(t, pbuf.Handover(p, c.ID()))
	require.True(t, pbuf.Handover(rest, c.ID()))
	last := rest.Split(500)
	require.Equal(t, c.ID(), last.Home())
	require.True(t, rest.Shared())

	require.Equal(t, 1, p.Free())
	require.Equal(t, 1, rest.Free())
	require.Equal(t, pattern(2000)[1000:], content(last))
	require.Zero(t, c.ForeignLen(), "still in use by last")
	require.Equal(t, 1, last.Free())
	require.True(t, c.Full())

	var ps [4]*pbuf.Pbuf
	require.Equal(t, 1, c.TakeForeign(b.ID(), ps[:]))
	require.Zero(t, b.ForeignLen())
	b.Return(ps[:1])
	require.True(t, b.Full())
	require.Equal(t, 1, b.TakeForeign(a.ID(), ps[:]))
	require.Same(t, p, ps[0])
	a.Return(ps[:1])
	require.True(t, a.Full())
}
