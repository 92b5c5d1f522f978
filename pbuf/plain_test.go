//go:build !pbufdebug

package pbuf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// TestNothingIsAllocated holds that no operation of the data path leaves
// anything to the garbage collector.
func TestNothingIsAllocated(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(1000)
	require.NoError(t, err)
	var ps [8]*pbuf.Pbuf
	buf := pattern(2500)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		p := a.Alloc(pbuf.LayerTransport, 5000, pbuf.KindPool)
		_ = p.TakeAt(buf, 2000)
		p.CopyPartial(buf, 1900)
		p.Cat(a.AllocRef(r, 0, 500))
		p.AddHeader(20)
		p.Memfind(buf[:5], 0)
		rest := p.Split(3000)
		p.Cat(rest.Clone(pbuf.LayerRaw, pbuf.KindRAM))
		p = p.Coalesce(pbuf.LayerTransport)
		var q pbuf.Queue
		q.Push(rest)
		q.Push(p)
		q.FreeAll()
		p = a.Alloc(pbuf.LayerIP, 10, pbuf.KindRAM)
		*pbuf.CB[int64](p) = 1
		pbuf.Handover(p, b.ID())
		p.Free()
		a.Return(ps[:b.TakeForeign(a.ID(), ps[:])])
		pbuf.FreeBatch(ps[:a.AllocBatch(ps[:])])
		_ = a.Stats()
	}))
	require.NoError(t, r.Close())
}

func TestDoubleFreeIsHarmlessWhileUnused(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM)
	require.Equal(t, 1, p.Free())
	require.Zero(t, p.Free())
	pbuf.FreeBatch([]*pbuf.Pbuf{p})
	require.Equal(t, pl.Cap(pbuf.ClassSmall), pl.Avail(pbuf.ClassSmall))
}

func TestLastFreedIsUsedFirst(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	a, b := pl.Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM), pl.Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM)
	b.Free()
	a.Free()
	require.Same(t, a, pl.Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM))
	require.Same(t, b, pl.Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM))
	a.Free()
	b.Free()

	var ps [3]*pbuf.Pbuf
	pl.AllocBatch(ps[:])
	pbuf.FreeBatch(ps[:])
	var again [2]*pbuf.Pbuf
	pl.AllocBatch(again[:])
	require.Same(t, ps[2], again[0])
	require.Same(t, ps[1], again[1])
	pbuf.FreeBatch(again[:])
}
