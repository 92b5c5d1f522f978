package port_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
)

// notes is an observer that keeps what it is told.
type notes struct{ bursts []string }

func (n *notes) Append(buf []byte, f *port.Frame) []byte {
	return fmt.Appendf(buf, "%d:%d:%v:%s;", f.Time, f.Queue, f.Sent, f.Packet.Payload())
}

func (n *notes) Write(records []byte) { n.bursts = append(n.bursts, string(records)) }

func packets(t *testing.T, pool *pbuf.Pool, texts ...string) []*pbuf.Pbuf {
	t.Helper()
	var ps []*pbuf.Pbuf
	for _, s := range texts {
		p := pool.Alloc(pbuf.LayerRaw, len(s), pbuf.KindRAM)
		require.NoError(t, p.Take([]byte(s)))
		ps = append(ps, p)
	}
	return ps
}

func TestObserveReceived(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	f := &fake{stats: make([]port.Stats, 2), in: packets(t, pool, "ab", "c", "d")}
	f.in[1].Flags, f.in[1].Time = pbuf.RxTime, 55
	var n notes
	p := port.Observe(f, &n)
	dst := make([]*pbuf.Pbuf, 2)
	require.Equal(t, 2, p.RxBurst(1, 7, dst))
	pbuf.FreeBatch(dst)
	require.Equal(t, 1, p.RxBurst(0, 8, dst))
	dst[0].Free()
	require.Zero(t, p.RxBurst(0, 9, dst))
	require.Equal(t, []string{"7:1:false:ab;55:1:false:c;", "8:0:false:d;"}, n.bursts)
}

// Only what the port took is written, and before it is gone.
func TestObserveSent(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	f := &fake{stats: make([]port.Stats, 1), room: 2}
	var n notes
	p := port.Observe(f, &n)
	ps := packets(t, pool, "a", "b", "c")
	require.Equal(t, 2, p.TxBurst(0, 1, ps))
	require.Equal(t, 1, p.TxBurst(0, 2, ps[2:]))
	f.room = 0
	ps = packets(t, pool, "x")
	require.Zero(t, p.TxBurst(0, 3, ps))
	ps[0].Free()
	require.Zero(t, p.TxBurst(0, 4, nil))
	require.Equal(t, []string{"1:0:true:a;1:0:true:b;", "2:0:true:c;"}, n.bursts)
	require.Equal(t, [][]byte{[]byte("a"), []byte("b"), []byte("c")}, f.sent)
}

// Everything else is the port's own.
func TestObserveIsTransparent(t *testing.T) {
	f := &fake{stats: []port.Stats{{RxPackets: 3}}}
	p := port.Observe(f, &notes{})
	require.Same(t, f, p.Unwrap())
	require.Equal(t, f.Info(), p.Info())
	require.Equal(t, f.Stats(0), p.Stats(0))
	require.Equal(t, f.Link(), p.Link())
	require.ErrorIs(t, p.Close(), port.ErrClosed)
	_, ok := port.As[port.KeySetter](p)
	require.True(t, ok)
}

// quiet observes without allocating of its own.
type quiet struct{ bytes int }

func (q *quiet) Append(buf []byte, f *port.Frame) []byte { return append(buf, f.Packet.Payload()...) }
func (q *quiet) Write(records []byte)                    { q.bytes += len(records) }

// still is a port that takes everything and has nothing.
type still struct{ fake }

func (s *still) TxBurst(_ int, _ int64, ps []*pbuf.Pbuf) int { return len(ps) }

func TestObserveAllocatesNothing(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	s := &still{fake{stats: make([]port.Stats, 1)}}
	q := &quiet{}
	p := port.Observe(s, q)
	ps := packets(t, pool, "abc", "d")
	require.Zero(t, testing.AllocsPerRun(100, func() { p.TxBurst(0, 0, ps) }))
	require.NotZero(t, q.bytes)
	pbuf.FreeBatch(ps)
}
