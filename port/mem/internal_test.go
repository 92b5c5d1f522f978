package mem

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
)

// A thread that never leaves TxBurst, because it was killed in it, makes Close
// fail and not hang; its buffers are not pulled from under it.
func TestCloseGivesUpOnASenderThatDied(t *testing.T) {
	a, b, err := New(Config{})
	require.NoError(t, err)
	pool := pbuftest.NewPool(t, pbuf.Config{})
	require.NoError(t, a.Attach(0, pool))
	require.NoError(t, b.Attach(0, pool))
	require.NoError(t, a.Start())
	require.NoError(t, b.Start())
	gate := &a.queues[0].gate
	gate.Store(gateBusy)
	avail := pool.Avail(pbuf.ClassStandard)
	require.ErrorIs(t, b.Close(), port.ErrBusy)
	require.Equal(t, avail, pool.Avail(pbuf.ClassStandard))
	gate.Store(gateOpen)
	require.NoError(t, b.Close())
	require.NoError(t, a.Close())
}

// The heap gives frames out by time, and those of one time as they went in.
func TestHeapOrder(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	var h heap
	h.init(200)
	for i := range 200 {
		p := pool.Alloc(pbuf.LayerRaw, i, pbuf.KindRAM)
		p.Time = int64(i * 7919 % 31)
		require.True(t, h.push(p))
	}
	over := pool.Alloc(pbuf.LayerRaw, 0, pbuf.KindRAM)
	require.False(t, h.push(over), "full")
	over.Free()
	at, last := int64(-1), -1
	for range 200 {
		require.GreaterOrEqual(t, h.next(), at)
		if h.next() > at {
			at, last = h.next(), -1
		}
		p := h.pop()
		require.Equal(t, at, p.Time)
		require.Greater(t, p.Len(), last)
		last = p.Len()
		p.Free()
	}
	require.Nil(t, h.pop())
}
