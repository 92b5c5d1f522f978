package pbuf_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// A chain that a Builder made is the one that Cat would have made.
func TestBuilderIsCat(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 256, Buffers: 2048, Small: 2048})
	for range 200 {
		var b pbuf.Builder
		want := []byte{}
		require.Nil(t, b.Finish())
		parts := 1 + rng.IntN(8)
		for range parts {
			data := pattern(rng.IntN(600))
			b.Add(fill(t, pl, pbuf.KindPool, data))
			want = append(want, data...)
			require.Equal(t, len(want), b.Len())
		}
		p := b.Finish()
		require.Zero(t, b.Len())
		require.Nil(t, b.Finish())
		require.Equal(t, want, content(p))
		left := len(want)
		for q := p; q != nil; q = q.Next() {
			require.Equal(t, left, q.TotLen())
			left -= q.Len()
		}
		require.Zero(t, left)
		p.Free()
	}
}

// TestBuilderAddPart: parts behind a chain, and in front of one, are what Add would have
// made of them without their first bytes.
func TestBuilderAddPart(t *testing.T) {
	const cut = 66
	// Each letter is a step: a chain, a single buffer, a part.
	for _, steps := range []string{"sp", "cp", "spppp", "spcp", "sppsc", "cpspcp"} {
		t.Run(steps, func(t *testing.T) {
			pl := pbuftest.NewPool(t, pbuf.Config{DataRoom: 256, Buffers: 256, Small: 256})
			var b pbuf.Builder
			var want []byte
			for i, c := range steps {
				switch c {
				case 'p':
					data := pattern(cut + 100 + i)
					b.AddPart(fill(t, pl, pbuf.KindPool, data), cut)
					want = append(want, data[cut:]...)
				default:
					data := pattern(map[rune]int{'c': 600, 's': 100}[c] + i)
					b.Add(fill(t, pl, pbuf.KindPool, data))
					want = append(want, data...)
				}
				require.Equal(t, len(want), b.Len())
			}
			p := b.Finish()
			require.Equal(t, want, content(p))
			left := len(want)
			for q := p; q != nil; q = q.Next() {
				require.Equal(t, left, q.TotLen())
				left -= q.Len()
			}
			require.Zero(t, left)
			p.Free()
		})
	}
}

func TestSliceKeepsTheMemory(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	data := pattern(2000)
	p := fill(t, pl, pbuf.KindRAM, data)
	p.Hash = 7
	a, b := p.Slice(0, 1000), p.Slice(1000, 1000)
	c := b.Slice(10, 20) // a slice of a slice
	require.Equal(t, pbuf.KindRef, a.Kind())
	require.Zero(t, a.Meta)
	require.True(t, p.Shared())
	require.Zero(t, p.Tailroom())
	require.Same(t, pl, a.Pool())
	p.Free()
	require.Equal(t, data[:1000], content(a))
	require.Equal(t, data[1000:], content(b))
	b.Free()
	require.Equal(t, data[1010:1030], content(c))
	a.Free()
	require.Equal(t, pl.Cap(pbuf.ClassStandard)-1, pl.Avail(pbuf.ClassStandard), "c still needs it")
	c.Free()
	require.True(t, pl.Full())
}

func TestSliceOfRegion(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(4096)
	require.NoError(t, err)
	copy(r.Bytes(), pattern(4096))
	p := pl.AllocRef(r, 100, 1000)
	a := p.Slice(1, 999)
	p.Free()
	require.Equal(t, pattern(4096)[101:1100], content(a))
	require.ErrorIs(t, r.Close(), pbuf.ErrBusy)
	a.Free()
	require.NoError(t, r.Close())
}

func TestSliceThatCannotBe(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Small: 4, Buffers: 4, Jumbo: -1})
	p := fill(t, pl, pbuf.KindRAM, pattern(1000))
	for _, c := range [][2]int{{-1, 1}, {0, -1}, {0, 1001}, {1000, 1}, {1001, 0}} {
		require.Nil(t, p.Slice(c[0], c[1]))
	}
	require.False(t, p.Shared())
	var out []*pbuf.Pbuf
	for s := p.Slice(0, 1000); s != nil; s = p.Slice(0, 1000) {
		out = append(out, s)
	}
	require.Len(t, out, 7, "all other buffers of the pool")
	pbuf.FreeBatch(out)
	require.False(t, p.Shared())
	p.Free()
}

// A buffer counts its slices in 16 bits.
func TestSliceAtMost65535Times(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{Small: 1 << 16, Buffers: 1, Jumbo: -1})
	p := fill(t, pl, pbuf.KindRAM, pattern(1000))
	var all pbuf.Builder
	for range 65535 {
		all.Add(p.Slice(0, 1))
	}
	require.Nil(t, p.Slice(0, 1))
	require.NotZero(t, pl.Avail(pbuf.ClassSmall), "not for want of buffers")
	p.Free()
	all.Finish().Free()
}
