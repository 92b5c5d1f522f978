package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// gatewayOf is the next hop of a new connection to dst.
func (h *host) gatewayOf(dst string) netip.Addr {
	h.t.Helper()
	way, err := h.pathFor(header.Addr{}, hdr(netip.MustParseAddr(dst)))
	require.NoError(h.t, err)
	require.Equal(h.t, way.nextHop, way.neigh.addr)
	require.Equal(h.t, way.nif, way.neigh.nif)
	return way.nextHop.Netip()
}

// The way of a connection is found once, and again after all that may change it.
func TestPathsAreFoundAgainAfterChanges(t *testing.T) {
	const far = "198.19.1.1"
	gw1, gw2 := netip.MustParseAddr("198.18.0.7"), netip.MustParseAddr("198.18.0.8")
	h := newHost(t, hostConfig{})
	h.mayDrop()
	net := netip.MustParsePrefix("198.19.0.0/16")
	require.NoError(t, h.AddRoute(net, gw1, h.nif))
	require.Equal(t, gw1, h.gatewayOf(far))
	found := h.paths
	require.Equal(t, gw1, h.gatewayOf(far))
	require.Equal(t, found, h.paths, "nothing is found anew")

	narrow := netip.MustParsePrefix("198.19.1.0/24")
	require.NoError(t, h.AddRoute(narrow, gw2, h.nif))
	require.Equal(t, gw2, h.gatewayOf(far), "a longer prefix")
	require.NoError(t, h.DelRoute(narrow, h.nif))
	require.Equal(t, gw1, h.gatewayOf(far))

	require.NoError(t, h.DelNeighbor(h.nif, gw1))
	require.Equal(t, peerIP, h.gatewayOf(peerIP.String()))
	require.Equal(t, gw1, h.gatewayOf(far), "the neighbour has gone, and is made again")

	other := netip.MustParsePrefix("198.19.1.9/24")
	require.NoError(t, h.nif.AddAddr(other))
	require.Equal(t, netip.MustParseAddr(far), h.gatewayOf(far), "it is on link now")
	require.NoError(t, h.nif.DelAddr(other))
	require.Equal(t, gw1, h.gatewayOf(far))

	h.nif.SetUp(false)
	_, err := h.pathFor(header.Addr{}, hdr(netip.MustParseAddr(far)))
	require.ErrorIs(t, err, ErrRoute)
	h.nif.SetUp(true)
	require.Equal(t, gw1, h.gatewayOf(far))
}

// Ways to the same place from different addresses are kept apart, also where they
// share a slot: there are more addresses than slots.
func TestPathsAreKeptByBothEnds(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.mayDrop()
	srcs := []netip.Addr{userIP}
	for a := netip.MustParseAddr("198.18.0.100"); len(srcs) < 2*pathSlots; a = a.Next() {
		require.NoError(t, h.nif.AddAddr(netip.PrefixFrom(a, 24)))
		srcs = append(srcs, a)
	}
	h.take()
	for range 2 {
		for _, src := range srcs {
			way, err := h.pathFor(hdr(src), hdr(peerIP))
			require.NoError(t, err)
			require.Equal(t, hdr(src), way.src)
		}
	}
	for dst := netip.MustParseAddr("198.18.0.2"); dst != srcs[1]; dst = dst.Next() {
		require.Equal(t, dst, h.gatewayOf(dst.String()))
	}
}

// A hook that decides about the way is asked for each connection.
func TestPathHooksAreAskedEachTime(t *testing.T) {
	asked := 0
	h := newHost(t, hostConfig{Config: Config{Hooks: Hooks{
		ARPGetGateway: func(*Netif, header.Addr) (header.Addr, bool) {
			asked++
			return hdr(peerIP), true
		},
	}}})
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("198.18.0.7"), h.nif))
	require.Equal(t, peerIP, h.gatewayOf("198.19.1.1"))
	require.Equal(t, peerIP, h.gatewayOf("198.19.1.1"))
	require.Equal(t, 2, asked)
}
