package netconn_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/stack"
)

func TestDialRefused(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		c, err := b.client.Dial("tcp", "10.0.0.2:81")
		require.Nil(t, c)
		opErr(t, err, "dial", syscall.ECONNREFUSED)
		var oe *net.OpError
		require.ErrorAs(t, err, &oe)
		require.False(t, oe.Timeout())
		require.Equal(t, "10.0.0.2:81", oe.Addr.String())
	})
}

func TestDialTimesOut(t *testing.T) {
	b := newBed(t, setup{stack: stack.Config{TCP: stack.TCPConfig{
		MinRTO: 10 * time.Millisecond, InitialRTO: 10 * time.Millisecond, SYNRetries: 2,
	}}})
	_, err := b.client.Dial("tcp", "10.0.0.99:80") // nobody has that address
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH), err)
}

func TestDialWithoutRoute(t *testing.T) {
	b := newBed(t, setup{})
	_, err := b.client.Dial("tcp", "192.0.2.1:80")
	opErr(t, err, "dial", syscall.ENETUNREACH)
	_, err = b.client.Dial("udp", "192.0.2.1:80")
	opErr(t, err, "dial", syscall.ENETUNREACH)
}

func TestDialContextEnds(t *testing.T) {
	b := newBed(t, setup{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := b.client.DialContext(ctx, "tcp", "10.0.0.99:80")
	opErr(t, err, "dial", context.Canceled)

	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = b.client.DialContext(ctx, "tcp", "10.0.0.99:80")
	opErr(t, err, "dial", context.DeadlineExceeded)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout())

	// What has ended before begins nothing.
	_, err = b.client.DialContext(ctx, "tcp", "10.0.0.2:80")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = b.client.DialContext(ctx, "udp", "10.0.0.2:80")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestDialBadAddresses(t *testing.T) {
	b := newBed(t, setup{})
	for _, c := range []struct {
		network, address string
		want             error
	}{
		{"tcp6", "[2001:db8::1]:80", syscall.ENETUNREACH}, // the ends have no IPv6
		{"udp6", "[2001:db8::1]:80", syscall.ENETUNREACH},
		{"tcp", "[2001:db8::1]:80", syscall.ENETUNREACH},
		{"tcp6", "[ff02::1]:80", syscall.EINVAL},
		{"unix", "/tmp/x", net.UnknownNetworkError("unix")},
		{"tcp", "host.example:80", netconn.ErrNoHost},
		{"tcp", "10.0.0.255:80", syscall.EINVAL}, // RFC 1122 4.2.3.10: broadcast
		{"tcp", "224.0.0.1:80", syscall.EINVAL},
		{"tcp", "10.0.0.2:0", syscall.EINVAL},
	} {
		_, err := b.client.Dial(c.network, c.address)
		require.ErrorIs(t, err, c.want, "%s %s", c.network, c.address)
	}
	for _, address := range []string{"10.0.0.2", "10.0.0.2:nonsense", "[2001:db8::1]:80", ":x:"} {
		_, err := b.client.Dial("tcp4", address)
		var oe *net.OpError
		require.ErrorAs(t, err, &oe, address)
	}
	for network, address := range map[string]string{"tcp4": "[2001:db8::1]:80", "udp6": "10.0.0.2:80"} {
		_, err := b.client.Dial(network, address)
		var ae *net.AddrError
		require.ErrorAs(t, err, &ae, address)
	}
}

func TestDialByServiceName(t *testing.T) {
	b := newBed(t, setup{})
	ln, err := b.server.Listen("tcp4", "10.0.0.2:http")
	require.NoError(t, err)
	c, err := b.client.Dial("tcp4", "10.0.0.2:http")
	require.NoError(t, err)
	require.Equal(t, "10.0.0.2:80", c.RemoteAddr().String())
	require.NoError(t, c.Close())
	require.NoError(t, ln.Close())
}

// A local port is honoured, on whatever shard the answers come in.
func TestDialFromLocalPort(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		ln, err := b.server.Listen("tcp", ":80")
		require.NoError(t, err)
		defer ln.Close()
		used := map[int]bool{}
		for port := uint16(2000); port < 2020; port++ {
			local := netip.AddrPortFrom(clientIP, port)
			c, err := b.client.DialFrom(t.Context(), "tcp", local, "10.0.0.2:80")
			require.NoError(t, err)
			require.Equal(t, local.String(), c.LocalAddr().String())
			used[c.(*netconn.TCPConn).Shard()] = true
			_, err = b.client.DialFrom(t.Context(), "tcp", local, "10.0.0.2:80")
			opErr(t, err, "dial", syscall.EADDRINUSE)
			defer c.Close()
		}
		require.Len(t, used, base.shards)
		_, err = b.client.DialFrom(t.Context(), "tcp", netip.AddrPortFrom(serverIP, 0), "10.0.0.2:80")
		opErr(t, err, "dial", syscall.EADDRNOTAVAIL)
		if base.shards > 1 { // which shard would that be?
			_, err = b.client.DialFrom(t.Context(), "tcp", netip.AddrPortFrom(netip.IPv4Unspecified(), 7), "10.0.0.2:80")
			opErr(t, err, "dial", syscall.EADDRNOTAVAIL)
		}
	})
}

// Connections spread over the shards.
func TestDialTakesShardsInTurn(t *testing.T) {
	b := newBed(t, setup{shards: 2})
	cs, ss := pairs(t, b, 16)
	count := func(list []net.Conn) (n [2]int) {
		for _, c := range list {
			n[c.(*netconn.TCPConn).Shard()]++
		}
		return n
	}
	require.Equal(t, [2]int{8, 8}, count(cs))
	require.NotContains(t, count(ss), 0)
}
