package offload_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// BenchmarkSegment cuts 64 KiB at an MTU of 1500. The figure is that of one
// segment.
func BenchmarkSegment(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, v6 := range []bool{false, true} {
		for _, have := range []offload.Caps{0, offload.TxCsum, offload.MultiSeg, offload.MultiSeg | offload.TxCsum} {
			b.Run(fmt.Sprintf("v6=%v/%v", v6, have), func(b *testing.B) {
				pool := pbuftest.NewPool(b, pbuf.Config{})
				mss := 1448
				s := randomSuper(rng, v6, false, 45*mss, mss)
				p := s.packet(b, pool, nil)
				defer p.Free()
				var g offload.Segmenter
				out := make([]*pbuf.Pbuf, 64)
				b.SetBytes(int64(mss))
				b.ReportAllocs()
				for i := 0; i < b.N; i += 45 {
					n, _ := g.Segment(p, have, out)
					pbuf.FreeBatch(out[:n])
				}
			})
		}
	}
}

// BenchmarkGRO joins bursts of segments at an MTU of 1500, whose checksums the
// port has looked at or not. The figure is that of one frame; making and freeing
// the buffers is in it, as measured by "none".
func BenchmarkGRO(b *testing.B) {
	for _, flows := range []int{1, 16, 64} {
		for _, mode := range []string{"none", "good", "sum"} {
			b.Run(fmt.Sprintf("flows=%d/%s", flows, mode), func(b *testing.B) { benchGRO(b, flows, 128, mode) })
		}
	}
	// Nothing to be joined: acknowledgements.
	for _, mode := range []string{"none", "ack"} {
		b.Run("acks/"+mode, func(b *testing.B) { benchGRO(b, 64, 128, mode) })
	}
}

func benchGRO(b *testing.B, flows, count int, mode string) {
	pool := pbuftest.NewPool(b, pbuf.Config{})
	per, size := count/flows, 1448
	if mode == "ack" {
		size = 0
	}
	var burst []wire
	for i := range per {
		for k := range flows {
			burst = append(burst, segmentsOf(b, per, size, func(_ int, s *super) { s.tcp.SrcPort = tcpPort(k + 1) })[i])
		}
	}
	ps := make([]*pbuf.Pbuf, count)
	pool.AllocBatch(ps)
	for i, p := range ps {
		p.SetLen(len(burst[i].b))
		copy(p.Payload(), burst[i].b)
	}
	pbuf.FreeBatch(ps)
	slices.Reverse(burst) // as the free list is a stack: same bytes, same buffers
	head := l4At(burst[0].b) + 20
	var g offload.GRO
	b.SetBytes(int64(len(burst[0].b)))
	b.ReportAllocs()
	for i := 0; i < b.N; i += count {
		ps = ps[:count]
		pool.AllocBatch(ps)
		for k, p := range ps {
			w := burst[count-1-k]
			p.SetLen(len(w.b))
			copy(p.Payload()[:head], w.b) // headers, that the last burst changed
			if mode == "good" {
				p.Flags = pbuf.RxL4CsumGood | pbuf.RxIPCsumGood
			}
		}
		out := ps
		if mode != "none" {
			out = g.Burst(ps)
		}
		for _, p := range out {
			p.Free()
		}
	}
	if n := g.Stats(); mode != "none" && size > 0 && n.Joined < n.Frames-n.Frames/uint64(min(per, 40)) {
		b.Fatalf("not joined: %+v", n)
	}
}
