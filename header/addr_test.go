package header

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// addr parses s.
func addr(t testing.TB, s string) Addr {
	t.Helper()
	a, err := netip.ParseAddr(s)
	require.NoError(t, err)
	return FromNetip(a)
}

func TestAddrRoundTrips(t *testing.T) {
	for _, s := range []string{
		"0.0.0.0", "127.0.0.1", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1234", "::fffe:192.0.2.1",
	} {
		n := netip.MustParseAddr(s)
		a := addr(t, s)
		require.Equal(t, n, a.Netip())
		require.Equal(t, n.String(), a.String())
		require.Equal(t, n.Is4(), a.Is4())
		require.Equal(t, n.As16(), a.As16())
		require.Equal(t, a, AddrFrom16(n.As16()))
		if n.Is4() {
			require.Equal(t, n.As4(), a.As4())
			require.Equal(t, a, AddrFrom4(n.As4()))
			require.Equal(t, a, AddrFrom4Uint(a.Uint32()))
		}
	}
	require.Equal(t, AddrFrom4Uint(0x7f000001), addr(t, "127.0.0.1"))
	require.Equal(t, uint64(0x20010db800000000), addr(t, "2001:db8::1").Hi())
	require.Equal(t, uint64(1), addr(t, "2001:db8::1").Lo())
}

func TestRFC4291_2_5_5_2_MappedIsIPv4(t *testing.T) {
	require.Equal(t, addr(t, "192.0.2.1"), addr(t, "::ffff:192.0.2.1"))
	require.Equal(t, "192.0.2.1", addr(t, "::ffff:192.0.2.1").String())
	require.False(t, addr(t, "1::ffff:192.0.2.1").Is4())
	require.False(t, addr(t, "::1:ffff:192.0.2.1").Is4())
}

func TestFromNetipDropsZoneAndTakesInvalid(t *testing.T) {
	require.Equal(t, addr(t, "fe80::1"), FromNetip(netip.MustParseAddr("fe80::1%eth0")))
	require.True(t, FromNetip(netip.Addr{}).IsZero())
	require.Equal(t, netip.IPv6Unspecified(), Addr{}.Netip())
}

// TestAddrClasses checks every class against net/netip, which knows them too,
// at the edges of their ranges.
func TestAddrClasses(t *testing.T) {
	for _, s := range []string{
		"0.0.0.0", "0.0.0.1", "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0",
		"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0",
		"223.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255",
		"::", "::1", "::2", "fe7f::", "fe80::", "febf:ffff::", "fec0::", "feff::", "ff00::", "ffff::1",
		"::7f00:1", "::e000:1", "2001:db8::1",
	} {
		n, a := netip.MustParseAddr(s), addr(t, s)
		require.Equal(t, n.IsMulticast(), a.IsMulticast(), s)
		require.Equal(t, n.IsLoopback(), a.IsLoopback(), s)
		require.Equal(t, n.IsLinkLocalUnicast(), a.IsLinkLocal(), s)
		require.Equal(t, n.IsUnspecified(), a.IsUnspecified(), s)
		require.Equal(t, s == "255.255.255.255", a.IsBroadcast(), s)
		require.Equal(t, s == "::", a.IsZero(), s)
	}
}

func TestAddrCompareOrdersByValue(t *testing.T) {
	order := []string{"::", "::1", "0.0.0.0", "10.0.0.1", "255.255.255.255", "2001:db8::", "ff02::1"}
	for i, s := range order {
		for j, r := range order {
			want := min(max(i-j, -1), 1)
			require.Equal(t, want, addr(t, s).Compare(addr(t, r)), "%s %s", s, r)
		}
	}
}

func TestRFC1112_6_4_MulticastMAC(t *testing.T) {
	require.Equal(t, "01:00:5e:00:00:fb", addr(t, "224.0.0.251").MulticastMAC().String())
	require.Equal(t, "01:00:5e:7f:ff:fa", addr(t, "239.255.255.250").MulticastMAC().String())
	require.Equal(t, addr(t, "224.1.2.3").MulticastMAC(), addr(t, "225.129.2.3").MulticastMAC())
}

func TestRFC2464_7_MulticastMAC(t *testing.T) {
	require.Equal(t, "33:33:ff:12:34:56", addr(t, "ff02::1:ff12:3456").MulticastMAC().String())
	require.True(t, addr(t, "ff02::1").MulticastMAC().IsMulticast())
}

func TestRFC4291_2_7_1_SolicitedNode(t *testing.T) {
	require.Equal(t, "ff02::1:ff0e:8c6c", addr(t, "4037::01:800:200e:8c6c").SolicitedNode().String())
	s := addr(t, "ff02::1:ff0e:8c6c")
	require.Equal(t, s, s.SolicitedNode())
	require.NotEqual(t, addr(t, "ff02::1"), addr(t, "ff02::1").SolicitedNode())
}
