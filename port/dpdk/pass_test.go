//go:build dpdk

package dpdk_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/dpdk"
)

// passed sends p, which the caller keeps, by queue 0 of a, and returns what arrives.
func passed(t testing.TB, a, b *dpdk.Port, p *pbuf.Pbuf) *pbuf.Pbuf {
	t.Helper()
	p.Ref()
	got := transfer(t, a, b, p)
	require.Len(t, got, 1)
	require.Equal(t, bytesOf(p), bytesOf(got[0]))
	return got[0]
}

// rounds has both ends look after their buffers.
func rounds(ends ...*dpdk.Port) {
	for range 2 {
		for _, p := range ends {
			p.RxBurst(0, 0, nil)
		}
	}
}

// A long segment that TCP keeps reaches the other end without a copy, under a header
// of its own, and the port holds it until that is freed.
func TestPairPassesWhatOthersHold(t *testing.T) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	for range 3 { // it may go again when it is back
		p := frame(t, pa[0], 300, 1)
		got := passed(t, a, b, p)
		require.NotEqual(t, p.Addr(), got.Addr())
		require.Equal(t, p.PayloadAddr(), got.PayloadAddr(), "the same bytes")
		require.True(t, got.Alias(), "to be read only")
		require.Equal(t, pbuf.KindRef, got.Kind())
		require.Zero(t, got.Headroom())
		require.Zero(t, got.Tailroom())
		require.True(t, got.RemoveHeader(34))
		require.True(t, got.AddHeaderForce(34))
		require.Equal(t, 1, got.RefCount())
		rounds(a, b)
		require.Equal(t, 2, p.RefCount(), "the port holds it")
		got.Free()
		rounds(b, a)
		require.Equal(t, 1, p.RefCount(), "the port has let go")
		p.Free()
		require.True(t, pa[0].Full())
		require.True(t, pb[0].Full())
	}
	require.Equal(t, uint64(3), a.Counters(0).TxHeld)
	require.Zero(t, a.Counters(0).TxCopied)
	require.Zero(t, b.Counters(0).RxCopied)
}

// What is sent again while the other end still reads it goes as a copy, and no header
// of what is out is touched.
func TestPairCopiesWhatIsOut(t *testing.T) {
	a, b, pa, _ := newPair(t, dpdk.PairConfig{})
	p := frame(t, pa[0], 1000, 1)
	first := passed(t, a, b, p)
	again := passed(t, a, b, p)
	require.True(t, first.Alias())
	require.False(t, again.Alias())
	require.Equal(t, bytesOf(first), bytesOf(again))
	require.Equal(t, uint64(1), a.Counters(0).TxCopied)
	p.Free() // acknowledged before the first one is read
	rounds(a, b)
	require.False(t, pa[0].Full(), "the port holds it")
	want := bytesOf(again)
	again.Free()
	for range 600 { // more than the pool has
		frame(t, pa[0], 1000, 99).Free()
	}
	require.Equal(t, want, bytesOf(first))
	first.Free()
	rounds(b, a)
	require.True(t, pa[0].Full())
}

// Chains, references, lent buffers and what has slices are copied, as before.
func TestPairPassesOnlyWholeBuffers(t *testing.T) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	chain := frame(t, pa[0], 400, 1)
	chain.Cat(frame(t, pa[0], 400, 7))
	sliced := frame(t, pa[0], 1000, 3)
	slice := sliced.Slice(100, 800)
	lent := transfer(t, b, a, frame(t, pb[0], 600, 5))[0]
	alias := transfer(t, b, a, kept(frame(t, pb[0], 600, 5)))[0]
	for i, p := range []*pbuf.Pbuf{chain, sliced, slice, lent, alias} {
		got := passed(t, a, b, p)
		require.False(t, got.Alias(), i)
		require.Equal(t, 1, p.RefCount(), i)
		require.Equal(t, uint64(i+1), a.Counters(0).TxCopied)
		got.Free()
		p.Free()
	}
	drop()
	rounds(a, b, a)
	require.True(t, pa[0].Full())
	require.True(t, pb[0].Full())
}

// keeps are what kept has references to.
var keeps []*pbuf.Pbuf

// kept is p with a holder more, until drop.
func kept(p *pbuf.Pbuf) *pbuf.Pbuf {
	p.Ref()
	keeps = append(keeps, p)
	return p
}

func drop() {
	pbuf.FreeBatch(keeps)
	keeps = keeps[:0]
}

// Who reads some for long keeps those only: the others come back, in any order.
func TestPairTakesBackInAnyOrder(t *testing.T) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	var long []*pbuf.Pbuf
	for i := range 3000 {
		p := frame(t, pa[0], 500, byte(i))
		got := passed(t, a, b, p)
		require.True(t, got.Alias(), i)
		if p.Free(); i%10 == 0 && i < 1000 {
			long = append(long, got)
			continue
		}
		got.Free()
		rounds(b)
	}
	for range 40 {
		rounds(b, a)
	}
	require.Equal(t, pa[0].Cap(pbuf.ClassStandard)-len(long), pa[0].Avail(pbuf.ClassStandard))
	for i, p := range long {
		require.Equal(t, byte(10*i), p.Payload()[0])
	}
	pbuf.FreeBatch(long)
	for range 40 {
		rounds(b, a)
	}
	require.True(t, pa[0].Full())
	require.True(t, pb[0].Full())
}

// No more are out than the wire has twice the room for, nor more than the receiver
// has headers: those beyond are copied.
func TestPairPassesSoMany(t *testing.T) {
	a, b, pa, _ := newPair(t, dpdk.PairConfig{TxDesc: 64})
	var got []*pbuf.Pbuf
	aliases := 0
	for i := range 300 {
		p := frame(t, pa[0], 500, byte(i))
		got = append(got, passed(t, a, b, p))
		if p.Free(); got[i].Alias() {
			aliases++
		}
	}
	require.Equal(t, 128, aliases)
	require.Equal(t, uint64(300-128), a.Counters(0).TxCopied)
	pbuf.FreeBatch(got)
}

func TestPairLacksHeaders(t *testing.T) {
	noLeak(t)
	const many = 8400
	a, b, err := dpdk.NewPair(dpdk.PairConfig{TxDesc: 8192})
	require.NoError(t, err)
	pa := backed(t, a, 1, pbuf.Config{Small: 64, Buffers: many})
	pb := backed(t, b, 1, pbuf.Config{Small: 64, Buffers: 512})
	attach(t, a, pa)
	attach(t, b, pb)
	var got []*pbuf.Pbuf
	for i := range many {
		p := frame(t, pa, 500, byte(i))
		got = append(got, passed(t, a, b, p))
		p.Free()
	}
	n := b.Counters(0).RxCopied
	require.NotZero(t, n)
	require.Less(t, n, uint64(many-7000), "some wait in caches of threads")
	pbuf.FreeBatch(got)
	for range many / 100 {
		rounds(b, a)
	}
	require.True(t, pa.Full())
}

// loosePair is newPair with pools that the test is to close.
func loosePair(t *testing.T) (a, b *dpdk.Port, pa, pb *pbuf.Pool) {
	t.Helper()
	noLeak(t)
	a, b, err := dpdk.NewPair(dpdk.PairConfig{})
	require.NoError(t, err)
	for p, pool := range map[*dpdk.Port]**pbuf.Pool{a: &pa, b: &pb} {
		cfg, err := p.BackPool(pbuf.Config{Small: 64, Buffers: 64, Jumbo: 8}, 1)
		require.NoError(t, err)
		*pool, err = pbuf.NewPool(cfg)
		require.NoError(t, err)
		attach(t, p, *pool)
	}
	return a, b, pa, pb
}

// A sender may go while the other end reads what it was passed, and while its stack
// still keeps that: the bytes stay until both have let go, in either order.
func TestPairSenderCloses(t *testing.T) {
	a, b, pa, pb := loosePair(t)
	keep, gone := frame(t, pa, 700, 1), frame(t, pa, 700, 2)
	got := []*pbuf.Pbuf{passed(t, a, b, keep), passed(t, a, b, gone)}
	require.Equal(t, 1, a.TxBurst(0, 0, []*pbuf.Pbuf{kept(frame(t, pa, 700, 3))}))
	gone.Free()
	require.NoError(t, a.Close())
	require.Equal(t, 1, keep.RefCount())
	require.Equal(t, byte(1), keep.Payload()[0])
	got[0].Free() // before the sender
	b.RxBurst(0, 0, nil)
	keep.Free()
	drop()
	require.True(t, pa.Full())
	require.NoError(t, pa.Close())
	require.Equal(t, byte(2), got[1].Payload()[0])
	require.Equal(t, 700, got[1].Len())
	require.NotZero(t, dpdk.Leaked(), "one is read still, one is on its way")
	dst := make([]*pbuf.Pbuf, 4)
	require.Equal(t, 1, b.RxBurst(0, 0, dst), "it was sent")
	require.Equal(t, byte(3), dst[0].Payload()[0])
	dst[0].Free()
	got[1].Free()
	rounds(b)
	require.NoError(t, b.Close())
	require.NoError(t, pb.Close())
}

// A receiver may go: what is on its way to it is the sender's alone again, and what
// it reads still when it has freed that.
func TestPairReceiverCloses(t *testing.T) {
	a, b, pa, pb := loosePair(t)
	read, sent := frame(t, pa, 700, 1), frame(t, pa, 700, 2)
	got := passed(t, a, b, read)
	sent.Ref()
	require.Equal(t, 1, a.TxBurst(0, 0, []*pbuf.Pbuf{sent}))
	require.NoError(t, b.Close())
	for range 20 {
		rounds(a)
	}
	require.Equal(t, 1, sent.RefCount())
	require.Equal(t, 2, read.RefCount())
	require.Equal(t, byte(1), got.Payload()[0])
	got.Free()
	require.True(t, pb.Full())
	require.NoError(t, pb.Close())
	for range 20 {
		rounds(a)
	}
	require.Equal(t, 1, read.RefCount())
	read.Free()
	sent.Free()
	require.NoError(t, a.Close())
	require.NoError(t, pa.Close())
}

// Both ends may be stopped and started again while packets are out.
func TestPairRestartsWithPacketsOut(t *testing.T) {
	a, b, pa, _ := newPair(t, dpdk.PairConfig{})
	p, q := frame(t, pa[0], 700, 1), frame(t, pa[0], 700, 2)
	got := passed(t, a, b, p)
	q.Ref()
	require.Equal(t, 1, a.TxBurst(0, 0, []*pbuf.Pbuf{q}))
	for _, end := range []*dpdk.Port{a, b} {
		require.NoError(t, end.Stop())
		require.Equal(t, 2, p.RefCount())
		require.NoError(t, end.Restart())
	}
	dst := make([]*pbuf.Pbuf, 2)
	require.Equal(t, 1, b.RxBurst(0, 0, dst))
	require.Equal(t, bytesOf(q), bytesOf(dst[0]))
	dst[0].Free()
	got.Free()
	rounds(b, a)
	require.Equal(t, 1, p.RefCount())
	require.Equal(t, 1, q.RefCount())
	p.Free()
	q.Free()
	require.True(t, pa[0].Full())
}

// What was passed can be sent on without a copy, back or by another device, whose
// driver lets go of it as of any indirect mbuf.
func TestPassedIsSentOn(t *testing.T) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	other := open(t, dpdk.Config{Device: unique("net_null"), Polled: true})
	attach(t, other, pb[0])
	for _, to := range []*dpdk.Port{other, b} {
		p := frame(t, pa[0], 900, 4)
		got := passed(t, a, b, p)
		require.Equal(t, 1, to.TxBurst(0, 0, []*pbuf.Pbuf{got}))
		require.Zero(t, to.Counters(0).TxCopied)
		require.True(t, pb[0].Full())
		if to == b {
			dst := make([]*pbuf.Pbuf, 2)
			require.Equal(t, 1, a.RxBurst(0, 0, dst))
			require.Equal(t, p.PayloadAddr(), dst[0].PayloadAddr())
			require.True(t, dst[0].Alias())
			dst[0].Free()
		}
		rounds(a)
		require.Equal(t, 1, p.RefCount())
		p.Free()
		require.True(t, pa[0].Full())
	}
}

// A pair neither allocates nor copies while segments are kept.
func TestPassingAllocatesNothing(t *testing.T) {
	a, b, pa, _ := newPair(t, dpdk.PairConfig{})
	ps, dst := make([]*pbuf.Pbuf, 32), make([]*pbuf.Pbuf, 32)
	require.Equal(t, 32, pa[0].AllocBatch(ps))
	for _, p := range ps {
		require.True(t, p.SetLen(1000))
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, p := range ps {
			p.Ref()
		}
		a.TxBurst(0, 0, ps)
		pbuf.FreeBatch(dst[:b.RxBurst(0, 0, dst)])
		rounds(b, a)
	}))
	require.Equal(t, uint64(101*32), a.Counters(0).TxHeld)
	require.Zero(t, a.Counters(0).TxCopied)
	pbuf.FreeBatch(ps)
}

// The sender writes to what it keeps only when nobody else holds it, as TCP does. The
// other end, a thread of its own, finds the bytes as they were sent when it gets them
// and when it frees them, which is later, and in another order.
func TestPairPassesBetweenThreads(t *testing.T) {
	const frames = 40000
	a, b, pa, pb := newPair(t, dpdk.PairConfig{TxDesc: 128})
	ended := make(chan string, 1)
	go func() { ended <- readAll(b, frames) }()
	ps := make([]*pbuf.Pbuf, 200)
	for i := range ps {
		ps[i] = frame(t, pa[0], 600, 0)
	}
	for i := 0; i < frames; {
		p := ps[(i*7)%len(ps)]
		if p.RefCount() == 1 {
			stamp(p.Payload(), i)
			p.Ref()
			for a.TxBurst(0, 0, []*pbuf.Pbuf{p}) == 0 {
				runtime.Gosched()
			}
			i++
			continue
		}
		a.RxBurst(0, 0, nil)
		runtime.Gosched()
	}
	require.Empty(t, <-ended)
	for range 20 {
		rounds(a)
	}
	require.Greater(t, a.Counters(0).TxHeld, uint64(frames/2))
	pbuf.FreeBatch(ps)
	require.True(t, pa[0].Full())
	require.True(t, pb[0].Full())
	require.Equal(t, port.Stats{TxPackets: frames, TxBytes: 600 * frames}, a.Stats(0))
}

// stamp writes number i to all of b.
func stamp(b []byte, i int) {
	for k := 0; k+4 <= len(b); k += 4 {
		b[k], b[k+1], b[k+2], b[k+3] = byte(i), byte(i>>8), byte(i>>16), byte(k)
	}
}

// stamped says what b lacks of number i.
func stamped(b []byte, i int) string {
	for k := 0; k+4 <= len(b); k += 4 {
		if b[k] != byte(i) || b[k+1] != byte(i>>8) || b[k+2] != byte(i>>16) || b[k+3] != byte(k) {
			return "other bytes than were sent"
		}
	}
	return ""
}

// readAll takes frames of number 0 on, and frees each when some have come after it.
func readAll(b *dpdk.Port, frames int) (why string) {
	type read struct {
		p *pbuf.Pbuf
		i int
	}
	var hold [61]read
	dst := make([]*pbuf.Pbuf, 16)
	for i := 0; i < frames; {
		n := b.RxBurst(0, 0, dst)
		if n == 0 {
			runtime.Gosched()
		}
		for _, p := range dst[:n] {
			if s := stamped(p.Payload(), i); s != "" {
				why = s
			}
			h := &hold[i*17%len(hold)]
			if h.p != nil {
				if s := stamped(h.p.Payload(), h.i); s != "" {
					why = s
				}
				h.p.Free()
			}
			*h = read{p, i}
			i++
		}
	}
	for _, h := range hold {
		h.p.Free()
	}
	b.RxBurst(0, 0, nil)
	return why
}
