package netconn_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHello(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		b := newBed(t, setup{shards: shards})
		ln, err := b.server.Listen("tcp", ":80")
		require.NoError(t, err)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}()
		c, err := b.client.Dial("tcp", "10.0.0.2:80")
		require.NoError(t, err)
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "hello", string(buf[:n]))
		require.NoError(t, c.Close())
		require.NoError(t, ln.Close())
	})
}
