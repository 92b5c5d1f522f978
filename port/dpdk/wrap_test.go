//go:build dpdk

package dpdk_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/dpdk"
	"github.com/shardstack/shardstack/port/dpdk/dpdktest"
)

// wrapped makes a started port of a program's device.
func wrapped(t testing.TB, d *dpdktest.Device, mp dpdktest.Mempool) (*dpdk.Port, *pbuf.Pool) {
	t.Helper()
	p, err := dpdk.Wrap(d.Port(), dpdk.Mempool(mp.Addr()), dpdk.Config{})
	require.NoError(t, err)
	pool := backed(t, p, 1, pbuf.Config{Small: 256, Buffers: 512})
	attach(t, p, pool)
	return p, pool
}

// A program's device is used with the program's mempool, without copies where that
// has room for the headers of packets, and runs on when the port is closed.
func TestWrap(t *testing.T) {
	for _, private := range []int{pbuf.PbufSize, 0} {
		t.Run(fmt.Sprint(private), func(t *testing.T) { testWrap(t, private) })
	}
}

func testWrap(t *testing.T, private int) {
	noLeak(t)
	d, mp := program(t, unique("net_null"), 1, private)
	p, pool := wrapped(t, d, mp)
	require.Equal(t, 1, p.Info().Queues)
	require.True(t, p.Link().Up)
	require.ErrorIs(t, p.Stop(), port.ErrState, "it is the program's to stop")
	dst := make([]*pbuf.Pbuf, 32)
	for range 100 {
		require.Equal(t, 32, p.RxBurst(0, 0, dst))
		require.Equal(t, 32, p.TxBurst(0, 0, dst))
	}
	held := frame(t, pool, 500, 1)
	held.Ref()
	require.Equal(t, 1, p.TxBurst(0, 0, []*pbuf.Pbuf{held}))
	n := p.Counters(0)
	if private == 0 {
		require.Equal(t, uint64(3200), n.RxCopied)
	} else {
		require.Zero(t, n.RxCopied)
	}
	p.RxBurst(0, 0, nil)
	held.Free()
	require.NoError(t, p.Close())
	require.True(t, pool.Full())
	require.GreaterOrEqual(t, d.Forward(64), 64, "it runs on")
}

func TestWrapNeedsADevice(t *testing.T) {
	_, err := dpdk.Wrap(31, 0, dpdk.Config{})
	require.Error(t, err)
	require.ErrorContains(t, err, "rte_eth_dev_info_get")
}

// Mbufs of a program's that arrive: in a mempool with room for our header they are
// lent whatever they are, and can be sent on; else they are copied. All go home.
func TestForeignMbufs(t *testing.T) {
	for _, private := range []int{pbuf.PbufSize, 0} {
		t.Run(fmt.Sprint(private), func(t *testing.T) { testForeign(t, private) })
	}
}

func testForeign(t *testing.T, private int) {
	a, b, pa, pb := newPair(t, dpdk.PairConfig{})
	mp, err := dpdktest.NewMempool(255, private)
	require.NoError(t, err)
	from, err := dpdktest.Named(a.Info().Name, mp)
	require.NoError(t, err)
	bytes := make([]byte, 1400)
	for i := range bytes {
		bytes[i] = byte(i / 3)
	}
	freed := dpdktest.ExternalFreed()
	for _, kind := range []dpdktest.Kind{dpdktest.Plain, dpdktest.Indirect, dpdktest.External, dpdktest.ExternalTail} {
		for _, onward := range []bool{false, true} {
			require.NoError(t, from.SendBytes(kind, bytes))
			got := receive(t, b, 0, 1)[0]
			require.Equal(t, bytes, bytesOf(got), "kind %d", kind)
			if got.Last().Alias() { // others may look at them
				require.Equal(t, pbuf.KindRef, got.Last().Kind())
				require.Zero(t, got.Last().Headroom())
			}
			if private != 0 {
				require.Equal(t, kind != dpdktest.Plain, got.Last().Alias(), "kind %d", kind)
			}
			if onward {
				got = transfer(t, b, a, got)[0]
				require.Equal(t, bytes, bytesOf(got), "kind %d, sent on", kind)
			}
			got.Free()
			b.RxBurst(0, 0, nil)
			a.RxBurst(0, 0, nil)
			require.True(t, pa[0].Full(), "kind %d", kind)
			require.True(t, pb[0].Full(), "kind %d", kind)
			require.Zero(t, mp.Missing(), "kind %d, sent on: %v", kind, onward)
		}
	}
	require.Equal(t, freed+4, dpdktest.ExternalFreed())
	n := b.Counters(0)
	require.Equal(t, private == 0, n.RxCopied == 8, "%+v", n)
	mp.Free()
}
