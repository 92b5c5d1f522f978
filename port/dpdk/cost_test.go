//go:build dpdk

package dpdk_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/dpdk"
	"github.com/shardstack/shardstack/port/dpdk/dpdktest"
	"github.com/shardstack/shardstack/port/mem"
)

// program makes a device and a mempool as a program in C does.
func program(t testing.TB, devargs string, queues, private int) (*dpdktest.Device, dpdktest.Mempool) {
	t.Helper()
	mp, err := dpdktest.NewMempool(8191, private)
	require.NoError(t, err)
	d, err := dpdktest.Open(devargs, queues, mp)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, d.Close())
		require.Zero(t, mp.Missing(), "mbufs of the program's leaked")
		mp.Free()
	})
	return d, mp
}

// named finds the device of a port, as a program in C does, with a mempool that it
// needs for nothing.
func named(t testing.TB, p *dpdk.Port) *dpdktest.Device {
	t.Helper()
	mp, err := dpdktest.NewMempool(63, 0)
	require.NoError(t, err)
	t.Cleanup(mp.Free)
	d, err := dpdktest.Named(p.Info().Name, mp)
	require.NoError(t, err)
	t.Cleanup(d.Let)
	return d
}

// BenchmarkCost tells what a packet costs beyond the device's and the mempool's
// own work: "c" is a loop of a program in C, "go" the same by a Port that wraps the
// very device and mempool. The difference is the crossing: the call, the pbuf's
// header, the books. An operation is a packet, in bursts of 32.
func BenchmarkCost(b *testing.B) {
	const burst, size = dpdktest.Burst, 64
	d, mp := program(b, unique("net_null"), 1, pbuf.PbufSize)
	p, err := dpdk.Wrap(d.Port(), dpdk.Mempool(mp.Addr()), dpdk.Config{})
	require.NoError(b, err)
	pool := backed(b, p, 1, pbuf.Config{Small: 256, Buffers: 2048})
	attach(b, p, pool)
	ps := make([]*pbuf.Pbuf, burst)
	for _, way := range []struct {
		name   string
		c      func(n int)
		goLoop func()
	}{
		{"receive", func(n int) { d.Receive(n) }, func() { pbuf.FreeBatch(ps[:p.RxBurst(0, 0, ps)]) }},
		{"send", func(n int) { d.Send(n, size) }, func() {
			pool.AllocBatch(ps)
			for _, q := range ps {
				q.SetLen(size)
			}
			p.TxBurst(0, 0, ps)
		}},
		{"forward", func(n int) { d.Forward(n) }, func() { p.TxBurst(0, 0, ps[:p.RxBurst(0, 0, ps)]) }},
	} {
		b.Run(way.name+"/c", func(b *testing.B) { way.c(b.N) })
		b.Run(way.name+"/go", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i += burst {
				way.goLoop()
			}
		})
	}
}

// BenchmarkWire moves frames of 64 bytes from one end of a wire to the other on one
// thread, and frees them there: "c" a program in C over the devices of a pair,
// "pair" the pair's ports, "mem" package mem's, which copies. An operation is a
// frame, in bursts of 32.
func BenchmarkWire(b *testing.B) {
	const burst, size = dpdktest.Burst, 64
	ps := make([]*pbuf.Pbuf, burst)
	wire := func(b *testing.B, x, y port.Port, pool *pbuf.Pool) {
		b.ReportAllocs()
		for i := 0; i < b.N; i += burst {
			pool.AllocBatch(ps)
			for _, q := range ps {
				q.SetLen(size)
			}
			x.TxBurst(0, 0, ps)
			pbuf.FreeBatch(ps[:y.RxBurst(0, 0, ps)])
		}
	}
	x, y, px, _ := newPair(b, dpdk.PairConfig{})
	mp, err := dpdktest.NewMempool(8191, 0)
	require.NoError(b, err)
	b.Cleanup(func() {
		require.Zero(b, mp.Missing(), "mbufs of the program's leaked")
		mp.Free()
	})
	from, err := dpdktest.Named(x.Info().Name, mp)
	require.NoError(b, err)
	to, err := dpdktest.Named(y.Info().Name, mp)
	require.NoError(b, err)
	b.Run("c", func(b *testing.B) { from.Wire(to, b.N, size) })
	b.Run("pair", func(b *testing.B) { wire(b, x, y, px[0]) })
	b.Run("mem", func(b *testing.B) {
		x, y, err := mem.New(mem.Config{})
		require.NoError(b, err)
		px, py := memPool(b), memPool(b)
		require.NoError(b, x.Attach(0, px))
		require.NoError(b, y.Attach(0, py))
		require.NoError(b, x.Start())
		require.NoError(b, y.Start())
		wire(b, x, y, px)
		require.NoError(b, x.Close())
		require.NoError(b, y.Close())
	})
}

func memPool(b *testing.B) *pbuf.Pool {
	b.Helper()
	pool, err := pbuf.NewPool(pbuf.Config{Small: 256, Buffers: 2048, Jumbo: 8})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, pool.Close()) })
	return pool
}

// BenchmarkForward does what dpdk-testpmd does in its mode io with a net_ring, whose
// sent packets come back to it: "c" by a loop of C, "go" by a port. An operation is
// a packet, in bursts of 32, of 128 that go round.
func BenchmarkForward(b *testing.B) {
	p, pools := opened(b, dpdk.Config{Device: unique("net_ring"), Polled: true}, pbuf.Config{Small: 256, Buffers: 2048})
	d := named(b, p)
	ps := make([]*pbuf.Pbuf, 128)
	require.Equal(b, 128, pools[0].AllocBatch(ps))
	for _, q := range ps {
		q.SetLen(64)
	}
	require.Equal(b, 128, p.TxBurst(0, 0, ps))
	b.Run("c", func(b *testing.B) { d.Forward(b.N) })
	b.Run("go", func(b *testing.B) {
		for i := 0; i < b.N; i += dpdktest.Burst {
			p.TxBurst(0, 0, ps[:p.RxBurst(0, 0, ps[:dpdktest.Burst])])
		}
	})
	pbuf.FreeBatch(ps[:p.RxBurst(0, 0, ps)])
}
