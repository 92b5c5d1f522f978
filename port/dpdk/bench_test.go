//go:build dpdk

package dpdk_test

import (
	"testing"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/dpdk"
)

// BenchmarkCrossing is what a packet costs in the calls of C and around them, with
// a device that does nothing: net_null gives mbufs of its mempool and frees those
// that it is sent. An operation is a packet.
func BenchmarkCrossing(b *testing.B) {
	const burst = 32
	newPort := func(b *testing.B) (*dpdk.Port, *pbuf.Pool) {
		p, pools := opened(b, dpdk.Config{Device: unique("net_null"), Polled: true}, pbuf.Config{Small: 2048, Buffers: 2048})
		return p, pools[0]
	}
	b.Run("receive", func(b *testing.B) {
		p, _ := newPort(b)
		dst := make([]*pbuf.Pbuf, burst)
		b.ReportAllocs()
		for i := 0; i < b.N; i += burst {
			pbuf.FreeBatch(dst[:p.RxBurst(0, 0, dst)])
		}
	})
	b.Run("send", func(b *testing.B) {
		p, pool := newPort(b)
		ps := make([]*pbuf.Pbuf, burst)
		b.ReportAllocs()
		for i := 0; i < b.N; i += burst {
			pool.AllocBatch(ps)
			for _, q := range ps {
				q.SetLen(64)
			}
			p.TxBurst(0, 0, ps)
		}
	})
	b.Run("held", func(b *testing.B) { // as segments of TCP
		p, pool := newPort(b)
		ps := make([]*pbuf.Pbuf, burst)
		pool.AllocBatch(ps)
		for _, q := range ps {
			q.SetLen(64)
		}
		b.ReportAllocs()
		for i := 0; i < b.N; i += burst {
			for _, q := range ps {
				q.Ref()
			}
			p.TxBurst(0, 0, ps)
		}
		pbuf.FreeBatch(ps)
		p.RxBurst(0, 0, nil)
	})
	b.Run("forward", func(b *testing.B) { // as testpmd's io: what is received is sent
		p, _ := newPort(b)
		dst := make([]*pbuf.Pbuf, burst)
		b.ReportAllocs()
		for i := 0; i < b.N; i += burst {
			p.TxBurst(0, 0, dst[:p.RxBurst(0, 0, dst)])
		}
	})
	b.Run("empty", func(b *testing.B) { // a round that finds nothing; an operation is a call
		x, y, _, _ := newPair(b, dpdk.PairConfig{})
		dst := make([]*pbuf.Pbuf, burst)
		for b.Loop() {
			x.RxBurst(0, 0, dst)
		}
		_ = y
	})
}
