package netconn_test

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/stack"
)

func TestListenPortZeroIsTheSameOnAllShards(t *testing.T) {
	b := newBed(t, setup{shards: 2})
	ln, err := b.server.Listen("tcp", "10.0.0.2:0")
	require.NoError(t, err)
	defer ln.Close()
	seen := map[int]bool{}
	for range 32 {
		c, err := b.client.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		s, err := ln.Accept()
		require.NoError(t, err)
		seen[s.(*netconn.TCPConn).Shard()] = true
		c.Close()
		s.Close()
	}
	require.Len(t, seen, 2, "both shards accept")
}

func TestListenErrors(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		ln, err := b.server.Listen("tcp", ":80")
		require.NoError(t, err)
		_, err = b.server.Listen("tcp", "10.0.0.2:80")
		opErr(t, err, "listen", syscall.EADDRINUSE)
		_, err = b.server.Listen("tcp", "10.0.0.3:80")
		opErr(t, err, "listen", syscall.EADDRNOTAVAIL)
		_, err = b.server.Listen("tcp6", "[::]:80")
		opErr(t, err, "listen", syscall.EADDRINUSE)
		_, err = b.server.Listen("tcp6", "[2001:db8::1]:81")
		opErr(t, err, "listen", syscall.EADDRNOTAVAIL)
		_, err = b.server.Listen("udp", ":80")
		require.ErrorIs(t, err, net.UnknownNetworkError("udp"))
		require.NoError(t, ln.Close())
		opErr(t, ln.Close(), "close", net.ErrClosed)
		// The port is free again, on every shard.
		ln, err = b.server.Listen("tcp", "[::]:80")
		require.NoError(t, err)
		require.Equal(t, "0.0.0.0:80", ln.Addr().String())
		require.NoError(t, ln.Close())
	})
}

func TestAcceptDeadlineAndClose(t *testing.T) {
	b := newBed(t, setup{shards: 2})
	l, err := b.server.Listen("tcp", ":80")
	require.NoError(t, err)
	ln := l.(*netconn.Listener)
	require.NoError(t, ln.SetDeadline(time.Now().Add(10*time.Millisecond)))
	_, err = ln.Accept()
	opErr(t, err, "accept", os.ErrDeadlineExceeded)
	require.NoError(t, ln.SetDeadline(time.Time{}))
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			_, err := ln.Accept()
			errs <- err
		}()
	}
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, ln.Close())
	for range cap(errs) {
		opErr(t, <-errs, "accept", net.ErrClosed)
	}
	opErr(t, ln.SetDeadline(time.Now()), "set", net.ErrClosed)
}

// A closed listener refuses, and resets what nobody has accepted.
func TestListenerCloseResetsWhatWaits(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		ln, err := b.server.Listen("tcp", ":80")
		require.NoError(t, err)
		var cs []net.Conn
		for range 8 {
			c, err := b.client.Dial("tcp", "10.0.0.2:80")
			require.NoError(t, err)
			_, err = c.Write([]byte("hello?"))
			require.NoError(t, err)
			cs = append(cs, c)
		}
		accepted, err := ln.Accept()
		require.NoError(t, err)
		require.NoError(t, ln.Close())
		reset := 0
		for _, c := range cs {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
			if c.LocalAddr().String() == accepted.RemoteAddr().String() {
				_, err := accepted.Write([]byte("yes"))
				require.NoError(t, err)
				got := make([]byte, 3)
				_, err = io.ReadFull(c, got)
				require.NoError(t, err, "what was accepted goes on")
			} else {
				_, err := c.Read(make([]byte, 1))
				require.ErrorIs(t, err, syscall.ECONNRESET)
				reset++
			}
			require.NoError(t, c.Close())
		}
		require.Equal(t, 7, reset)
		require.NoError(t, accepted.Close())
		_, err = b.client.Dial("tcp", "10.0.0.2:80")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

// Connections that wait for Accept count against the backlog: the stack drops
// further SYNs, whose senders try again, until there is room.
func TestBacklogHoldsUntilAccept(t *testing.T) {
	const backlog, conns = 4, 12
	b := newBed(t, setup{
		net: netconn.Config{Backlog: backlog},
		stack: stack.Config{TCP: stack.TCPConfig{MinRTO: 5 * time.Millisecond, InitialRTO: 5 * time.Millisecond, SYNRetries: 20,
			SynCookies: stack.CookiesNever}},
	})
	ln, err := b.server.Listen("tcp", ":80")
	require.NoError(t, err)
	dialled := make(chan net.Conn, conns)
	for range conns {
		go func() {
			c, err := b.client.Dial("tcp", "10.0.0.2:80")
			if err != nil {
				t.Error(err)
			}
			dialled <- c
		}()
	}
	soon(t, func() bool { return len(dialled) == backlog }, "as many as the backlog")
	time.Sleep(30 * time.Millisecond)
	require.Len(t, dialled, backlog, "and no more")
	for range conns {
		s, err := ln.Accept()
		require.NoError(t, err)
		defer s.Close()
	}
	soon(t, func() bool { return len(dialled) == conns }, "all the others")
	require.Positive(t, statsOf(t, (<-dialled).(*netconn.TCPConn)).TCP.RetransSegs)
	require.NoError(t, ln.Close())
}
