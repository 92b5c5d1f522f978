package pbuf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func BenchmarkAllocFree(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	b.ReportAllocs()
	for b.Loop() {
		pl.Alloc(pbuf.LayerTransport, 1000, pbuf.KindRAM).Free()
	}
}

// BenchmarkBurst* take and free 32 buffers a round, so that one buffer's
// latency is not on the way of the next.
func BenchmarkBurst32(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	var ps [32]*pbuf.Pbuf
	b.ReportAllocs()
	for b.Loop() {
		for i := range ps {
			ps[i] = pl.Alloc(pbuf.LayerTransport, 1000, pbuf.KindRAM)
		}
		for _, p := range ps {
			p.Free()
		}
	}
}

func BenchmarkBurst32Batch(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	var ps [32]*pbuf.Pbuf
	b.ReportAllocs()
	for b.Loop() {
		pl.AllocBatch(ps[:])
		pbuf.FreeBatch(ps[:])
	}
}

func BenchmarkAllocFreeChain5(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	b.ReportAllocs()
	for b.Loop() {
		pl.Alloc(pbuf.LayerTransport, 10000, pbuf.KindPool).Free()
	}
}

func BenchmarkAllocRefFree(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	r, err := pbuf.NewRegion(1 << 16)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		pl.AllocRef(r, 1000, 1448).Free()
	}
	require.NoError(b, r.Close())
}

func BenchmarkForeignFree(b *testing.B) {
	home, away := pbuftest.NewPool(b, pbuf.Config{}), pbuftest.NewPool(b, pbuf.Config{})
	var ps [32]*pbuf.Pbuf
	b.ReportAllocs()
	for b.Loop() {
		home.AllocBatch(ps[:])
		for _, p := range ps {
			pbuf.Handover(p, away.ID())
		}
		pbuf.FreeBatch(ps[:])
		home.Return(ps[:away.TakeForeign(home.ID(), ps[:])])
	}
}

func BenchmarkHeader(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerTransport, 1000, pbuf.KindRAM)
	defer p.Free()
	for b.Loop() {
		p.AddHeader(20)
		p.Payload()[0] = 1
		p.RemoveHeader(20)
	}
}

func BenchmarkTake1448(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerTransport, 1448, pbuf.KindRAM)
	defer p.Free()
	src := pattern(1448)
	b.SetBytes(1448)
	for b.Loop() {
		_ = p.Take(src)
	}
}

func BenchmarkCopyPartialChain(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	p := fill(b, pl, pbuf.KindPool, pattern(10000))
	defer p.Free()
	dst := make([]byte, 8000)
	b.SetBytes(8000)
	for b.Loop() {
		p.CopyPartial(dst, 1000)
	}
}

func BenchmarkChainWalk17(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerTransport, 17*2100, pbuf.KindPool)
	defer p.Free()
	for b.Loop() {
		n := 0
		for q := p; q != nil; q = q.Next() {
			n += q.Len()
		}
		if n != p.TotLen() {
			b.Fatal(n)
		}
	}
}

func BenchmarkSplitCat(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerTransport, 60000, pbuf.KindRAM)
	defer p.Free()
	b.ReportAllocs()
	for b.Loop() {
		rest := p.Split(1448)
		rest.Free()
		p.Append(60000 - 1448)
	}
}

func BenchmarkQueue(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	var q pbuf.Queue
	for range 8 {
		q.Push(pl.Alloc(pbuf.LayerTransport, 100, pbuf.KindRAM))
	}
	for b.Loop() {
		q.Push(q.Pop())
	}
	q.FreeAll()
}
