package pbuf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func TestAllocTakeFree(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerTransport, 5000, pbuf.KindPool)
	require.NotNil(t, p)
	require.Equal(t, 3, p.ChainLen())
	b := make([]byte, 5000)
	for i := range b {
		b[i] = byte(i * 7)
	}
	require.NoError(t, p.Take(b))
	got := make([]byte, 5000)
	require.Equal(t, 5000, p.CopyPartial(got, 0))
	require.Equal(t, b, got)
	rest := p.Split(1000)
	require.Equal(t, 4000, rest.TotLen())
	require.Equal(t, 1, p.Free())
	require.Equal(t, 4000, rest.CopyPartial(got, 0))
	require.Equal(t, b[1000:], got[:4000])
	rest.Free()
}

func BenchmarkAllocFree(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	for b.Loop() {
		pl.Alloc(pbuf.LayerTransport, 1000, pbuf.KindRAM).Free()
	}
}

func BenchmarkBurst(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	var ps [32]*pbuf.Pbuf
	for b.Loop() {
		for i := range ps {
			ps[i] = pl.Alloc(pbuf.LayerTransport, 1000, pbuf.KindRAM)
		}
		for _, p := range ps {
			p.Free()
		}
	}
}
func BenchmarkBatch(b *testing.B) {
	pl := pbuftest.NewPool(b, pbuf.Config{})
	var ps [32]*pbuf.Pbuf
	for b.Loop() {
		pl.AllocBatch(ps[:])
		pbuf.FreeBatch(ps[:])
	}
}
