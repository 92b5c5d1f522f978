package pbuf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// fakeBacking is a mempool in place of DPDK's: elements of 2 KiB data room cut
// out of a region.
type fakeBacking struct {
	free            []uintptr
	limit           int // most elements a Refill gives, 0 = any number
	refills, drains int
}

func newBacking(t *testing.T, n int) *fakeBacking {
	t.Helper()
	const size = pbuf.MbufSize + pbuf.PbufSize + pbuf.Headroom + pbuf.DefaultDataRoom
	r, err := pbuf.NewRegion(n * size)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	// A buffer that refers to the region tells its address.
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pl.AllocRef(r, 0, 0)
	defer p.Free()
	b := &fakeBacking{}
	for i := range n {
		b.free = append(b.free, p.PayloadAddr()+uintptr(i*size)+pbuf.MbufSize)
	}
	return b
}

func (b *fakeBacking) Refill(dst []uintptr) int {
	b.refills++
	n := min(len(dst), len(b.free))
	if b.limit > 0 {
		n = min(n, b.limit)
	}
	copy(dst, b.free[len(b.free)-n:])
	b.free = b.free[:len(b.free)-n]
	return n
}

func (b *fakeBacking) Drain(src []uintptr) {
	b.drains++
	b.free = append(b.free, src...)
}

func backedPool(t *testing.T, b *fakeBacking, n int) *pbuf.Pool {
	t.Helper()
	cfg := pbuf.Config{Small: -1, Jumbo: -1, Buffers: n}
	cfg.Backing[pbuf.ClassStandard] = b
	return pbuftest.NewPool(t, cfg)
}

func TestBackingRefillsAndDrainsInBatches(t *testing.T) {
	const n = 2000
	b := newBacking(t, n)
	pl := backedPool(t, b, n)
	require.Nil(t, pl.Memory(), "nothing mapped")
	require.Equal(t, n, pl.Avail(pbuf.ClassStandard))
	ps := make([]*pbuf.Pbuf, n)
	require.Equal(t, n, pl.AllocBatch(ps))
	require.Empty(t, b.free)
	require.Less(t, b.refills, 10)
	require.Nil(t, pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM))
	for i, p := range ps {
		require.True(t, p.SetLen(2))
		p.PutAt(0, byte(i))
		p.PutAt(1, byte(i>>8))
	}
	for i, p := range ps {
		require.Equal(t, []byte{byte(i), byte(i >> 8)}, content(p))
		p.Free()
	}
	require.True(t, pl.Full())
	require.Less(t, b.drains, 10)
	require.NotEmpty(t, b.free)
	require.NoError(t, pl.Close())
	require.Len(t, b.free, n, "all are back")
	seen := map[uintptr]bool{}
	for _, a := range b.free {
		require.False(t, seen[a])
		seen[a] = true
	}
}

func TestBackingThatGivesLittle(t *testing.T) {
	b := newBacking(t, 10)
	b.limit = 3
	pl := backedPool(t, b, 20)
	p := pl.Alloc(pbuf.LayerRaw, 5*2176, pbuf.KindPool)
	require.Equal(t, 5, p.ChainLen())
	require.Nil(t, pl.Alloc(pbuf.LayerRaw, 6*2176, pbuf.KindPool), "only 5 are left")
	require.Equal(t, 15, pl.Avail(pbuf.ClassStandard), "what the chain had is back")
	q := pl.Alloc(pbuf.LayerRaw, 5*2176, pbuf.KindPool)
	require.NotNil(t, q)
	require.Zero(t, pl.AllocBatch(make([]*pbuf.Pbuf, 1)))
	p.Free()
	q.Free()
}

func TestBackingLimitsWhatIsOut(t *testing.T) {
	b := newBacking(t, 10)
	pl := backedPool(t, b, 4)
	ps := make([]*pbuf.Pbuf, 10)
	require.Equal(t, 4, pl.AllocBatch(ps))
	require.Zero(t, pl.Avail(pbuf.ClassStandard))
	pbuf.FreeBatch(ps[:4])
}

// TestAdoptAndDisown does as a DPDK port: the device takes buffers from the
// mempool for received frames and gives those it has sent back to it.
func TestAdoptAndDisown(t *testing.T) {
	b := newBacking(t, 600)
	pl := backedPool(t, b, 600)
	var elements [4]uintptr
	require.Equal(t, 4, b.Refill(elements[:]))
	var ps [4]*pbuf.Pbuf
	pl.Adopt(pbuf.ClassStandard, elements[:], ps[:])
	require.Equal(t, 596, pl.Avail(pbuf.ClassStandard))
	for i, p := range ps {
		require.Equal(t, elements[i], p.Addr())
		require.Same(t, p, pbuf.At(elements[i]))
		require.Zero(t, p.TotLen())
		require.Equal(t, pbuf.Headroom, p.Headroom())
		require.Equal(t, 1, p.RefCount())
		copy(p.Spare(), pattern(100))
		require.True(t, p.SetLen(100))
		require.Equal(t, pattern(100), content(p))
	}
	pl.Disown(ps[:2])
	b.Drain(elements[:2])
	require.Equal(t, 598, pl.Avail(pbuf.ClassStandard))
	pbuf.FreeBatch(ps[2:])
	require.True(t, pl.Full())
	require.NoError(t, pl.Close())
	require.Len(t, b.free, 600)
	require.Nil(t, pbuf.At(0))
}
