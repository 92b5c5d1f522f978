package pbuf_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func TestForeignFreeGoesHomeByReturn(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	p := fill(t, a, pbuf.KindPool, pattern(5000))
	p.Cat(fill(t, a, pbuf.KindRAM, pattern(10)))
	require.True(t, pbuf.Handover(p, b.ID()))
	for q := p; q != nil; q = q.Next() {
		require.Equal(t, b.ID(), q.Holder())
		require.Equal(t, a.ID(), q.Home())
	}
	require.Equal(t, 4, p.Free())
	require.False(t, a.Full())
	require.Equal(t, 4, b.ForeignLen())
	home, ok := b.NextForeign(0)
	require.True(t, ok)
	require.Equal(t, a.ID(), home)
	_, ok = b.NextForeign(home + 1)
	require.False(t, ok)
	_, ok = b.NextForeign(255)
	require.False(t, ok)

	ps := make([]*pbuf.Pbuf, 3)
	require.Zero(t, b.TakeForeign(b.ID(), ps))
	require.Equal(t, 3, b.TakeForeign(home, ps))
	a.Return(ps)
	require.Equal(t, 1, b.ForeignLen())
	require.Equal(t, 1, b.TakeForeign(home, ps))
	a.Return(ps[:1])
	require.True(t, a.Full())
	_, ok = b.NextForeign(0)
	require.False(t, ok)
	require.Equal(t, uint64(4), b.Stats().ForeignFrees)
	require.Zero(t, b.Stats().ForeignHeld)
	require.Equal(t, uint64(4), a.Stats().Returned)
}

func TestHandoverThereAndBack(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	p := fill(t, a, pbuf.KindRAM, pattern(10))
	require.True(t, pbuf.Handover(p, b.ID()))
	require.True(t, pbuf.Handover(p, a.ID()))
	require.Equal(t, 1, p.Free())
	require.True(t, a.Full())
	require.Zero(t, b.ForeignLen())
}

func TestHandoverRefusesShared(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	p, tail := fill(t, a, pbuf.KindRAM, pattern(10)), fill(t, a, pbuf.KindRAM, pattern(1000))
	p.Chain(tail)
	require.False(t, pbuf.Handover(p, b.ID()))
	require.Equal(t, a.ID(), p.Holder(), "nothing changed")
	tail.Free()
	rest := p.Split(200)
	require.False(t, pbuf.Handover(p, b.ID()), "a rest shares its memory")
	rest.Free()
	require.True(t, pbuf.Handover(p, b.ID()))
	p.Free()
}

// A foreign reference to a region is dropped at home, as each pool counts its
// own buffers.
func TestForeignRefKeepsRegionUntilHome(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(100)
	require.NoError(t, err)
	p := a.AllocRef(r, 0, 100)
	require.True(t, pbuf.Handover(p, b.ID()))
	rest := p.Split(50)
	require.Equal(t, b.ID(), rest.Home())
	require.Equal(t, 2, r.Refs())
	rest.Free()
	require.Equal(t, 1, r.Refs())
	p.Free()
	require.ErrorIs(t, r.Close(), pbuf.ErrBusy)
	pbuftest.Settle(a, b)
	require.NoError(t, r.Close())
}

func TestNextForeignOverManyPools(t *testing.T) {
	holder := pbuftest.NewPool(t, pbuf.Config{})
	tiny := pbuf.Config{Small: 1, Buffers: -1, Jumbo: -1}
	var want, got []uint8
	for i := range 150 {
		pl := pbuftest.NewPool(t, tiny)
		if i%7 == 0 {
			p := pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM)
			require.True(t, pbuf.Handover(p, holder.ID()))
			p.Free()
			want = append(want, pl.ID())
		}
	}
	for home, ok := holder.NextForeign(0); ok; home, ok = holder.NextForeign(home + 1) {
		got = append(got, home)
	}
	require.Equal(t, want, got)
}

// TestTwoThreads passes packets from one thread to another, and freed ones
// back, with nothing but channels between them: under the race detector it
// shows that the package needs no more.
func TestTwoThreads(t *testing.T) {
	a, b := pbuftest.NewPool(t, pbuf.Config{Buffers: 64}), pbuftest.NewPool(t, pbuf.Config{})
	r, err := pbuf.NewRegion(1 << 16)
	require.NoError(t, err)
	copy(r.Bytes(), pattern(1<<16))
	there, back := make(chan *pbuf.Pbuf, 4), make(chan []*pbuf.Pbuf, 4)
	const packets = 2000
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(back)
		n := 0
		for p := range there {
			if !p.AddHeader(0) { // a KindRef
				h := b.Alloc(pbuf.LayerTransport, 8, pbuf.KindRAM)
				h.Cat(p)
				p = h.FreeHeader(8)
			}
			if p.GetAt(0) != pattern(1)[0] {
				t.Error("wrong payload")
			}
			if rest := p.Split(700); rest != nil {
				rest.Free()
			}
			p.Free()
			if n++; n%8 == 0 || b.ForeignLen() > 16 {
				ps := make([]*pbuf.Pbuf, b.ForeignLen())
				back <- ps[:b.TakeForeign(a.ID(), ps)]
			}
		}
		ps := make([]*pbuf.Pbuf, b.ForeignLen())
		back <- ps[:b.TakeForeign(a.ID(), ps)]
	})
	sent := 0
	send := func() {
		var p *pbuf.Pbuf
		if sent%3 == 0 {
			p = a.AllocRef(r, 0, 1000)
		} else if p = a.Alloc(pbuf.LayerTransport, 1000+sent%2*3000, pbuf.KindPool); p != nil {
			_ = p.Take(pattern(1000))
		}
		if p != nil && pbuf.Handover(p, b.ID()) {
			there <- p
		}
		sent++
	}
	for sent < packets {
		select {
		case ps := <-back:
			a.Return(ps)
		default:
			send()
		}
	}
	close(there)
	for ps := range back {
		a.Return(ps)
	}
	wg.Wait()
	require.True(t, a.Full())
	require.NoError(t, r.Close())
}
