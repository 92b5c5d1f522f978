package port_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// fake is a port that keeps what is sent and receives what is put in.
type fake struct {
	port.Port // nil: what a test doesn't expect panics
	stats     []port.Stats
	in        []*pbuf.Pbuf
	sent      [][]byte
	room      int
}

func (f *fake) Info() port.Info        { return port.Info{Name: "fake", Queues: len(f.stats)} }
func (f *fake) Stats(q int) port.Stats { return f.stats[q] }
func (f *fake) Close() error           { return port.ErrClosed }
func (f *fake) NextEvent(q int) int64  { return int64(q) * 100 }
func (f *fake) SetKey(k rss.Key) error { return port.ErrState }
func (f *fake) Waiter(int) port.Waiter { return nil }
func (f *fake) Link() port.LinkState   { return port.LinkState{Up: true, Mbps: 10} }
func (f *fake) Start() error           { return nil }

func (f *fake) RxBurst(_ int, _ int64, dst []*pbuf.Pbuf) int {
	n := copy(dst, f.in)
	f.in = f.in[n:]
	return n
}

func (f *fake) TxBurst(_ int, _ int64, ps []*pbuf.Pbuf) int {
	n := min(f.room, len(ps))
	for _, p := range ps[:n] {
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		f.sent = append(f.sent, b)
		p.Free()
	}
	return n
}

// wrapped passes everything on.
type wrapped struct{ port.Port }

func (w wrapped) Unwrap() port.Port { return w.Port }

func TestTotalAddsAllCountersOfAllQueues(t *testing.T) {
	one := port.Stats{
		RxPackets: 1, RxBytes: 2, RxMissed: 3, RxErrors: 4,
		TxPackets: 5, TxBytes: 6, TxDropped: 7, TxErrors: 8,
	}
	f := &fake{stats: []port.Stats{one, {}, one}}
	require.Equal(t, port.Stats{
		RxPackets: 2, RxBytes: 4, RxMissed: 6, RxErrors: 8,
		TxPackets: 10, TxBytes: 12, TxDropped: 14, TxErrors: 16,
	}, port.Total(f))
}

func TestAsLooksIntoWrappers(t *testing.T) {
	f := &fake{}
	for _, p := range []port.Port{f, wrapped{f}, wrapped{wrapped{f}}} {
		timed, ok := port.As[port.Timed](p)
		require.True(t, ok)
		require.EqualValues(t, 300, timed.NextEvent(3))

		own, ok := port.As[*fake](p)
		require.True(t, ok)
		require.Same(t, f, own)

		_, ok = port.As[port.RETASetter](p)
		require.False(t, ok, "fake has no table")
	}
}

func TestRSSEnabled(t *testing.T) {
	require.False(t, (&port.RSS{}).Enabled())
	require.True(t, (&port.RSS{Key: rss.DefaultKey}).Enabled())
}
