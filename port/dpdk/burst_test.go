//go:build dpdk

package dpdk_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/dpdk"
)

// transfer sends ps by queue 0 of a and returns what arrives at b.
func transfer(t testing.TB, a, b *dpdk.Port, ps ...*pbuf.Pbuf) []*pbuf.Pbuf {
	t.Helper()
	require.Equal(t, len(ps), a.TxBurst(0, 0, ps))
	dst := make([]*pbuf.Pbuf, len(ps)+1)
	return dst[:b.RxBurst(0, 0, dst)]
}

// A short segment that TCP keeps is copied: its header is the sender's still.
func TestPairCopiesWhatOthersHold(t *testing.T) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	p := frame(t, pa[0], 255, 1)
	p.Ref()
	got := transfer(t, a, b, p)
	require.Equal(t, 1, p.RefCount(), "the port has let go")
	require.NotEqual(t, p.Addr(), got[0].Addr())
	require.Equal(t, bytesOf(p), bytesOf(got[0]))
	require.Equal(t, uint64(1), a.Counters(0).TxCopied)
	got[0].Free()
	p.Free()
	require.True(t, pa[0].Full())
	require.True(t, pb[0].Full())
}

// A chain goes as one frame of several mbufs, which come as a chain.
func TestPairPassesChains(t *testing.T) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	p := frame(t, pa[0], 100, 1)
	p.Cat(frame(t, pa[0], 700, 50))
	p.Cat(frame(t, pa[0], 3, 90))
	want := bytesOf(p)
	got := transfer(t, a, b, p)
	require.Len(t, got, 1)
	require.Equal(t, 3, got[0].ChainLen())
	require.Equal(t, want, bytesOf(got[0]))
	require.Zero(t, a.Counters(0).TxCopied)
	require.True(t, pa[0].Full())
	require.False(t, pb[0].Full(), "the buffers are the receiver's")
	require.Equal(t, 3, got[0].Free())
	require.True(t, pb[0].Full())
}

// Buffers that point elsewhere, and jumbo ones, reach the other end as copies.
func TestPairCopiesReferences(t *testing.T) {
	a, b, pa, _ := newPair(t, dpdk.PairConfig{MTU: 9000})
	r, err := pbuf.NewRegion(1 << 16)
	require.NoError(t, err)
	for i := range r.Bytes() {
		r.Bytes()[i] = byte(i / 7)
	}
	head := frame(t, pa[0], 54, 1)
	head.Cat(pa[0].AllocRef(r, 100, 5000))
	want := bytesOf(head)
	got := transfer(t, a, b, head)
	require.Equal(t, want, bytesOf(got[0]))
	require.Greater(t, got[0].ChainLen(), 1)
	require.Zero(t, r.Refs(), "the port has let go")
	got[0].Free()

	jumbo := frame(t, pa[0], 8000, 3)
	require.Equal(t, pbuf.ClassJumbo, jumbo.Class())
	want = bytesOf(jumbo)
	got = transfer(t, a, b, jumbo)
	require.Equal(t, want, bytesOf(got[0]))
	got[0].Free()

	p := frame(t, pa[0], 1000, 9)
	want = bytesOf(p)
	rest := p.Split(600) // by reference to p's own memory
	require.Equal(t, pbuf.KindRef, rest.Kind())
	p.Cat(rest)
	got = transfer(t, a, b, p)
	require.Equal(t, want, bytesOf(got[0]))
	got[0].Free()
	require.True(t, pa[0].Full())
	require.NoError(t, r.Close())
}

// What arrived in the other end's mbufs can be sent back as it is, kept, split,
// and freed in any order.
func TestLentBuffers(t *testing.T) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	p := frame(t, pa[0], 200, 1)
	want, addr := bytesOf(p), p.Addr()
	got := transfer(t, a, b, p)
	back := transfer(t, b, a, got[0])
	require.Equal(t, addr, back[0].Addr(), "there and back without a copy")
	require.Equal(t, want, bytesOf(back[0]))
	require.True(t, pb[0].Full())
	require.False(t, pa[0].Full())
	back[0].Free()
	require.True(t, pa[0].Full(), "and home, by whichever way")

	p = frame(t, pa[0], 900, 1)
	want = bytesOf(p)
	got = transfer(t, a, b, p)
	require.Zero(t, got[0].Headroom(), "sent without")
	require.GreaterOrEqual(t, got[0].Tailroom(), 1000)
	rest := got[0].Split(500)
	require.Equal(t, want[500:], bytesOf(rest))
	got[0].Free()
	require.False(t, pb[0].Full())
	require.Equal(t, want[500:], bytesOf(rest), "the memory stays")
	rest.Free()
	require.True(t, pb[0].Full())
}

// A receiver that is behind holds the sender up; nothing is lost.
func TestPairHoldsTheSenderUp(t *testing.T) {
	a, b, pa, _ := newPair(t, dpdk.PairConfig{TxDesc: 64})
	var ps []*pbuf.Pbuf
	for i := range 100 {
		ps = append(ps, frame(t, pa[0], 60, byte(i)))
	}
	n := a.TxBurst(0, 0, ps)
	require.Equal(t, 63, n, "a ring of 64 slots holds one less")
	require.Zero(t, a.TxBurst(0, 0, ps[n:]))
	for i := range ps[n:] {
		require.Equal(t, 1, ps[n+i].RefCount(), "still the caller's")
	}
	dst := make([]*pbuf.Pbuf, 100)
	require.Equal(t, 63, b.RxBurst(0, 0, dst))
	require.Equal(t, 37, a.TxBurst(0, 0, ps[n:]))
	require.Equal(t, 37, b.RxBurst(0, 0, dst[63:]))
	for i, p := range dst {
		require.Equal(t, byte(i), p.Payload()[0], "in order")
	}
	pbuf.FreeBatch(dst)
	require.Equal(t, uint64(100), a.Stats(0).TxPackets)
	require.True(t, pa[0].Full())
}

// Frames that no wire takes are freed and counted, those around them sent.
func TestRefusedFrames(t *testing.T) {
	a, b, pa, _ := newPair(t, dpdk.PairConfig{})
	ps := []*pbuf.Pbuf{
		frame(t, pa[0], 5, 0), frame(t, pa[0], 60, 1), frame(t, pa[0], 1523, 2), frame(t, pa[0], 1522, 3),
	}
	n := 0
	for i := 0; i < 4 && n < 4; i++ {
		n += a.TxBurst(0, 0, ps[n:])
	}
	require.Equal(t, 4, n)
	dst := make([]*pbuf.Pbuf, 4)
	require.Equal(t, 2, b.RxBurst(0, 0, dst))
	require.Equal(t, byte(1), dst[0].Payload()[0])
	require.Equal(t, byte(3), dst[1].Payload()[0])
	pbuf.FreeBatch(dst[:2])
	require.Equal(t, port.Stats{TxPackets: 2, TxBytes: 1582, TxErrors: 2}, a.Stats(0))
	require.True(t, pa[0].Full())
}

// A pool that is not the port's works too: received frames are lent, sent ones
// copied.
func TestPoolOfItsOwn(t *testing.T) {
	noLeak(t)
	a, b, err := dpdk.NewPair(dpdk.PairConfig{})
	require.NoError(t, err)
	pool, err := pbuf.NewPool(pbuf.Config{Small: 64, Buffers: 64, Jumbo: -1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	attach(t, a, pool)
	pb := backed(t, b, 1, pbuf.Config{Small: 64, Buffers: 64})
	attach(t, b, pb)
	for round := range 300 { // more than the pool has buffers
		p := frame(t, pool, 80, byte(round))
		want := bytesOf(p)
		got := transfer(t, a, b, p)
		got = transfer(t, b, a, got[0])
		require.Equal(t, want, bytesOf(got[0]))
		got[0].Free()
	}
	require.True(t, pool.Full())
	require.Equal(t, uint64(300), a.Counters(0).TxCopied)
}

// Buffers of a pair that only this process can read are taken by drivers that copy,
// and refused by one whose other end is another process.
func TestPrivateBuffers(t *testing.T) {
	noLeak(t)
	a, b, err := dpdk.NewPair(dpdk.PairConfig{})
	require.NoError(t, err)
	pool := backed(t, a, 1, pbuf.Config{Small: 64, Buffers: 64})
	shared := open(t, dpdk.Config{Device: unique("net_memif") + ",id=7,role=server,socket-abstract=no,socket=" + t.TempDir() + "/s"})
	require.ErrorIs(t, shared.Attach(0, pool), port.ErrConfig)
	require.NoError(t, shared.Close())
	copies := open(t, dpdk.Config{Device: unique("net_null"), Polled: true})
	attach(t, copies, pool)
	p := frame(t, pool, 1000, 3)
	p.Ref()
	require.Equal(t, 2, copies.TxBurst(0, 0, []*pbuf.Pbuf{p, frame(t, pool, 60, 1)}))
	copies.RxBurst(0, 0, nil)
	require.Equal(t, 1, p.RefCount(), "the port has let go")
	p.Free()
	require.True(t, pool.Full())
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
}

// The other end may go first: what is sent is dropped, and what was under way
// goes home.
func TestPairCloses(t *testing.T) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	require.Equal(t, 2, a.TxBurst(0, 0, []*pbuf.Pbuf{frame(t, pa[0], 60, 1), frame(t, pa[0], 60, 2)}))
	require.NoError(t, b.Close())
	require.ErrorIs(t, b.Close(), port.ErrClosed)
	require.False(t, a.Link().Up)
	require.Equal(t, 1, a.TxBurst(0, 0, []*pbuf.Pbuf{frame(t, pa[0], 60, 3)}))
	require.Equal(t, uint64(1), a.Stats(0).TxDropped)
	require.True(t, pb[0].Full())
	require.NoError(t, a.Close())
	require.True(t, pa[0].Full())
	require.Equal(t, uint64(2), a.Stats(0).TxPackets, "counters stay")
}

// Far more buffers than reserves hold go round, in both directions, without a
// crossing of its own for the pools, but for the first.
func TestBurstsCarryTheBuffers(t *testing.T) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	dst := make([]*pbuf.Pbuf, 32)
	ps := make([]*pbuf.Pbuf, 32)
	for round := range 500 {
		require.Equal(t, 32, pa[0].AllocBatch(ps))
		for i, p := range ps {
			require.True(t, p.SetLen(100))
			copy(p.Payload(), bytes.Repeat([]byte{byte(round + i)}, 100))
		}
		require.Equal(t, 32, a.TxBurst(0, 0, ps))
		require.Equal(t, 32, b.RxBurst(0, 0, dst))
		for i, p := range dst {
			require.Equal(t, byte(round+i), p.Payload()[99])
		}
		pbuf.FreeBatch(dst)
	}
	require.LessOrEqual(t, a.Counters(0).Misses, uint64(2))
	require.LessOrEqual(t, b.Counters(0).Misses, uint64(2))
	require.True(t, pa[0].Full())
	require.True(t, pb[0].Full())
}

func TestBurstsAllocateNothing(t *testing.T) {
	a, b, pa, _ := newPair(t, dpdk.PairConfig{})
	ps, dst := make([]*pbuf.Pbuf, 32), make([]*pbuf.Pbuf, 32)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		pa[0].AllocBatch(ps)
		for _, p := range ps {
			p.SetLen(100)
		}
		a.TxBurst(0, 0, ps)
		b.RxBurst(0, 0, dst)
		pbuf.FreeBatch(dst)
	}))
}

func TestErrors(t *testing.T) {
	noLeak(t)
	a, b, err := dpdk.NewPair(dpdk.PairConfig{Queues: 2})
	require.NoError(t, err)
	pool := backed(t, a, 2, pbuf.Config{Small: 64, Buffers: 64})
	require.ErrorIs(t, a.Attach(2, pool), port.ErrQueue)
	require.ErrorIs(t, a.Start(), port.ErrNotAttached)
	require.NoError(t, a.Attach(0, pool))
	require.ErrorIs(t, a.Attach(0, pool), port.ErrState)
	require.ErrorIs(t, a.Start(), port.ErrNotAttached)
	require.NoError(t, a.Attach(1, pool))
	require.NoError(t, a.Start())
	require.ErrorIs(t, a.Start(), port.ErrState)
	_, err = a.BackPool(pbuf.Config{}, 1)
	require.ErrorIs(t, err, port.ErrState)
	require.Nil(t, a.Waiter(0), "a ring has no interrupts")
	require.ErrorIs(t, a.SetMTU(9000), port.ErrConfig)
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
	require.Zero(t, a.Link())
	require.ErrorIs(t, a.SetPromiscuous(true), port.ErrClosed)
	_, err = a.XStats()
	require.ErrorIs(t, err, port.ErrClosed)

	_, err = dpdk.Open(dpdk.Config{Device: "net_nosuch0"})
	require.Error(t, err)
	require.ErrorIs(t, dpdk.Init(dpdk.EAL{}), port.ErrState)
	require.ErrorIs(t, dpdk.UseRunning(), port.ErrState)
}
