package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

func mustAddr(s string) header.Addr { return hdr(netip.MustParseAddr(s)) }

// path asks for a path and formats what it says.
func (h *host) path(src, dst string) string {
	from := header.Addr{}
	if src != "" {
		from = mustAddr(src)
	}
	p, err := h.findPath(from, mustAddr(dst))
	if err != nil {
		require.ErrorIs(h.t, err, ErrRoute)
		return "none"
	}
	return p.nif.name + " via " + p.nextHop.String() + " from " + p.src.String()
}

// twoNets is a host on 198.18.0.1/24 ("if") and 203.0.113.1/24 ("two").
func twoNets(t testing.TB, hooks Hooks) (*host, *Netif) {
	t.Helper()
	h := newHost(t, hostConfig{Config: Config{Hooks: hooks}})
	two, err := h.AddNetif(NetifConfig{Name: "two", Output: h.output})
	require.NoError(t, err)
	require.NoError(t, two.AddAddr(routerTwo))
	h.take()
	return h, two
}

func TestRoute_RFC1122_3_3_1_1_OnLink(t *testing.T) {
	h, _ := twoNets(t, Hooks{})
	require.Equal(t, "if via 198.18.0.9 from 198.18.0.1", h.path("", "198.18.0.9"))
	require.Equal(t, "two via 203.0.113.9 from 203.0.113.1", h.path("", "203.0.113.9"))
	require.Equal(t, "none", h.path("", "192.0.2.1"))
	require.Equal(t, "none", h.path("192.0.2.9", "198.18.0.9"), "RFC 1122 3.2.1.3: not our address")
}

func TestRoute_RFC1812_5_2_4_3_LongestPrefix(t *testing.T) {
	h, two := twoNets(t, Hooks{})
	add := func(p, gw string, nif *Netif) {
		t.Helper()
		g := netip.Addr{}
		if gw != "" {
			g = netip.MustParseAddr(gw)
		}
		require.NoError(t, h.AddRoute(netip.MustParsePrefix(p), g, nif))
	}
	add("192.0.2.0/24", "198.18.0.2", h.nif)
	add("0.0.0.0/0", "203.0.113.2", two)
	add("192.0.2.128/25", "203.0.113.3", two)
	add("192.0.2.200/32", "", h.nif)
	add("192.0.2.77/24", "203.0.113.9", two) // the same prefix again: the first stays
	require.Equal(t, "if via 198.18.0.2 from 198.18.0.1", h.path("", "192.0.2.1"))
	require.Equal(t, "two via 203.0.113.3 from 203.0.113.1", h.path("", "192.0.2.129"))
	require.Equal(t, "if via 192.0.2.200 from 198.18.0.1", h.path("", "192.0.2.200"))
	require.Equal(t, "two via 203.0.113.2 from 203.0.113.1", h.path("", "8.8.8.8"))
	require.Equal(t, "two via 203.0.113.2 from 198.18.0.1", h.path("198.18.0.1", "8.8.8.8"), "weak model: RFC 1122 3.3.4.2")
	rs := h.Routes()
	require.Len(t, rs, 5)
	require.Equal(t, "192.0.2.200/32", rs[0].Prefix.String())
	require.Equal(t, "0.0.0.0/0", rs[4].Prefix.String())

	gen := h.pathGen
	require.NoError(t, h.DelRoute(netip.MustParsePrefix("192.0.2.9/24"), h.nif))
	require.NotEqual(t, gen, h.pathGen)
	require.Equal(t, "two via 203.0.113.9 from 203.0.113.1", h.path("", "192.0.2.1"))
	require.ErrorIs(t, h.DelRoute(netip.MustParsePrefix("192.0.2.0/24"), h.nif), ErrVal)
	two.SetUp(false)
	require.Equal(t, "none", h.path("", "8.8.8.8"))
	require.Equal(t, "none", h.path("", "203.0.113.9"))
}

func TestRoute_AddRouteRefusesNonsense(t *testing.T) {
	h := newHost(t, hostConfig{})
	other := newHost(t, hostConfig{})
	p, gw := netip.MustParsePrefix("192.0.2.0/24"), peerIP
	require.ErrorIs(t, h.AddRoute(netip.Prefix{}, gw, h.nif), ErrVal)
	require.ErrorIs(t, h.AddRoute(p, gw, nil), ErrVal)
	require.ErrorIs(t, h.AddRoute(p, gw, other.nif), ErrVal)
	require.ErrorIs(t, h.AddRoute(p, netip.MustParseAddr("2001:db8::1"), h.nif), ErrVal)
}

func TestRoute_RFC1122_3_3_4_3_SourceAddress(t *testing.T) {
	h := newHost(t, hostConfig{})
	require.NoError(t, h.nif.AddAddr(netip.MustParsePrefix("192.0.2.1/24")))
	h.take()
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("192.0.2.2"), h.nif))
	require.Equal(t, "if via 192.0.2.9 from 192.0.2.1", h.path("", "192.0.2.9"))
	require.Equal(t, "if via 192.0.2.2 from 192.0.2.1", h.path("", "8.8.8.8"), "the one on the gateway's network")
	require.Equal(t, "if via 198.18.0.9 from 198.18.0.1", h.path("", "198.18.0.9"))
	bare, err := h.AddNetif(NetifConfig{Name: "bare", Output: h.output})
	require.NoError(t, err)
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("203.0.113.0/24"), netip.Addr{}, bare))
	require.Equal(t, "none", h.path("", "203.0.113.1"), "no source address")
}

func TestRoute_ToOurselves(t *testing.T) {
	h, _ := twoNets(t, Hooks{})
	require.Equal(t, "if via 198.18.0.1 from 198.18.0.1", h.path("", "198.18.0.1"))
	require.Equal(t, "two via 203.0.113.1 from 198.18.0.1", h.path("198.18.0.1", "203.0.113.1"))
	h.nif.SetUp(false)
	require.Equal(t, "if via 198.18.0.1 from 198.18.0.1", h.path("", "198.18.0.1"), "no link is needed")
}

// TestRoute_GroupsLeaveByTheSourceInterface: and never through a gateway.
func TestRoute_GroupsLeaveByTheSourceInterface(t *testing.T) {
	h, two := twoNets(t, Hooks{})
	for _, dst := range []string{"255.255.255.255", "224.1.2.3"} {
		require.Equal(t, "if via "+dst+" from 198.18.0.1", h.path("", dst), "the first one")
		require.Equal(t, "two via "+dst+" from 203.0.113.1", h.path("203.0.113.1", dst))
	}
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("203.0.113.2"), two))
	for _, dst := range []string{"255.255.255.255", "224.1.2.3"} {
		require.Equal(t, "two via "+dst+" from 203.0.113.1", h.path("", dst), "the default route's")
		require.Equal(t, "if via "+dst+" from 198.18.0.1", h.path("198.18.0.1", dst))
	}
	require.Equal(t, "two via 203.0.113.255 from 203.0.113.1", h.path("", "203.0.113.255"))
	h.nif.SetUp(false)
	require.NotContains(t, h.path("198.18.0.1", "255.255.255.255"), "if via")
}

func TestRoute_HookIP4Route(t *testing.T) {
	var h *host
	var two *Netif
	use := false
	h, two = twoNets(t, Hooks{IP4Route: func(src, dst header.Addr) *Netif {
		if !use {
			return nil
		}
		require.Equal(t, mustAddr("192.0.2.1"), dst)
		return two
	}})
	require.Equal(t, "none", h.path("", "192.0.2.1"))
	use = true
	require.Equal(t, "two via 192.0.2.1 from 203.0.113.1", h.path("", "192.0.2.1"))
}

func TestRoute_HookARPGetGateway(t *testing.T) {
	ok := true
	h, two := twoNets(t, Hooks{ARPGetGateway: func(nif *Netif, dst header.Addr) (header.Addr, bool) {
		require.Equal(t, mustAddr("192.0.2.1"), dst)
		return mustAddr("203.0.113.44"), ok
	}})
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("203.0.113.2"), two))
	require.Equal(t, "two via 203.0.113.44 from 203.0.113.1", h.path("", "192.0.2.1"))
	require.Equal(t, "two via 203.0.113.9 from 203.0.113.1", h.path("", "203.0.113.9"), "on link: no gateway")
	ok = false
	require.Equal(t, "none", h.path("", "192.0.2.1"))
}

func TestPrefix_Contains(t *testing.T) {
	for _, c := range []struct {
		prefix, addr string
		want         bool
	}{
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"0.0.0.0/0", "255.1.2.3", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"192.0.2.7/32", "192.0.2.7", true},
		{"192.0.2.7/32", "192.0.2.6", false},
		{"2001:db8::/32", "2001:db8:ffff::1", true},
		{"2001:db8::/32", "2001:db9::1", false},
		{"2001:db8::/64", "2001:db8::1:2:3:4", true},
		{"2001:db8::/96", "2001:db8::1:0:0", false},
		{"2001:db8::/96", "2001:db8::5", true},
		{"2001:db8::5/128", "2001:db8::5", true},
	} {
		p := makePrefix(netip.MustParsePrefix(c.prefix))
		require.Equal(t, c.want, p.contains(mustAddr(c.addr)), "%v", c)
	}
}
