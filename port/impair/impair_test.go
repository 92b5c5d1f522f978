package impair_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/impair"
	"github.com/shardstack/shardstack/port/mem"
)

const ms = int64(time.Millisecond)

// rig is a wire in memory whose end a has faults.
type rig struct {
	t      *testing.T
	a      *impair.Port
	b      *mem.End
	pa, pb *pbuf.Pool
}

func newRig(t *testing.T, cfg impair.Config, wire mem.Config) *rig {
	t.Helper()
	a, b, err := mem.New(wire)
	require.NoError(t, err)
	w, err := impair.Wrap(a, cfg)
	require.NoError(t, err)
	r := &rig{t: t, a: w, b: b, pa: pbuftest.NewPool(t, pbuf.Config{Buffers: 2048}), pb: pbuftest.NewPool(t, pbuf.Config{Buffers: 2048})}
	require.NoError(t, w.Attach(0, r.pa))
	require.NoError(t, b.Attach(0, r.pb))
	require.NoError(t, w.Start())
	require.NoError(t, b.Start())
	t.Cleanup(func() {
		require.NoError(t, w.Close())
		require.NoError(t, b.Close())
	})
	return r
}

func frame(t *testing.T, pool *pbuf.Pool, n int, tag byte) *pbuf.Pbuf {
	f := pool.Alloc(pbuf.LayerLink, n, pbuf.KindPool)
	require.NotNil(t, f)
	for i := range n {
		f.PutAt(i, 0)
	}
	f.PutAt(20, tag)
	return f
}

// receive takes what is there at a port.
func receive(p port.Port, now int64) (tags []byte) {
	var ps [16]*pbuf.Pbuf
	for n := p.RxBurst(0, now, ps[:]); n > 0; n = p.RxBurst(0, now, ps[:]) {
		for _, f := range ps[:n] {
			tags = append(tags, f.GetAt(20))
			f.Free()
		}
	}
	return tags
}

// TestDelaysBothWays: frames come and go when it is time, and the wrapper knows
// when that is.
func TestDelaysBothWays(t *testing.T) {
	r := newRig(t, impair.Config{Rx: netem.Config{Delay: 3 * time.Millisecond}, Tx: netem.Config{Delay: 5 * time.Millisecond}}, mem.Config{})
	timed, ok := port.As[port.Timed](r.a)
	require.True(t, ok)
	require.Equal(t, int64(netem.Forever), timed.NextEvent(0))

	require.Equal(t, 1, r.a.TxBurst(0, 10*ms, []*pbuf.Pbuf{frame(t, r.pa, 60, 1)}))
	require.Equal(t, 15*ms, timed.NextEvent(0))
	require.Empty(t, receive(r.b, 14*ms))
	require.Empty(t, receive(r.a, 15*ms), "a poll sends what is due")
	require.Equal(t, []byte{1}, receive(r.b, 15*ms))

	require.Equal(t, 1, r.b.TxBurst(0, 20*ms, []*pbuf.Pbuf{frame(t, r.pb, 60, 2)}))
	require.Empty(t, receive(r.a, 20*ms))
	require.Equal(t, 23*ms, timed.NextEvent(0))
	require.Empty(t, receive(r.a, 23*ms-1))
	require.Equal(t, []byte{2}, receive(r.a, 23*ms))
}

// TestLossAndCounters: what is lost is counted, the rest arrives.
func TestLossAndCounters(t *testing.T) {
	r := newRig(t, impair.Config{Rx: netem.Config{Loss: 0.2, Seed: 1}, Tx: netem.Config{Loss: 0.4, Seed: 2}}, mem.Config{})
	out, in := 0, 0
	for i := range int64(1000) {
		r.a.TxBurst(0, i, []*pbuf.Pbuf{frame(t, r.pa, 60, 1)})
		r.b.TxBurst(0, i, []*pbuf.Pbuf{frame(t, r.pb, 60, 1)})
		out += len(receive(r.b, i))
		in += len(receive(r.a, i))
	}
	require.InDelta(t, 600, out, 60)
	require.InDelta(t, 800, in, 60)
	rx, tx, lost := r.a.Faults(0)
	require.Equal(t, 1000-out, int(tx.Lost))
	require.Equal(t, 1000-in, int(rx.Lost))
	require.Zero(t, lost)
}

// TestKeptFramesTravelAsCopies: what the caller does to a frame that it keeps
// does not change the one on its way; chains arrive whole.
func TestKeptFramesTravelAsCopies(t *testing.T) {
	r := newRig(t, impair.Config{Tx: netem.Config{Delay: time.Millisecond}}, mem.Config{A: mem.EndConfig{MTU: 5000}, B: mem.EndConfig{MTU: 5000}})
	f := frame(t, r.pa, 5000, 7)
	require.NotNil(t, f.Next())
	f.Ref()
	r.a.TxBurst(0, 0, []*pbuf.Pbuf{f})
	f.PutAt(20, 8)
	f.Free()
	require.Empty(t, receive(r.a, ms))
	require.Equal(t, []byte{7}, receive(r.b, ms))
}

// TestWithoutBuffers: a copy that there is no buffer for is lost, and counted.
func TestWithoutBuffers(t *testing.T) {
	r := newRig(t, impair.Config{Tx: netem.Config{Delay: time.Second}}, mem.Config{})
	f := frame(t, r.pa, 60, 1)
	var all []*pbuf.Pbuf
	for p := r.pa.Alloc(pbuf.LayerRaw, 1, pbuf.KindPool); p != nil; p = r.pa.Alloc(pbuf.LayerRaw, 1, pbuf.KindPool) {
		all = append(all, p)
	}
	f.Ref()
	require.Equal(t, 1, r.a.TxBurst(0, 0, []*pbuf.Pbuf{f}))
	f.Free()
	_, _, lost := r.a.Faults(0)
	require.Equal(t, uint64(1), lost)
	pbuf.FreeBatch(all)
}

// TestDeviceBehind: frames that the device does not take wait, in order.
func TestDeviceBehind(t *testing.T) {
	r := newRig(t, impair.Config{}, mem.Config{Pause: true, B: mem.EndConfig{QueueLen: 32}})
	var want []byte
	for i := range byte(200) {
		r.a.TxBurst(0, 0, []*pbuf.Pbuf{frame(t, r.pa, 60, i)})
		want = append(want, i)
	}
	require.Less(t, r.a.NextEvent(0), int64(0), "it wants to try again at once")
	var got []byte
	for range 50 {
		got = append(got, receive(r.b, 1)...)
		require.Empty(t, receive(r.a, 1))
	}
	require.Equal(t, want, got)
	require.Equal(t, int64(netem.Forever), r.a.NextEvent(0))
}

// TestCapsAndErrors: the wrapper offers no offload that would hide frames from
// it, and refuses a device that joins them.
func TestCapsAndErrors(t *testing.T) {
	caps := offload.TxCsum | offload.RxCsum | offload.TSO | offload.MultiSeg
	a, b, err := mem.New(mem.Config{A: mem.EndConfig{Caps: caps}, B: mem.EndConfig{Caps: offload.RxCsum | offload.LRO}})
	require.NoError(t, err)
	w, err := impair.Wrap(a, impair.Config{})
	require.NoError(t, err)
	require.Equal(t, offload.RxCsum|offload.MultiSeg, w.Info().Caps)
	require.Equal(t, port.Port(a), w.Unwrap())
	_, err = impair.Wrap(b, impair.Config{})
	require.ErrorIs(t, err, port.ErrConfig)
	_, err = impair.Wrap(a, impair.Config{Tx: netem.Config{Loss: -1}})
	require.ErrorIs(t, err, netem.ErrConfig)
	_, err = impair.Wrap(a, impair.Config{Rx: netem.Config{Loss: -1}})
	require.ErrorIs(t, err, netem.ErrConfig)
	require.NoError(t, w.Close())
	require.NoError(t, b.Close())
}

// TestNothingLeaks: a port that is closed with frames under way gives all back.
func TestNothingLeaks(t *testing.T) {
	r := newRig(t, impair.Config{Rx: netem.Config{Delay: time.Second}, Tx: netem.Config{Delay: time.Second}}, mem.Config{})
	for i := range int64(50) {
		r.a.TxBurst(0, i, []*pbuf.Pbuf{frame(t, r.pa, 60, 1)})
		r.b.TxBurst(0, i, []*pbuf.Pbuf{frame(t, r.pb, 60, 1)})
		require.Empty(t, receive(r.a, i))
	}
}
