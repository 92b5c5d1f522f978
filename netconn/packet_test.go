package netconn_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/pbuf"
)

var (
	_ net.Conn       = (*netconn.UDPConn)(nil)
	_ net.PacketConn = (*netconn.UDPConn)(nil)
	_ net.Listener   = (*netconn.Listener)(nil)
)

// echoUDP answers every datagram until the socket is closed.
func echoUDP(t *testing.T, b *bed, address string) *netconn.UDPConn {
	t.Helper()
	pc, err := b.server.ListenPacket("udp", address)
	require.NoError(t, err)
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 70000)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if _, err := pc.WriteTo(buf[:n], from); err != nil {
				return
			}
		}
	}()
	return pc.(*netconn.UDPConn)
}

func TestUDPEcho(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		echoUDP(t, b, ":7")
		var wg sync.WaitGroup
		for i := range 8 { // connected ones, on all base.shards
			c, err := b.client.Dial("udp", "10.0.0.2:7")
			require.NoError(t, err)
			require.Equal(t, "10.0.0.2:7", c.RemoteAddr().String())
			require.Equal(t, "udp", c.LocalAddr().Network())
			wg.Go(func() {
				defer c.Close()
				buf := make([]byte, 2000)
				for j := range 50 {
					want := random(1+(i*97+j*31)%1400, uint64(i*1000+j))
					_ = c.SetReadDeadline(time.Now().Add(patience))
					if _, err := c.Write(want); err != nil {
						t.Error(err)
						return
					}
					n, err := c.Read(buf)
					if err != nil || !bytes.Equal(buf[:n], want) {
						t.Errorf("%d bytes, %v", n, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// An unconnected socket hears and answers everybody, whatever shard they meet.
func TestUDPUnconnected(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		pc, err := b.client.ListenPacket("udp4", "10.0.0.1:0")
		require.NoError(t, err)
		c := pc.(*netconn.UDPConn)
		require.Nil(t, c.RemoteAddr())
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		want := map[string]bool{}
		for port := 1000; port < 1016; port++ {
			at := netip.AddrPortFrom(serverIP, uint16(port))
			echoUDP(t, b, at.String())
			n, err := c.WriteToUDPAddrPort([]byte(at.String()), at)
			require.NoError(t, err)
			require.Equal(t, len(at.String()), n)
			want[at.String()] = true
		}
		for len(want) > 0 {
			buf := make([]byte, 100)
			n, from, err := c.ReadFromUDPAddrPort(buf)
			require.NoError(t, err)
			require.Equal(t, from.String(), string(buf[:n]))
			require.True(t, want[from.String()])
			delete(want, from.String())
		}
		require.NoError(t, c.Close())
	})
}

// Long datagrams go out in fragments and are put together again.
func TestUDPFragments(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		echoUDP(t, b, ":7")
		c, err := b.client.Dial("udp", "10.0.0.2:7")
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		for _, n := range []int{0, 1, 1472, 1473, 9000, 30000} {
			want := random(n, 5)
			_, err := c.Write(want)
			require.NoError(t, err)
			buf := make([]byte, 70000)
			k, err := c.Read(buf)
			require.NoError(t, err, n)
			require.True(t, bytes.Equal(want, buf[:k]), n)
		}
	})
}

func TestUDPShortBufferLosesTheRest(t *testing.T) {
	b := newBed(t, setup{})
	echoUDP(t, b, ":7")
	c, err := b.client.Dial("udp", "10.0.0.2:7")
	require.NoError(t, err)
	defer c.Close()
	for _, s := range []string{"abcdef", "xyz"} {
		_, err = c.Write([]byte(s))
		require.NoError(t, err)
	}
	buf := make([]byte, 3)
	for _, want := range []string{"abc", "xyz"} {
		n, err := c.Read(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
}

// RFC 1122 4.1.3.3: a connected socket hears of ICMP errors, once each.
func TestRFC1122_4_1_3_3_UDPRefused(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		c, err := b.client.Dial("udp", "10.0.0.2:9")
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		_, err = c.Write([]byte("anybody?"))
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 10))
		opErr(t, err, "read", syscall.ECONNREFUSED)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(5*time.Millisecond)))
		_, err = c.Read(make([]byte, 10))
		opErr(t, err, "read", os.ErrDeadlineExceeded)
		_, err = c.Write([]byte("anybody?"))
		require.NoError(t, err)
		soon(t, func() bool {
			_, err := c.Write([]byte("x"))
			return errors.Is(err, syscall.ECONNREFUSED)
		}, "writes hear of it, too")
	})
}

func TestUDPErrors(t *testing.T) {
	b := newBed(t, setup{shards: 2})
	pc, err := b.server.ListenPacket("udp", "10.0.0.2:53")
	require.NoError(t, err)
	_, err = b.server.ListenPacket("udp", "10.0.0.2:53")
	opErr(t, err, "listen", syscall.EADDRINUSE)
	_, err = b.server.ListenPacket("udp", "10.0.0.77:53")
	opErr(t, err, "listen", syscall.EADDRNOTAVAIL)
	_, err = b.server.ListenPacket("tcp", ":53")
	require.ErrorIs(t, err, net.UnknownNetworkError("tcp"))

	to := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 53}
	_, err = pc.WriteTo(make([]byte, 65508), to)
	opErr(t, err, "write", syscall.EMSGSIZE)
	_, err = pc.WriteTo(nil, &net.TCPAddr{})
	opErr(t, err, "write", syscall.EINVAL)
	_, err = pc.WriteTo(nil, &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)})
	opErr(t, err, "write", syscall.EINVAL)
	_, err = pc.WriteTo(nil, &net.UDPAddr{IP: net.IPv6unspecified, Port: 1})
	opErr(t, err, "write", syscall.EINVAL)
	_, err = pc.(net.Conn).Write([]byte("x"))
	opErr(t, err, "write", syscall.EDESTADDRREQ)
	c, err := b.client.Dial("udp", "10.0.0.2:53")
	require.NoError(t, err)
	_, err = c.(net.PacketConn).WriteTo([]byte("x"), to)
	opErr(t, err, "write", net.ErrWriteToConnected)
	require.NoError(t, c.Close())

	require.NoError(t, pc.SetDeadline(time.Now().Add(time.Millisecond)))
	_, _, err = pc.ReadFrom(nil)
	opErr(t, err, "read", os.ErrDeadlineExceeded)
	soon(t, func() bool {
		_, err := pc.WriteTo([]byte("x"), to)
		return errors.Is(err, os.ErrDeadlineExceeded)
	}, "the deadline of writes, which has a timer of its own")
	require.NoError(t, pc.SetDeadline(time.Time{}))
	done := make(chan error, 1)
	go func() {
		_, _, err := pc.ReadFrom(make([]byte, 1))
		done <- err
	}()
	time.Sleep(5 * time.Millisecond)
	require.NoError(t, pc.Close())
	opErr(t, <-done, "read", net.ErrClosed)
	opErr(t, pc.Close(), "close", net.ErrClosed)
	opErr(t, pc.SetDeadline(time.Time{}), "set", net.ErrClosed)
	opErr(t, pc.SetWriteDeadline(time.Time{}), "set", net.ErrClosed)
	_, err = pc.WriteTo([]byte("x"), to)
	opErr(t, err, "write", net.ErrClosed)
}

// What nobody reads is dropped beyond a limit, and does not hold the shard's
// buffers.
func TestUDPUnreadIsBounded(t *testing.T) {
	b := newBed(t, setup{net: netconn.Config{Datagrams: 10}})
	pc, err := b.server.ListenPacket("udp", ":9")
	require.NoError(t, err)
	c, err := b.client.Dial("udp", "10.0.0.2:9")
	require.NoError(t, err)
	_, err = c.Write(nil) // resolves the neighbour, for whom only few wait
	require.NoError(t, err)
	_, _, err = pc.ReadFrom(nil)
	require.NoError(t, err)
	for i := range 200 {
		_, err := c.Write([]byte{byte(i)})
		require.NoError(t, err)
	}
	time.Sleep(20 * time.Millisecond)
	buf := make([]byte, 10)
	got := 0
	for ; ; got++ {
		require.NoError(t, pc.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		if _, _, err := pc.ReadFrom(buf); err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			break
		}
		if got < 9 { // the buffer of the first datagram may still count
			require.Equal(t, byte(got), buf[0], "the first ones, in order")
		}
	}
	require.Contains(t, []int{9, 10}, got)
	// There is room again.
	_, err = c.Write([]byte{99})
	require.NoError(t, err)
	require.NoError(t, pc.SetReadDeadline(time.Now().Add(patience)))
	_, _, err = pc.ReadFrom(buf)
	require.NoError(t, err)
	require.Equal(t, byte(99), buf[0])
	require.NoError(t, c.Close())
	require.NoError(t, pc.Close())
}

// A writer waits for buffers when the pool is used up, and none is lost on the
// way back through another shard's queue: the ports have only one.
func TestUDPWritersShareATinyPool(t *testing.T) {
	b := newBed(t, setup{shards: 2, queues: 1, net: netconn.Config{
		Ring: 64, Datagrams: 1 << 20, Pool: pbuf.Config{Small: 4, Buffers: 4}}})
	pc, err := b.server.ListenPacket("udp", ":9")
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 4 {
		c, err := b.client.Dial("udp", "10.0.0.2:9")
		require.NoError(t, err)
		wg.Go(func() {
			defer c.Close()
			for range 500 {
				if _, err := c.Write(make([]byte, 100*(i+1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, pc.SetReadDeadline(time.Now().Add(patience)))
	n, _, err := pc.ReadFrom(make([]byte, 2000))
	require.NoError(t, err)
	require.Zero(t, n%100)
	require.NoError(t, pc.Close())
}

func TestUDPAllocatesNothing(t *testing.T) {
	b := newBed(t, setup{})
	pc, err := b.server.ListenPacket("udp", "10.0.0.2:7")
	require.NoError(t, err)
	c, err := b.client.Dial("udp", "10.0.0.2:7")
	require.NoError(t, err)
	server, client := pc.(*netconn.UDPConn), c.(*netconn.UDPConn)
	buf := make([]byte, 100)
	exchange := func() {
		if _, err := client.Write(buf); err != nil {
			t.Error(err)
		}
		n, from, err := server.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Error(err)
		}
		if _, err := server.WriteToUDPAddrPort(buf[:n], from); err != nil {
			t.Error(err)
		}
		if _, err := client.Read(buf); err != nil {
			t.Error(err)
		}
	}
	for range 20 {
		exchange()
	}
	if n := testing.AllocsPerRun(200, exchange); !instrumented {
		require.Zero(t, n)
	}
	require.NoError(t, client.Close())
	require.NoError(t, server.Close())
}
