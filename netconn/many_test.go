package netconn_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/stack"
)

// Thousands of connections are opened, used and closed, from either end, many
// at a time. The bed checks that every buffer comes home.
func TestThousandsOfConnections(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		const workers, each = 32, 80
		b := newBed(t, setup{shards: base.shards, stack: stack.Config{TCP: stack.TCPConfig{TimeWait: 20 * time.Millisecond}}})
		ln, err := b.server.Listen("tcp", ":80")
		require.NoError(t, err)
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					buf := make([]byte, 100)
					n, err := io.ReadFull(c, buf[:1])
					if err != nil {
						return
					}
					if buf[0]%2 == 0 { // we close first
						_, _ = c.Write(buf[:n])
						return
					}
					_, _ = io.Copy(c, c)
				}()
			}
		}()
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range each {
					if err := visit(b.client, byte(w+i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, ln.Close())
	})
}

func visit(n *netconn.Net, k byte) error {
	c, err := n.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte{k}); err != nil {
		return err
	}
	if k%2 == 0 {
		_, err = io.ReadAll(c)
		return err
	}
	if err := c.(*netconn.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

// Many connections are open at a time, most of them idle.
func TestManyIdleConnections(t *testing.T) {
	const conns = 3000
	b := newBed(t, setup{shards: 2, net: netconn.Config{Backlog: conns}})
	cs, ss := pairs(t, b, conns)
	blocked := make(chan error, conns)
	for _, s := range ss {
		go func() {
			_, err := io.Copy(s, s)
			blocked <- err
		}()
	}
	for i := 0; i < conns; i += 100 {
		_, err := cs[i].Write([]byte("ping"))
		require.NoError(t, err)
		_, err = io.ReadFull(cs[i], make([]byte, 4))
		require.NoError(t, err)
	}
	for _, c := range cs {
		require.NoError(t, c.Close())
	}
	for range ss {
		require.NoError(t, <-blocked)
	}
	for _, s := range ss {
		require.NoError(t, s.Close())
	}
	require.ErrorIs(t, ss[0].Close(), net.ErrClosed)
}
