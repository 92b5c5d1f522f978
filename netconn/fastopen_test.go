package netconn_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// tcpStats are the counters of all shards of a bed's end.
func tcpStats(t testing.TB, g *shard.Group) (st stack.TCPStats) {
	t.Helper()
	var all stack.Stats
	for _, sh := range g.Shards() {
		require.NoError(t, sh.Call(func(s *shard.Shard) error {
			all.Add(s.Stack().Stats())
			return nil
		}))
	}
	return all.TCP
}

// echoFirst answers each connection with what it has sent, and closes.
func echoFirst(ln net.Listener, n int) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			b := make([]byte, n)
			if _, err := io.ReadFull(c, b); err == nil {
				_, _ = c.Write(b)
			}
			_ = c.Close()
		}()
	}
}

// TestDialFastOpen: each of the client's shards asks for a cookie once, which all of
// the server's take.
func TestDialFastOpen(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		const dials = 24
		b := newBed(t, base)
		ln, err := b.server.Listen("tcp", "10.0.0.2:80")
		require.NoError(t, err)
		require.NoError(t, ln.(*netconn.Listener).SetFastOpen(stack.FastOpen{Pending: 16}))
		first := []byte("GET / HTTP/1.0\r\n\r\n")
		done := make(chan struct{})
		go func() { echoFirst(ln, len(first)); close(done) }()
		inSyn := 0
		for range dials {
			c, err := b.client.DialFastOpen(context.Background(), "tcp", "10.0.0.2:80", first)
			require.NoError(t, err)
			i, err := c.(*netconn.TCPConn).Info()
			require.NoError(t, err)
			if i.SynData {
				inSyn++
			}
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Equal(t, first, got)
			require.NoError(t, c.Close())
		}
		require.NoError(t, ln.Close())
		<-done
		asked := min(base.shards, dials)
		require.Equal(t, dials-asked, inSyn)
		client, server := tcpStats(t, b.groups[0]), tcpStats(t, b.groups[1])
		require.EqualValues(t, asked, server.FastOpenCookieReqs)
		require.EqualValues(t, asked, client.FastOpenCookiesRecv)
		require.EqualValues(t, inSyn, client.FastOpenActive)
		require.EqualValues(t, inSyn, server.FastOpenPassive)
		require.Zero(t, server.FastOpenPassiveFail+client.FastOpenActiveFail)
	})
}

// TestDialFastOpen_Much: of more than a segment the rest follows, in order.
func TestDialFastOpen_Much(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		ln, err := b.server.Listen("tcp", "10.0.0.2:80")
		require.NoError(t, err)
		require.NoError(t, ln.(*netconn.Listener).SetFastOpen(stack.FastOpen{Pending: 16}))
		data := make([]byte, 1<<20)
		for i := range data {
			data[i] = byte(i) ^ byte(i>>8)
		}
		for range 4 {
			got := make(chan []byte, 1)
			go func() {
				c, err := ln.Accept()
				if err != nil {
					close(got)
					return
				}
				all, _ := io.ReadAll(c)
				got <- all
				_ = c.Close()
			}()
			c, err := b.client.DialFastOpen(context.Background(), "tcp", "10.0.0.2:80", data)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.True(t, bytes.Equal(data, <-got))
		}
		require.NoError(t, ln.Close())
		require.NotZero(t, tcpStats(t, b.groups[1]).FastOpenPassive)
	})
}

// TestFastOpen_Config: listeners and keys as the configuration has them, and keys
// that change.
func TestFastOpen_Config(t *testing.T) {
	base := setup{shards: 2}
	base.stack.TCP.FastOpen.Pending = -1
	b := newBed(t, base)
	key := stack.FastOpenKey{1, 2, 3}
	require.NoError(t, b.server.SetFastOpenKeys(key))
	ln, err := b.server.Listen("tcp", "10.0.0.2:80")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { echoFirst(ln, 5); close(done) }()
	dial := func() {
		c, err := b.client.DialFastOpen(context.Background(), "tcp", "10.0.0.2:80", []byte("hello"))
		require.NoError(t, err)
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
		require.NoError(t, c.Close())
	}
	for range 4 {
		dial()
	}
	require.EqualValues(t, 2, tcpStats(t, b.groups[1]).FastOpenPassive)
	// Another key, with the one before: who has a cookie of that gets a new one.
	require.NoError(t, b.server.SetFastOpenKeys(stack.FastOpenKey{4}, key))
	for range 4 {
		dial()
	}
	server := tcpStats(t, b.groups[1])
	require.EqualValues(t, 2, server.FastOpenOldKey)
	require.EqualValues(t, 6, server.FastOpenPassive)
	require.NoError(t, ln.Close())
	<-done
	require.ErrorIs(t, ln.(*netconn.Listener).SetFastOpen(stack.FastOpen{}), net.ErrClosed)
	opErr(t, b.server.SetFastOpenKeys(key, key, key), "set", syscall.EINVAL)
}

func TestDialFastOpen_Errors(t *testing.T) {
	b := newBed(t, setup{})
	_, err := b.client.DialFastOpen(context.Background(), "tcp", "10.0.0.2:81", []byte("x"))
	opErr(t, err, "dial", syscall.ECONNREFUSED)
	_, err = b.client.DialFastOpen(context.Background(), "udp", "10.0.0.2:81", nil)
	require.ErrorIs(t, err, net.UnknownNetworkError("udp"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = b.client.DialFastOpen(ctx, "tcp", "10.0.0.2:81", []byte("x"))
	require.ErrorIs(t, err, context.Canceled)
	// A peer that takes nothing holds up what is to be written, until the context ends.
	ln, err := b.server.Listen("tcp", "10.0.0.2:82")
	require.NoError(t, err)
	defer ln.Close()
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = b.client.DialFastOpen(ctx, "tcp", "10.0.0.2:82", make([]byte, 64<<20))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
