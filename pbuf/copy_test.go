package pbuf_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// pieces builds a chain of buffers with these lengths.
func pieces(t *testing.T, pl *pbuf.Pool, lens ...int) *pbuf.Pbuf {
	t.Helper()
	var p *pbuf.Pbuf
	total := 0
	for _, n := range lens {
		q := pl.Alloc(pbuf.LayerTransport, n, pbuf.KindRAM)
		require.NotNil(t, q)
		total += n
		if p == nil {
			p = q
		} else {
			p.Cat(q)
		}
	}
	require.NoError(t, p.Take(pattern(total)))
	return p
}

func TestSkip(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pieces(t, pl, 3, 0, 2)
	for off, want := range []struct{ buf, off int }{{0, 0}, {0, 1}, {0, 2}, {2, 0}, {2, 1}} {
		q, o := p.Skip(off)
		for range want.buf {
			q0 := p
			for q0.Next() != q {
				q0 = q0.Next()
			}
			q = q0
		}
		require.Same(t, p, q, off)
		require.Equal(t, want.off, o, off)
	}
	q, o := p.Skip(5)
	require.Nil(t, q)
	require.Zero(t, o)
	q, o = p.Skip(9)
	require.Nil(t, q)
	require.Equal(t, 4, o)
	p.Free()
}

func TestCopyPartial(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pieces(t, pl, 3, 0, 2, 4)
	data := pattern(9)
	for off := range 11 {
		for n := range 11 {
			dst := make([]byte, n)
			want := data[min(off, 9):min(off+n, 9)]
			require.Equal(t, len(want), p.CopyPartial(dst, off))
			require.Equal(t, want, dst[:len(want)])
		}
	}
	require.Zero(t, p.CopyPartial(make([]byte, 5), -1))
	require.Zero(t, p.CopyPartial(nil, 0))
	p.Free()
}

func TestContiguous(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pieces(t, pl, 3, 0, 4)
	data, buf := pattern(7), make([]byte, 7)
	for off := range 7 {
		for n := 1; n <= 7-off; n++ {
			b := p.Contiguous(buf, n, off)
			require.Equal(t, data[off:off+n], b)
			require.Equal(t, n, cap(b[:n:n]))
			inPlace := off+n <= 3 || off >= 3
			require.Equal(t, inPlace, &b[0] != &buf[0])
		}
	}
	for _, bad := range []struct{ n, off int }{{1, 7}, {8, 0}, {-1, 0}, {1, -1}, {math.MaxInt, 1}, {1, math.MaxInt}} {
		require.Nil(t, p.Contiguous(buf, bad.n, bad.off), bad)
	}
	require.Nil(t, p.Contiguous(buf[:4], 5, 1), "buf is too short")
	require.Nil(t, p.Contiguous(nil, 5, 1), "no copy wanted")
	require.NotNil(t, p.Contiguous(nil, 3, 0))
	require.NotNil(t, p.Contiguous(buf, 0, 7))
	p.Free()
}

func TestTakeAt(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pieces(t, pl, 3, 0, 2, 4)
	for off := range 10 {
		for n := range 10 - off {
			want := content(p)
			b := pattern(off + n + 20)[20+off:]
			copy(want[off:], b)
			require.NoError(t, p.TakeAt(b, off))
			require.Equal(t, want, content(p))
		}
		require.ErrorIs(t, p.TakeAt(make([]byte, 10-off), off), pbuf.ErrMem)
	}
	require.ErrorIs(t, p.TakeAt([]byte{1}, -1), pbuf.ErrMem)
	require.ErrorIs(t, p.TakeAt(nil, 10), pbuf.ErrMem)
	require.ErrorIs(t, p.TakeAt([]byte{1}, math.MaxInt), pbuf.ErrMem)
	require.ErrorIs(t, p.Take(make([]byte, 10)), pbuf.ErrMem)
	p.Free()
}

func TestCopyAndCopyTo(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	src := pieces(t, pl, 3, 0, 4)
	dst := pieces(t, pl, 2, 5, 0, 2)
	require.NoError(t, src.Copy(dst))
	require.Equal(t, append(pattern(7), pattern(9)[7:]...), content(dst))
	require.ErrorIs(t, dst.Copy(src), pbuf.ErrArg, "too short")
	require.ErrorIs(t, src.Copy(nil), pbuf.ErrArg)

	require.NoError(t, dst.Take(make([]byte, 9)))
	require.NoError(t, src.CopyTo(dst, 5, 4))
	require.Equal(t, append(make([]byte, 4), pattern(7)[:5]...), content(dst))
	for _, bad := range []struct{ n, off int }{{8, 0}, {7, 3}, {-1, 0}, {1, -1}, {1, 9}, {1, math.MaxInt}} {
		require.ErrorIs(t, src.CopyTo(dst, bad.n, bad.off), pbuf.ErrArg, bad)
	}
	require.NoError(t, src.CopyTo(dst, 0, 9))
	src.Free()
	dst.Free()
}

func TestCloneAndCoalesce(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 512, Jumbo: 1, JumboRoom: 1024})
	p := pieces(t, pl, 500, 0, 200)
	p.Flags, p.Time = pbuf.RxTime|pbuf.RxVLAN, 99
	for _, k := range []pbuf.Kind{pbuf.KindRAM, pbuf.KindPool} {
		c := p.Clone(pbuf.LayerLink, k)
		require.Equal(t, pattern(700), content(c))
		require.Equal(t, p.Meta, c.Meta)
		require.Equal(t, int64(99), c.Time)
		require.Equal(t, k, c.Kind())
		c.Free()
	}
	require.Nil(t, p.Clone(pbuf.LayerLink, pbuf.KindRef))
	one := p.Coalesce(pbuf.LayerTransport)
	require.NotSame(t, p, one)
	require.Nil(t, one.Next())
	require.Equal(t, pattern(700), content(one))
	require.Equal(t, pbuf.RxTime|pbuf.RxVLAN, one.Flags)
	require.Same(t, one, one.Coalesce(pbuf.LayerTransport), "one buffer already")

	two := pieces(t, pl, 500, 200)
	require.Same(t, two, two.Coalesce(pbuf.LayerTransport), "no memory")
	require.Equal(t, pattern(700), content(two))
	require.Nil(t, two.Clone(pbuf.LayerTransport, pbuf.KindRAM))
	two.Free()
	one.Free()
}

func TestBytesAt(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pieces(t, pl, 3, 0, 2)
	for i, want := range pattern(5) {
		require.Equal(t, want, p.GetAt(i))
		p.PutAt(i, want+1)
		got, ok := p.TryGetAt(i)
		require.True(t, ok)
		require.Equal(t, want+1, got)
	}
	before := content(p)
	for _, off := range []int{-1, 5, math.MaxInt, math.MinInt} {
		require.Zero(t, p.GetAt(off))
		_, ok := p.TryGetAt(off)
		require.False(t, ok)
		p.PutAt(off, 0)
	}
	require.Equal(t, before, content(p))
	p.Free()
}

func TestMemcmpAndMemfind(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pieces(t, pl, 4, 0, 3, 6)
	require.NoError(t, p.Take([]byte("GET /GET / HT")))
	require.Zero(t, p.Memcmp([]byte("GET /GET / HT"), 0))
	require.Zero(t, p.Memcmp([]byte(" /GE"), 3))
	require.Equal(t, 6, p.Memcmp([]byte("GET /gET"), 0))
	require.Equal(t, 1, p.Memcmp([]byte("x"), 12))
	require.Equal(t, -1, p.Memcmp([]byte("HTT"), 11))
	require.Equal(t, -1, p.Memcmp([]byte("T"), 13))
	require.Equal(t, -1, p.Memcmp([]byte("T"), -1))
	require.Zero(t, p.Memcmp(nil, 13))

	require.Equal(t, 0, p.Memfind([]byte("GET /"), 0))
	require.Equal(t, 5, p.Memfind([]byte("GET /"), 1))
	require.Equal(t, 11, p.Memfind([]byte("HT"), 0))
	require.Equal(t, -1, p.Memfind([]byte("HTT"), 0), "ends with the chain")
	require.Equal(t, -1, p.Memfind([]byte("GET /"), 6))
	require.Equal(t, -1, p.Memfind([]byte("G"), -1))
	require.Equal(t, -1, p.Memfind([]byte("G"), math.MaxInt))
	require.Equal(t, 7, p.Memfind(nil, 7))
	require.Equal(t, -1, p.Memfind(nil, 14))
	p.Free()
}
