package pbuf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// TestFreeStopsAtHeldBuffer goes through the examples that lwIP's pbuf_free
// gives for reference counts along a chain.
func TestFreeStopsAtHeldBuffer(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	for _, tt := range []struct{ before, after [3]int }{
		{[3]int{1, 2, 3}, [3]int{0, 1, 3}},
		{[3]int{3, 3, 3}, [3]int{2, 3, 3}},
		{[3]int{1, 1, 2}, [3]int{0, 0, 1}},
		{[3]int{2, 1, 1}, [3]int{1, 1, 1}},
		{[3]int{1, 1, 1}, [3]int{0, 0, 0}},
	} {
		var ps [3]*pbuf.Pbuf
		for i := range ps {
			ps[i] = pl.Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM)
			for range tt.before[i] - 1 {
				ps[i].Ref()
			}
		}
		ps[1].Cat(ps[2])
		ps[0].Cat(ps[1])
		freed := ps[0].Free()
		gone := 0
		for i, p := range ps {
			require.Equal(t, tt.after[i], p.RefCount(), tt)
			if tt.after[i] == 0 {
				gone++
			}
		}
		require.Equal(t, gone, freed)
		// Each holder lets go of its own; the rest follows along the links.
		for i, p := range ps {
			held := tt.before[i] - 1
			if i == 0 {
				held = tt.after[0]
			}
			for range held {
				p.Free()
			}
		}
		require.True(t, pl.Full(), tt)
	}
}

func TestCatTakesOverChainShares(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	head, tail := fill(t, pl, pbuf.KindRAM, pattern(5)), fill(t, pl, pbuf.KindRAM, pattern(7))
	head.Cat(tail)
	require.Equal(t, 1, tail.RefCount())
	require.Equal(t, 12, head.TotLen())
	require.Equal(t, 5, head.Len())
	require.Equal(t, 7, tail.TotLen())
	shared := fill(t, pl, pbuf.KindRAM, pattern(9))
	head.Chain(shared)
	require.Equal(t, 2, shared.RefCount())
	require.Equal(t, 21, head.TotLen())
	require.Equal(t, 16, tail.TotLen())
	require.Equal(t, 3, head.ChainLen())
	require.Same(t, shared, head.Last())
	require.Equal(t, 2, head.Free())
	require.Equal(t, pattern(9), content(shared))
	shared.Cat(nil)
	shared.Chain(nil)
	require.Equal(t, 1, shared.Free())
}

func TestDechain(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p, q := fill(t, pl, pbuf.KindRAM, pattern(5)), fill(t, pl, pbuf.KindRAM, pattern(7))
	require.Nil(t, p.Dechain(), "nothing behind")
	p.Chain(q)
	require.Same(t, q, p.Dechain())
	require.Equal(t, 5, p.TotLen())
	require.Nil(t, p.Next())
	require.Equal(t, 1, q.RefCount())
	p.Cat(q)
	require.Nil(t, p.Dechain(), "nobody else held it")
	require.Equal(t, 1, pl.Cap(pbuf.ClassSmall)-pl.Avail(pbuf.ClassSmall))
	p.Free()
}

func TestRealloc(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 256})
	data := pattern(256 + 384 + 100)
	for _, n := range []int{0, 1, 255, 256, 257, 256 + 384, len(data) - 1, len(data)} {
		p := fill(t, pl, pbuf.KindPool, data)
		require.False(t, p.Realloc(len(data)+1))
		require.False(t, p.Realloc(-1))
		require.True(t, p.Realloc(n))
		require.Equal(t, n, p.TotLen())
		require.Equal(t, data[:n], content(p))
		require.Equal(t, p.Last().Len(), p.Last().TotLen())
		p.Free()
	}
}
