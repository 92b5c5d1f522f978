package load

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// bulkOut is what is written and not acknowledged on each connection, as the client
// keeps it, which is asserted to be the sum that it goes by.
func bulkOut(t *testing.T, b *Bulk) (sum int) {
	t.Helper()
	for i := range b.conns {
		sum += int(b.conns[i].out)
	}
	require.Equal(t, sum, b.out)
	return sum
}

// TestBulkTakesTurns: never is more under way than InFlight says, but for a single
// write, and the connections get as much each as the others.
func TestBulkTakesTurns(t *testing.T) {
	const size = 10_000
	for name, c := range map[string]struct{ conns, inFlight, most int }{
		"one connection":         {1, 40_000, 40_000},
		"one write at a time":    {8, size, size},
		"less than a write":      {8, 1, size},
		"not a multiple":         {8, 25_000, 25_000},
		"a part of them":         {8, 40_000, 40_000},
		"more than all can take": {3, 1 << 20, 3 * 60_000},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, pbuf.Config{Buffers: 2048}, func(c *stack.Config) { c.TCP.SendBuf, c.TCP.RecvBuf = 60_000, 60_000 })
			got := countBytes(t, w)
			b := NewBulk(w.client.s, Config{To: to(PortDiscard), Conns: c.conns, Size: size, InFlight: c.inFlight})
			w.start(b)
			most := 0
			for end := w.now + second; w.now < end; w.step() {
				most = max(most, bulkOut(t, b))
			}
			require.LessOrEqual(t, most, c.most)
			require.Greater(t, most, c.most-size)
			require.Len(t, got, c.conns)
			least, largest, sum := ^uint64(0), uint64(0), uint64(0)
			for _, n := range got {
				least, largest, sum = min(least, *n), max(largest, *n), sum+*n
			}
			require.NotZero(t, least)
			// Each has had as many turns, but for those of slow start and the last ones.
			require.LessOrEqual(t, largest-least, uint64(2*c.most))
			require.Equal(t, b.Counters().Ops*size-uint64(b.out), b.Counters().BytesOut)
			require.LessOrEqual(t, b.Counters().BytesOut, sum)
			w.clean()
		})
	}
}

// countBytes serves PortDiscard and gives what each connection has brought.
func countBytes(t *testing.T, w *wire) map[*stack.TCP]*uint64 {
	t.Helper()
	got := map[*stack.TCP]*uint64{}
	l := w.server.s.NewTCP()
	l.SetAccept(func(_ any, pcb *stack.TCP, _ error) error {
		n := new(uint64)
		got[pcb] = n
		pcb.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
			if p == nil {
				return pcb.Close()
			}
			k := p.TotLen()
			*n += uint64(k)
			p.Free()
			pcb.Recved(k)
			return nil
		})
		return nil
	})
	require.NoError(t, l.Bind(to(PortDiscard)))
	require.NoError(t, l.Listen(50))
	return got
}

// TestBulkTurnsAfterResets: what was written on connections that broke is not under
// way, whether they waited for their turn then or not.
func TestBulkTurnsAfterResets(t *testing.T) {
	w := newWire(t, pbuf.Config{Buffers: 2048}, nil)
	w.serve(ServerConfig{})
	b := NewBulk(w.client.s, Config{To: to(PortDiscard), Conns: 6, InFlight: 32 << 10})
	w.start(b)
	for range 3 {
		w.run(second / 100)
		require.NotZero(t, bulkOut(t, b))
		w.server.s.EachTCP(func(p *stack.TCP) {
			if p.State() == stack.StateEstablished {
				p.Abort()
			}
		})
		for end := w.now + second/2; w.now < end; w.step() {
			require.LessOrEqual(t, bulkOut(t, b), 32<<10)
		}
	}
	require.Equal(t, uint64(18), b.Counters().Failed)
	require.Equal(t, uint64(24), b.Counters().Opened)
	before := b.Counters().BytesOut
	w.run(second / 100)
	require.Greater(t, b.Counters().BytesOut, before)
	b.Stop()
	w.until(second, func() bool { return b.Counters().Closed == 6 })
}
