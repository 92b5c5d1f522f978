package mem_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port/mem"
)

const benchBurst = 32

// benchWire makes a started wire whose ends have pools of their own.
func benchWire(b *testing.B, cfg mem.Config) (a, z *mem.End, pa, pz *pbuf.Pool) {
	b.Helper()
	a, z, err := mem.New(cfg)
	require.NoError(b, err)
	pa = pbuftest.NewPool(b, pbuf.Config{Buffers: 8192})
	pz = pbuftest.NewPool(b, pbuf.Config{Buffers: 8192})
	require.NoError(b, a.Attach(0, pa))
	require.NoError(b, z.Attach(0, pz))
	require.NoError(b, a.Start())
	require.NoError(b, z.Start())
	b.Cleanup(func() {
		require.NoError(b, a.Close())
		require.NoError(b, z.Close())
	})
	return a, z, pa, pz
}

func alloc(pool *pbuf.Pool, ps []*pbuf.Pbuf, size int) {
	n := pool.AllocBatch(ps)
	for _, p := range ps[:n] {
		p.SetLen(size)
	}
}

// BenchmarkBurst is a burst of 32 frames through the wire on one thread, with
// taking the buffers from the sender's pool and giving back the receiver's. The
// figure is that of one frame.
func BenchmarkBurst(b *testing.B) {
	for _, size := range []int{64, 1500} {
		{
			b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
				a, z, pa, _ := benchWire(b, mem.Config{})
				ps := make([]*pbuf.Pbuf, benchBurst)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := 0; i < b.N; i += benchBurst {
					alloc(pa, ps, size)
					a.TxBurst(0, 0, ps)
					if z.RxBurst(0, 0, ps) != benchBurst {
						b.Fatal("frames lost")
					}
					pbuf.FreeBatch(ps)
				}
			})
		}
	}
}

// BenchmarkTwoThreads is the same with sender and receiver on threads of their
// own; the sender is held back by what the receiver has got, as the wire would
// drop.
func BenchmarkTwoThreads(b *testing.B) {
	for _, size := range []int{64, 1500} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			a, z, pa, _ := benchWire(b, mem.Config{})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			done := make(chan int)
			b.ResetTimer()
			go func() {
				runtime.LockOSThread()
				ps := make([]*pbuf.Pbuf, benchBurst)
				n := 0
				for n < b.N {
					k := z.RxBurst(0, 0, ps)
					if k == 0 && z.Stats(0).RxMissed > 0 {
						break
					}
					pbuf.FreeBatch(ps[:k])
					n += k
				}
				done <- n
			}()
			ps := make([]*pbuf.Pbuf, benchBurst)
			sent := 0
			for sent < b.N {
				if sent-int(z.Stats(0).RxPackets) > 512 {
					continue
				}
				alloc(pa, ps, size)
				sent += a.TxBurst(0, 0, ps)
			}
			require.GreaterOrEqual(b, <-done, b.N)
		})
	}
}
