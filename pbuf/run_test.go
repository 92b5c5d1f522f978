package pbuf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func TestAllocRun(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Small: 8, Buffers: 8, Jumbo: 2, DataRoom: 2048})
	for _, tt := range []struct {
		n, each int
		class   pbuf.Class
		lens    []int
	}{
		{1, 1460, pbuf.ClassStandard, []int{1}},
		{1460, 1460, pbuf.ClassStandard, []int{1460}},
		{4000, 1460, pbuf.ClassStandard, []int{1460, 1460, 1080}},
		{600, 200, pbuf.ClassSmall, []int{200, 200, 200}},
		{4000, 3000, pbuf.ClassJumbo, []int{3000, 1000}},
	} {
		p := pl.AllocRun(tt.n, tt.each)
		require.NotNil(t, p, tt)
		var lens []int
		total := tt.n
		for q := p; q != nil; q = q.Next() {
			lens = append(lens, q.Len())
			require.Equal(t, total, q.TotLen())
			require.Equal(t, pbuf.Headroom, q.Headroom())
			require.Equal(t, tt.class, q.Class())
			require.GreaterOrEqual(t, q.Len()+q.Tailroom(), tt.each, "the last can be filled up")
			total -= q.Len()
		}
		require.Equal(t, tt.lens, lens)
		p.Free()
	}
	for _, bad := range [][2]int{{0, 1460}, {-1, 1460}, {100, 0}, {9 * 1460, 1460}, {1 << 20, 1 << 20}} {
		require.Nil(t, pl.AllocRun(bad[0], bad[1]), bad)
	}
	require.Equal(t, 8, pl.Avail(pbuf.ClassStandard))
}

// TestSpreadAndGather: a chain is taken apart and put together again, whatever
// others hold of it meanwhile.
func TestSpreadAndGather(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Buffers: 16})
	p := pl.AllocRun(5000, 1000)
	require.NoError(t, p.Take(pattern(5000)))
	var out [5]*pbuf.Pbuf
	require.Zero(t, p.Spread(out[:4]), "too short")
	require.Equal(t, pattern(5000), content(p))
	require.Equal(t, 5, p.Spread(out[:]))
	require.Same(t, p, out[0])
	for i, f := range out {
		require.Nil(t, f.Next())
		require.Equal(t, pattern(5000)[1000*i:1000*i+1000], content(f))
		f.Ref() // a port's
	}
	l := pbuf.LinkParts(out[1:])
	i := 1
	for q := l.Head(); q != nil; q = q.QNext() {
		require.Same(t, out[i], q)
		i++
	}
	require.Equal(t, 5, i)
	pbuf.FreeBatch(out[:])
	p.Gather(&l)
	require.Nil(t, l.Head())
	require.Nil(t, l.Pop())
	require.Equal(t, pattern(5000), content(p))
	for q, n := p, 5000; q != nil; q, n = q.Next(), n-1000 {
		require.Equal(t, n, q.TotLen())
		require.Equal(t, 1, q.RefCount())
	}
	require.Equal(t, 5, p.Spread(out[:]))
	l = pbuf.LinkParts(out[1:])
	require.Same(t, out[1], l.Pop())
	out[1].Free()
	l.Free()
	require.Equal(t, 15, pl.Avail(pbuf.ClassStandard))
	p.Free()
}

// TestPartsFree: of a list all go home, whoever else holds some of them, and what is not
// of the first one's class or has others behind it, too.
func TestPartsFree(t *testing.T) {
	for name, c := range map[string]struct {
		others string // s: of the small class, h: held by somebody, c: a chain
	}{
		"none": {""}, "alike": {"...."}, "held first": {"h..."}, "held": {"..h."}, "held last": {"...h"},
		"small": {"..s."}, "small first": {"s..."}, "chain": {".c.."}, "all": {".s.h.c.h.s."},
	} {
		t.Run(name, func(t *testing.T) {
			pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 2048, Buffers: 32, Small: 32})
			var ps, kept []*pbuf.Pbuf
			for _, o := range c.others {
				p := pl.Alloc(pbuf.LayerTransport, 1000, pbuf.KindRAM)
				switch o {
				case 's':
					p.Free()
					p = pl.Alloc(pbuf.LayerTransport, 10, pbuf.KindRAM)
				case 'h':
					p.Ref()
					kept = append(kept, p)
				case 'c':
					p.Cat(pl.Alloc(pbuf.LayerRaw, 1000, pbuf.KindRAM))
				}
				ps = append(ps, p)
			}
			l := pbuf.LinkParts(ps)
			l.Free()
			require.Nil(t, l.Head())
			require.Equal(t, 32-len(kept), pl.Avail(pbuf.ClassStandard))
			require.Equal(t, 32, pl.Avail(pbuf.ClassSmall))
			for _, p := range kept {
				require.Equal(t, 1, p.RefCount())
				require.Nil(t, p.QNext(), "it can't be in a queue")
				p.Free()
			}
		})
	}
}

func TestCatRun(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Buffers: 16, DataRoom: 2048})
	p := pl.AllocRun(1500, 1000)
	last := p.Last()
	require.Nil(t, p.CatRun(last, 2048, nil), "no room")
	require.Equal(t, 1500, p.TotLen())
	require.NoError(t, p.Take(pattern(3000)[:1500]))
	copy(p.CatRun(last, 100, nil), pattern(3000)[1500:])
	tail := pl.AllocRun(1000, 1000)
	require.NoError(t, tail.Take(pattern(3000)[2000:]))
	copy(p.CatRun(last, 400, tail), pattern(3000)[1600:])
	require.Equal(t, pattern(3000), content(p))
	require.Equal(t, 2000, p.Next().TotLen())
	require.Equal(t, 3, p.Free())
}

func TestDataSum(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerTransport, 1000, pbuf.KindRAM)
	_, ok := p.DataSum(1000)
	require.False(t, ok)
	p.SetDataSum(0xabcd, 1000)
	sum, ok := p.DataSum(1000)
	require.True(t, ok)
	require.EqualValues(t, 0xabcd, sum)
	_, ok = p.DataSum(999)
	require.False(t, ok, "it has been cut since")
	p.Flags = 0
	_, ok = p.DataSum(1000)
	require.False(t, ok)
	p.Free()
}
