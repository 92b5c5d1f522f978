package pbuf_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func TestAddHeader(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	for _, k := range []pbuf.Kind{pbuf.KindRAM, pbuf.KindPool} {
		p := fill(t, pl, k, pattern(4000))
		require.True(t, p.AddHeader(20))
		copy(p.Payload(), pattern(20))
		require.Equal(t, 4020, p.TotLen())
		require.Equal(t, append(pattern(20), pattern(4000)...), content(p))
		require.True(t, p.AddHeader(108))
		require.Zero(t, p.Headroom())
		for _, n := range []int{1, -1, math.MaxInt, math.MinInt, math.MaxUint32} {
			require.False(t, p.AddHeader(n), n)
		}
		require.True(t, p.AddHeader(0))
		require.Equal(t, 4128, p.TotLen())
		p.Free()
	}
}

func TestRemoveHeader(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 256})
	p := fill(t, pl, pbuf.KindPool, pattern(300))
	require.True(t, p.RemoveHeader(14))
	require.Equal(t, pattern(300)[14:], content(p))
	for _, n := range []int{p.Len() + 1, -1, math.MaxInt, math.MinInt} {
		require.False(t, p.RemoveHeader(n), n)
	}
	require.True(t, p.RemoveHeader(p.Len()))
	require.Equal(t, 300-256, p.TotLen())
	require.True(t, p.AddHeader(256), "hidden bytes come back")
	require.Equal(t, pattern(300), content(p))
	p.Free()
}

func TestAddHeaderRefusesRef(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(100)
	require.NoError(t, err)
	copy(r.Bytes(), pattern(100))
	p := pl.AllocRef(r, 20, 50)
	require.True(t, p.RemoveHeader(10))
	require.False(t, p.AddHeader(1), "the bytes in front are the application's")
	require.True(t, p.AddHeaderForce(10))
	require.Equal(t, pattern(100)[20:70], content(p))
	require.False(t, p.AddHeaderForce(21), "leaves the region")
	require.False(t, p.AddHeaderForce(-1))
	require.True(t, p.AddHeaderForce(20))
	require.Equal(t, pattern(100)[:70], content(p))
	p.Free()
	require.NoError(t, r.Close())

	q := fill(t, pl, pbuf.KindRAM, pattern(1000))
	rest := q.Split(300)
	require.Equal(t, pbuf.KindRef, rest.Kind())
	require.False(t, rest.AddHeader(1))
	require.True(t, rest.AddHeaderForce(300))
	require.Equal(t, pattern(1000), content(rest))
	require.True(t, rest.AddHeaderForce(pbuf.Headroom))
	require.False(t, rest.AddHeaderForce(1), "leaves the buffer")
	require.True(t, q.AddHeaderForce(1), "its own bytes")
	q.Free()
	rest.Free()
}

func TestFreeHeader(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 256})
	data := pattern(256 + 384 + 100)
	for _, n := range []int{-5, 0, 1, 255, 256, 257, 256 + 384, len(data) - 1} {
		p := fill(t, pl, pbuf.KindPool, data)
		q := p.FreeHeader(n)
		require.Equal(t, data[max(n, 0):], content(q), n)
		q.Free()
		require.True(t, pl.Full())
	}
	for _, n := range []int{len(data), len(data) + 1, math.MaxInt} {
		p := fill(t, pl, pbuf.KindPool, data)
		require.Nil(t, p.FreeHeader(n))
		require.True(t, pl.Full())
	}
}

func TestFreeHeaderLeavesHeldBufferWhole(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 256})
	p := fill(t, pl, pbuf.KindPool, pattern(300))
	p.Ref()
	q := p.FreeHeader(256)
	require.Equal(t, 44, q.TotLen())
	require.Equal(t, 256, p.TotLen(), "it was cut off")
	require.Equal(t, pattern(300)[:256], content(p))
	p.Free()
	q.Free()
}

func TestSetLenAndReset(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerLink, 0, pbuf.KindPool)
	for _, n := range []int{-1, 2049, math.MaxInt, math.MaxUint32 + 1} {
		require.False(t, p.SetLen(n), n)
	}
	require.True(t, p.SetLen(2048))
	require.Equal(t, 2048, p.TotLen())
	require.Zero(t, p.Tailroom())
	require.Empty(t, p.Spare())
	require.True(t, p.RemoveHeader(48))
	require.False(t, p.SetLen(2001))
	p.Hash, p.Time = 1, 2
	require.True(t, p.Reset(pbuf.LayerRaw))
	require.Zero(t, p.TotLen())
	require.Zero(t, p.Headroom())
	require.Zero(t, p.Hash)
	require.Zero(t, p.Time)
	require.Len(t, p.Spare(), 2048+pbuf.Headroom)

	p.Ref()
	require.False(t, p.Reset(pbuf.LayerLink), "another holder")
	p.Free()
	p.Cat(pl.Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM))
	require.False(t, p.Reset(pbuf.LayerLink), "a chain")
	require.False(t, p.SetLen(5), "a chain")
	p.Free()
}

func TestAppend(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 256})
	p := fill(t, pl, pbuf.KindPool, pattern(300))
	room := 384 - 44
	require.Equal(t, room, p.Room())
	require.Zero(t, p.Tailroom())
	require.Nil(t, p.Append(room+1))
	require.Nil(t, p.Append(-1))
	require.Nil(t, p.Append(math.MaxInt))
	b := p.Append(10)
	require.Len(t, b, 10)
	require.Equal(t, 10, cap(b))
	copy(b, pattern(10))
	require.Equal(t, 310, p.TotLen())
	require.Equal(t, 54, p.Next().TotLen())
	require.Equal(t, append(pattern(300), pattern(10)...), content(p))
	require.NotNil(t, p.Append(room-10))
	require.Zero(t, p.Room())
	p.Free()
}

func TestTrimFront(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 256})
	for n := range 901 {
		p := fill(t, pl, pbuf.KindPool, pattern(900))
		require.True(t, p.TrimFront(n), n)
		require.Equal(t, pattern(900)[n:], content(p), n)
		require.Equal(t, 900-n, p.TotLen())
		require.GreaterOrEqual(t, p.Headroom(), pbuf.Headroom, "the first buffer stays")
		for _, bad := range []int{-1, p.TotLen() + 1, math.MaxInt} {
			require.False(t, p.TrimFront(bad), bad)
		}
		require.True(t, p.AddHeader(20), n)
		copy(p.Payload(), pattern(20))
		require.Equal(t, append(pattern(20), pattern(900)[n:]...), content(p))
		p.Free()
	}
}
