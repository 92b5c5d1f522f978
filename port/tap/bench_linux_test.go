package tap_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/tap"
)

// BenchmarkTx writes frames that the kernel drops at once, as their EtherType
// is nobody's. The figure is that of one frame.
func BenchmarkTx(b *testing.B) {
	for _, size := range []int{64, 1500, -64, -1500} {
		cfg, name := tap.Config{NoVnetHdr: size < 0}, "vnet"
		if size < 0 {
			name, size = "plain", -size
		}
		b.Run(fmt.Sprintf("%s/%dB", name, size), func(b *testing.B) {
			p, pools := newTap(b, cfg, pbuf.Config{})
			ps := make([]*pbuf.Pbuf, 32)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; i < b.N; i += len(ps) {
				require.Equal(b, len(ps), pools[0].AllocBatch(ps))
				for _, f := range ps {
					f.SetLen(size)
					(*header.Ethernet)(f.Payload()).Encode(p.KernelMAC(), p.Info().MAC, 0x88b5)
				}
				p.TxBurst(0, 0, ps)
			}
		})
	}
}

// BenchmarkIdlePoll is RxBurst when there is nothing.
func BenchmarkIdlePoll(b *testing.B) {
	for _, plain := range []bool{false, true} {
		b.Run(fmt.Sprintf("plain=%v", plain), func(b *testing.B) {
			p, _ := newTap(b, tap.Config{NoVnetHdr: plain}, pbuf.Config{})
			ps := make([]*pbuf.Pbuf, 32)
			b.ReportAllocs()
			for b.Loop() {
				pbuf.FreeBatch(ps[:p.RxBurst(0, 0, ps)])
			}
		})
	}
}
