package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// TestTCPBackpressure: a port that takes nothing makes connections hold their
// data, drop nothing, and go on in turn when it takes frames again.
func TestTCPBackpressure(t *testing.T) {
	sc := newScript(t, noTS())
	taken, room := 0, 0
	nif, err := sc.s.AddNetif(NetifConfig{MAC: scriptMAC, TxQueue: 64, Output: func(ps []*pbuf.Pbuf) int {
		n := min(room, len(ps))
		room -= n
		taken += n
		pbuf.FreeBatch(ps[:n])
		return n
	}})
	require.NoError(t, err)
	require.NoError(t, nif.AddAddr(netip.MustParsePrefix("198.18.1.1/24")))
	peer := netip.MustParseAddr("198.18.1.2")
	require.NoError(t, sc.s.AddNeighbor(nif, peer, scriptPeer))
	for range 100 {
		require.NoError(t, sc.s.NewTCP().Connect(netip.AddrPortFrom(peer, 80), nil))
	}
	require.Equal(t, 32, len(nif.txq), "half the queue is for data")
	require.Len(t, nif.waiting, 69) // the announcement is in the queue too
	require.Equal(t, sc.now, sc.s.NextTimeout(), "frames wait: do not sleep")
	require.True(t, nif.holds(), "newcomers queue behind those that wait")
	for range 100 {
		room = 10
		sc.s.Flush(sc.now)
		checkInvariants(t, sc.s)
	}
	require.Equal(t, 101, taken, "every SYN and the announcement, once")
	require.Zero(t, sc.s.stats.Drops[DropTxQueueFull])
	require.Empty(t, nif.waiting)
	sc.s.EachTCP(func(p *TCP) { p.errFn = nil; p.Abort() })
}
