//go:build dpdk

package dpdk_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/dpdk"
)

// TestMain starts DPDK's environment without huge pages for all tests; virtual
// devices come and go.
func TestMain(m *testing.M) {
	if err := dpdk.Init(dpdk.EAL{NoHuge: true, MemoryMB: 1024}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// noLeak fails the test if mbufs are missing at its end, when all that it made
// is closed. It comes before everything else.
func noLeak(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			require.Zero(t, dpdk.Leaked(), "mbufs leaked")
		}
	})
}

// backed makes a pool in the memory of p for so many of its queues, to be closed
// after p.
func backed(t testing.TB, p *dpdk.Port, queues int, cfg pbuf.Config) *pbuf.Pool {
	t.Helper()
	cfg.Jumbo = max(cfg.Jumbo, 8)
	cfg, err := p.BackPool(cfg, queues)
	require.NoError(t, err)
	pool, err := pbuf.NewPool(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return pool
}

// attach gives each queue of p a pool, closes p at the end, and starts it.
func attach(t testing.TB, p *dpdk.Port, pools ...*pbuf.Pool) {
	t.Helper()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			require.ErrorIs(t, err, port.ErrClosed)
		}
	})
	for q, pool := range pools {
		require.NoError(t, p.Attach(q, pool))
	}
	require.NoError(t, p.Start())
}

func newPair(t testing.TB, cfg dpdk.PairConfig) (a, b *dpdk.Port, pa, pb []*pbuf.Pool) {
	t.Helper()
	noLeak(t)
	a, b, err := dpdk.NewPair(cfg)
	require.NoError(t, err)
	for range a.Info().Queues {
		pa = append(pa, backed(t, a, 1, pbuf.Config{Small: 256, Buffers: 512}))
		pb = append(pb, backed(t, b, 1, pbuf.Config{Small: 256, Buffers: 512}))
	}
	attach(t, a, pa...)
	attach(t, b, pb...)
	return a, b, pa, pb
}

func frame(t testing.TB, pool *pbuf.Pool, n int, fill byte) *pbuf.Pbuf {
	t.Helper()
	p := pool.Alloc(pbuf.LayerRaw, n, pbuf.KindRAM)
	require.NotNil(t, p)
	b := p.Payload()
	for i := range b {
		b[i] = fill + byte(i)
	}
	return p
}

func bytesOf(p *pbuf.Pbuf) []byte {
	b := make([]byte, p.TotLen())
	p.CopyPartial(b, 0)
	return b
}

func TestPairPassesMbufs(t *testing.T) {
	a, b, pa, _ := newPair(t, dpdk.PairConfig{Queues: 2})
	require.True(t, a.Link().Up)
	for q := range 2 {
		p := frame(t, pa[q], 100, 7)
		want, addr := bytesOf(p), p.Addr()
		require.Equal(t, 1, a.TxBurst(q, 0, []*pbuf.Pbuf{p}))
		dst := make([]*pbuf.Pbuf, 4)
		require.Zero(t, b.RxBurst(1-q, 0, dst))
		require.Equal(t, 1, b.RxBurst(q, 0, dst))
		require.Equal(t, want, bytesOf(dst[0]))
		require.Equal(t, addr, dst[0].Addr(), "the same mbuf")
		require.Equal(t, 1, dst[0].RefCount())
		require.True(t, pa[q].Full(), "it is not the sender's any more")
		dst[0].Free()
		require.Equal(t, port.Stats{TxPackets: 1, TxBytes: 100}, a.Stats(q))
		require.Equal(t, port.Stats{RxPackets: 1, RxBytes: 100}, b.Stats(q))
	}
}
