package pbuf_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// pattern returns n bytes, no two stretches of which are alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// fill allocates a packet with the bytes b.
func fill(t testing.TB, pl *pbuf.Pool, k pbuf.Kind, b []byte) *pbuf.Pbuf {
	t.Helper()
	p := pl.Alloc(pbuf.LayerTransport, len(b), k)
	require.NotNil(t, p)
	require.NoError(t, p.Take(b))
	return p
}

// content returns the bytes of a chain.
func content(p *pbuf.Pbuf) []byte {
	b := make([]byte, p.TotLen())
	return b[:p.CopyPartial(b, 0)]
}

func TestAllocRAM(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	tests := []struct {
		layer    pbuf.Layer
		n        int
		class    pbuf.Class
		headroom int
	}{
		{pbuf.LayerTransport, 0, pbuf.ClassSmall, 128},
		{pbuf.LayerTransport, 256, pbuf.ClassSmall, 128},
		{pbuf.LayerIP, 257, pbuf.ClassStandard, 128},
		{pbuf.LayerRaw, 384, pbuf.ClassSmall, 0},
		{pbuf.LayerRaw, 385, pbuf.ClassStandard, 0},
		{pbuf.LayerLink, 2048, pbuf.ClassStandard, 128},
		{pbuf.LayerRaw, 2176, pbuf.ClassStandard, 0},
		{pbuf.LayerTransport, 2049, pbuf.ClassJumbo, 128},
		{pbuf.LayerTransport, pbuf.DefaultJumboRoom, pbuf.ClassJumbo, 128},
	}
	for _, tt := range tests {
		p := pl.Alloc(tt.layer, tt.n, pbuf.KindRAM)
		require.NotNil(t, p, "%+v", tt)
		require.Equal(t, tt.class, p.Class(), "%+v", tt)
		require.Equal(t, tt.headroom, p.Headroom(), "%+v", tt)
		require.Equal(t, tt.n, p.Len())
		require.Equal(t, tt.n, p.TotLen())
		require.Equal(t, tt.n, len(p.Payload()))
		require.Equal(t, tt.n, cap(p.Payload()), "append may not write into the tail room")
		require.Equal(t, pbuf.KindRAM, p.Kind())
		require.Equal(t, 1, p.RefCount())
		require.Nil(t, p.Next())
		require.Equal(t, pl.ID(), p.Home())
		require.Equal(t, pl.ID(), p.Holder())
		require.Equal(t, 1, p.Free())
	}
}

func TestAllocPoolChains(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 512})
	for n, lens := range map[int][]int{
		0:    {0},
		512:  {512},
		513:  {512, 1},
		1153: {512, 640, 1},
	} {
		p := pl.Alloc(pbuf.LayerTransport, n, pbuf.KindPool)
		left := n
		for q := p; q != nil; q = q.Next() {
			require.Equal(t, left, q.TotLen())
			require.Equal(t, lens[0], q.Len())
			require.Equal(t, pbuf.KindPool, q.Kind())
			left -= q.Len()
			lens = lens[1:]
		}
		require.Empty(t, lens)
		require.Equal(t, pbuf.Headroom, p.Headroom())
		if p.Next() != nil {
			require.Zero(t, p.Next().Headroom(), "only the first has headroom")
		}
		p.Free()
	}
}

func TestAllocStartsClean(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Small: -1, Buffers: 1, Jumbo: -1})
	for _, k := range []pbuf.Kind{pbuf.KindRAM, pbuf.KindPool} {
		p := pl.Alloc(pbuf.LayerTransport, 10, k)
		p.Meta = pbuf.Meta{Hash: 1, Flags: ^pbuf.Flags(0), SegSize: 2, VLAN: 3, L2Len: 4, L3Len: 5, L4Len: 6, Netif: 7}
		p.Time = 8
		p.RemoveHeader(3)
		p.Free()
		p = pl.Alloc(pbuf.LayerTransport, 10, k)
		require.Equal(t, pbuf.Meta{}, p.Meta)
		require.Zero(t, p.Time)
		require.Equal(t, pbuf.Headroom, p.Headroom())
		require.Nil(t, p.QNext())
		p.Free()
	}
}

func TestAllocBadArguments(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	for _, n := range []int{-1, math.MinInt, pbuf.DefaultJumboRoom + 1, math.MaxInt, math.MaxInt - 128, math.MaxUint32 + 1} {
		require.Nil(t, pl.Alloc(pbuf.LayerTransport, n, pbuf.KindRAM), n)
	}
	for _, n := range []int{-1, math.MinInt, math.MaxInt, math.MaxInt - 128, math.MaxUint32 + 1} {
		require.Nil(t, pl.Alloc(pbuf.LayerTransport, n, pbuf.KindPool), n)
	}
	require.Nil(t, pl.Alloc(pbuf.LayerTransport, 1, pbuf.KindRef))
	require.Nil(t, pl.Alloc(pbuf.LayerTransport, 1, pbuf.Kind(9)))
	require.True(t, pl.Full())
}

func TestAllocFallsBackToLargerClass(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Small: 1, Buffers: 1, Jumbo: 1})
	var ps []*pbuf.Pbuf
	for c := pbuf.ClassSmall; c <= pbuf.ClassJumbo; c++ {
		p := pl.Alloc(pbuf.LayerTransport, 1, pbuf.KindRAM)
		require.Equal(t, c, p.Class())
		ps = append(ps, p)
	}
	require.Nil(t, pl.Alloc(pbuf.LayerTransport, 1, pbuf.KindRAM))
	require.Nil(t, pl.Alloc(pbuf.LayerTransport, 1, pbuf.KindPool))
	s := pl.Stats()
	require.Equal(t, uint64(3), s.Class[pbuf.ClassSmall].Fallbacks)
	require.Equal(t, uint64(1), s.Class[pbuf.ClassSmall].Failures)
	require.Equal(t, uint64(1), s.Class[pbuf.ClassStandard].Failures, "the chain")
	require.Zero(t, s.Class[pbuf.ClassJumbo].Failures)
	pbuf.FreeBatch(ps)
}

func TestAllocChainTakesAllOrNothing(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Buffers: 3, DataRoom: 256})
	all := 256 + 2*384
	require.Nil(t, pl.Alloc(pbuf.LayerTransport, all+1, pbuf.KindPool))
	require.Equal(t, 3, pl.Avail(pbuf.ClassStandard))
	p := pl.Alloc(pbuf.LayerTransport, all, pbuf.KindPool)
	require.Equal(t, 3, p.ChainLen())
	require.Zero(t, pl.Avail(pbuf.ClassStandard))
	require.Equal(t, 3, p.Free())
	require.Equal(t, uint64(1), pl.Stats().Class[pbuf.ClassStandard].Failures)
}

func TestAllocBatch(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Buffers: 5})
	ps := make([]*pbuf.Pbuf, 4)
	require.Equal(t, 4, pl.AllocBatch(ps))
	for i, p := range ps {
		require.Zero(t, p.TotLen())
		require.Equal(t, pbuf.Headroom, p.Headroom())
		require.Len(t, p.Spare(), pbuf.DefaultDataRoom)
		require.Equal(t, pbuf.KindPool, p.Kind())
		require.Equal(t, pbuf.Meta{}, p.Meta)
		copy(p.Spare(), []byte{byte(i), 1, 2})
		require.True(t, p.SetLen(3))
	}
	for i, p := range ps {
		require.Equal(t, []byte{byte(i), 1, 2}, content(p))
	}
	more := make([]*pbuf.Pbuf, 4)
	require.Equal(t, 1, pl.AllocBatch(more))
	require.Zero(t, pl.AllocBatch(more[1:]))
	require.Zero(t, pl.AllocBatch(nil))
	require.Equal(t, uint64(2), pl.Stats().Class[pbuf.ClassStandard].Failures)
	pbuf.FreeBatch(ps)
	pbuf.FreeBatch(more[:1])
}

func TestFreeBatchOfAllSorts(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(100)
	require.NoError(t, err)
	long := fill(t, a, pbuf.KindRAM, pattern(1000))
	held := fill(t, a, pbuf.KindRAM, pattern(10))
	held.Ref()
	moved := fill(t, a, pbuf.KindRAM, pattern(10))
	require.True(t, pbuf.Handover(moved, b.ID()))
	ps := []*pbuf.Pbuf{
		fill(t, a, pbuf.KindRAM, pattern(10)), fill(t, a, pbuf.KindRAM, pattern(1000)),
		a.AllocRef(r, 0, 10), long.Split(500), long, held, moved,
		fill(t, b, pbuf.KindPool, pattern(5000)), fill(t, b, pbuf.KindRAM, pattern(100)),
	}
	pbuf.FreeBatch(ps)
	require.NoError(t, r.Close())
	require.Equal(t, 1, held.RefCount())
	held.Free()
	require.Equal(t, 1, b.ForeignLen())
}

// Buffers of one class look alike but for whose they are.
func TestFreeBatchTellsHomesApart(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	var ps []*pbuf.Pbuf
	for range 2 {
		for _, pl := range []*pbuf.Pool{a, a, b} {
			ps = append(ps, pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM))
		}
	}
	require.True(t, pbuf.Handover(ps[1], b.ID()))
	require.True(t, pbuf.Handover(ps[5], a.ID()))
	pbuf.FreeBatch(ps)
	require.Equal(t, a.Cap(pbuf.ClassSmall)-1, a.Avail(pbuf.ClassSmall))
	require.Equal(t, b.Cap(pbuf.ClassSmall)-1, b.Avail(pbuf.ClassSmall))
	require.Equal(t, 1, a.ForeignLen())
	require.Equal(t, 1, b.ForeignLen())
}

func TestCB(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	type state struct {
		seq  uint32
		when int64
		rest [6]uint64
	}
	p := pl.Alloc(pbuf.LayerTransport, 10, pbuf.KindRAM)
	require.NoError(t, p.Take(pattern(10)))
	s := pbuf.CB[state](p)
	*s = state{1, 2, [6]uint64{3, 4, 5, 6, 7, 8}}
	require.Equal(t, uint64(8), pbuf.CB[[8]uint64](p)[7])
	require.Equal(t, pattern(10), content(p))
	require.Equal(t, 10, p.TotLen())
	require.Panics(t, func() { pbuf.CB[[65]byte](p) })
	p.Free()
}
