package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// secondNetif adds an interface to a host, with an address, a route and a static
// neighbour.
func secondNetif(h *host) (nif *Netif, sent *int) {
	h.t.Helper()
	sent = new(int)
	nif, err := h.AddNetif(NetifConfig{Name: "two", MAC: header.MAC{2, 0, 0, 0, 9, 9}, Output: func(ps []*pbuf.Pbuf) int {
		*sent += len(ps)
		pbuf.FreeBatch(ps)
		return len(ps)
	}})
	require.NoError(h.t, err)
	require.NoError(h.t, nif.AddAddr(netip.MustParsePrefix("198.18.9.1/24")))
	require.NoError(h.t, h.AddNeighbor(nif, netip.MustParseAddr("198.18.9.2"), scriptPeer))
	require.NoError(h.t, h.AddRoute(netip.MustParsePrefix("198.18.10.0/24"), netip.MustParseAddr("198.18.9.2"), nif))
	return nif, sent
}

func TestRemoveNetif(t *testing.T) {
	h := newHost(t, hostConfig{})
	nif, sent := secondNetif(h)
	require.Equal(t, uint8(2), nif.Index())
	var gone error
	pcb := h.NewTCP()
	require.NoError(t, pcb.Connect(netip.MustParseAddrPort("198.18.9.2:80"), nil))
	pcb.SetErr(func(_ any, err error) { gone = err })
	u, _ := h.bound(53)
	to := netip.MustParseAddrPort("198.18.10.7:9")
	require.NoError(t, u.SendTo(h.bytes(pattern(10)), to))
	require.Zero(t, *sent)

	require.NoError(t, h.RemoveNetif(nif))
	require.ErrorIs(t, gone, ErrAborted, "a connection from its address")
	require.ErrorIs(t, u.SendTo(h.bytes(pattern(10)), to), ErrRoute)
	h.dropped(DropIPNoRoute, 1)
	require.False(t, nif.Up())
	require.Len(t, h.Netifs(), 1)
	require.Empty(t, h.Routes())
	for _, n := range h.Neighbors() {
		require.NotEqual(t, nif, n.Netif)
	}
	h.mayDrop(DropNetifDown, DropTxQueueFull) // what still waited for the port
	require.ErrorIs(t, h.RemoveNetif(nif), ErrVal, "it is gone")
	require.ErrorIs(t, h.RemoveNetif(nil), ErrVal)

	again, _ := secondNetif(h)
	require.Equal(t, uint8(2), again.Index(), "the index is free again")
	require.NoError(t, u.SendTo(h.bytes(pattern(10)), to))
}

// A frame that arrives for an interface that is gone goes nowhere.
func TestRemoveNetifThenInput(t *testing.T) {
	h := newHost(t, hostConfig{})
	nif, _ := secondNetif(h)
	require.NoError(t, h.RemoveNetif(nif))
	h.Input(nif, h.now, []*pbuf.Pbuf{h.packet(ipv4{}.udp(1, 2, nil))})
	h.dropped(DropNetifDown, 1)
	h.mayDrop(DropTxQueueFull)
}
