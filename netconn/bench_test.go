package netconn_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/shard"
)

// pairs opens n connections between the two ends of a bed.
func pairs(t testing.TB, b *bed, n int) (client, server []net.Conn) {
	t.Helper()
	ln, err := b.server.Listen("tcp", ":0")
	require.NoError(t, err)
	defer ln.Close()
	at := net.JoinHostPort(serverIP.String(), fmt.Sprint(ln.Addr().(*net.TCPAddr).Port))
	for range n {
		c, err := b.client.Dial("tcp", at)
		require.NoError(t, err)
		s, err := ln.Accept()
		require.NoError(t, err)
		client, server = append(client, c), append(server, s)
		t.Cleanup(func() { c.Close(); s.Close() })
	}
	return client, server
}

// BenchmarkRequestResponse sends 64 bytes there and back, on some connections at
// a time.
func BenchmarkRequestResponse(b *testing.B) {
	for _, conns := range []int{1, 16, 128} {
		for _, mode := range []setup{{}, {threads: true}, {threads: true, idle: shard.Park}} {
			b.Run(fmt.Sprintf("conns=%d/%s", conns, mode), func(b *testing.B) {
				bd := newBed(b, mode)
				cs, ss := pairs(b, bd, conns)
				var wg sync.WaitGroup
				for _, s := range ss {
					wg.Go(func() {
						buf := make([]byte, 64)
						for {
							if _, err := io.ReadFull(s, buf); err != nil {
								return
							}
							if _, err := s.Write(buf); err != nil {
								return
							}
						}
					})
				}
				b.ReportAllocs()
				b.ResetTimer()
				var run sync.WaitGroup
				for i, c := range cs {
					n := b.N / conns
					if i < b.N%conns {
						n++
					}
					run.Go(func() {
						buf := make([]byte, 64)
						for range n {
							if _, err := c.Write(buf); err != nil {
								b.Error(err)
								return
							}
							if _, err := io.ReadFull(c, buf); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				run.Wait()
				b.StopTimer()
				for _, c := range cs {
					c.Close()
				}
				wg.Wait()
			})
		}
	}
}

// BenchmarkBulk sends in one direction, 64 KiB a Write.
func BenchmarkBulk(b *testing.B) {
	for i := range 4 {
		conns, mode := 1+7*(i/2), setup{threads: i%2 == 1, wire: mem.Config{Pause: true}}
		b.Run(fmt.Sprintf("conns=%d/%s", conns, mode), func(b *testing.B) {
			bd := newBed(b, mode)
			cs, ss := pairs(b, bd, conns)
			const block = 64 << 10
			b.SetBytes(block)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for _, s := range ss {
				wg.Go(func() {
					buf := make([]byte, block)
					for {
						if _, err := s.Read(buf); err != nil {
							return
						}
					}
				})
			}
			for i, c := range cs {
				n := b.N / conns
				if i < b.N%conns {
					n++
				}
				wg.Go(func() {
					buf := make([]byte, block)
					for range n {
						if _, err := c.Write(buf); err != nil {
							b.Error(err)
							return
						}
					}
					c.Close()
				})
			}
			wg.Wait()
		})
	}
}
