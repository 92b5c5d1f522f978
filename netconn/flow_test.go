package netconn_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/stack"
)

// A reader that does not read closes the window, and the writer waits; when it
// reads, all of it comes.
func TestSlowReaderStopsWriter(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		const buf = 64 << 10
		base.stack = stack.Config{TCP: stack.TCPConfig{RecvBuf: buf, SendBuf: buf}}
		c, s := onePair(t, newBed(t, base))
		want := random(1<<20, 3)
		var written atomic.Int64
		done := make(chan error, 1)
		go func() {
			for b := want; len(b) > 0; {
				n, err := c.Write(b[:min(len(b), 10_000)])
				written.Add(int64(n))
				if err != nil {
					done <- err
					return
				}
				b = b[n:]
			}
			done <- c.Close()
		}()
		soon(t, func() bool { return info(t, c).SndWnd < 1500 }, "closed window")
		soon(t, func() bool {
			before := written.Load()
			time.Sleep(20 * time.Millisecond)
			return written.Load() == before
		}, "writer stops")
		require.LessOrEqual(t, written.Load(), int64(2*buf+10_000))
		require.GreaterOrEqual(t, written.Load(), int64(buf))
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		require.NoError(t, <-done)
	})
}

// Readers that hold more of a shard's buffers than it can spare have their data
// moved to the heap: the others go on.
func TestUnreadDataDoesNotStarveTheShard(t *testing.T) {
	b := newBed(t, setup{pool: pbuf.Config{Small: 2048, Buffers: 2048 + 512}})
	cs, ss := pairs(t, b, 12)
	want := random(200_000, 4)
	for _, c := range cs[1:] { // 1,500 buffers, read by nobody
		_, err := c.Write(want)
		require.NoError(t, err)
	}
	go func() { _, _ = io.Copy(ss[0], ss[0]) }()
	for range 100 {
		_, err := cs[0].Write(want[:1000])
		require.NoError(t, err)
		_, err = io.ReadFull(cs[0], make([]byte, 1000))
		require.NoError(t, err)
	}
	for _, c := range cs[1:] {
		require.NoError(t, c.(*netconn.TCPConn).CloseWrite())
	}
	for _, s := range ss[1:] {
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
	}
}

// transfer sends n random bytes both ways at once on each pair and compares
// what arrives by hash.
func transfer(t *testing.T, cs, ss []net.Conn, n int) {
	t.Helper()
	var wg sync.WaitGroup
	one := func(from, to net.Conn, seed uint64) {
		sent := make(chan [32]byte, 1)
		wg.Go(func() {
			b := random(n, seed)
			sent <- sha256.Sum256(b)
			for i := 1; len(b) > 0; i = i*3%70_001 + 1 { // writes of all sizes
				k := min(i, len(b))
				if _, err := from.Write(b[:k]); err != nil {
					t.Error(err)
					return
				}
				b = b[k:]
			}
			if err := from.(*netconn.TCPConn).CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			h := sha256.New()
			got, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{to}, make([]byte, 1+int(seed*7919)%100_000))
			if want := <-sent; err != nil || got != int64(n) || !bytes.Equal(h.Sum(nil), want[:]) {
				t.Errorf("%d bytes of %d, %v, or another hash", got, n, err)
			}
		})
	}
	for i := range cs {
		one(cs[i], ss[i], uint64(2*i+1))
		one(ss[i], cs[i], uint64(2*i+2))
	}
	wg.Wait()
}

func TestBulkBothWays(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		cs, ss := pairs(t, newBed(t, base), 6)
		transfer(t, cs, ss, 4<<20)
	})
}

func TestBulkOverABadWire(t *testing.T) {
	bad := mem.Impairment{Seed: 7, Loss: 0.01, Duplicate: 0.01, Reorder: 0.01, ReorderBy: 200 * time.Microsecond}
	s := setup{wire: mem.Config{AtoB: bad, BtoA: bad}, stack: stack.Config{TCP: stack.TCPConfig{
		MinRTO: 5 * time.Millisecond, InitialRTO: 5 * time.Millisecond}}}
	cs, ss := pairs(t, newBed(t, s), 3)
	transfer(t, cs, ss, 500_000)
}

// Segments longer than a buffer become chains, on the way out and in.
func TestBulkWithJumboFrames(t *testing.T) {
	s := setup{wire: mem.Config{A: mem.EndConfig{MTU: 9000}, B: mem.EndConfig{MTU: 9000}}}
	cs, ss := pairs(t, newBed(t, s), 2)
	transfer(t, cs, ss, 2<<20)
}

// Nothing gets stuck when everything is as small as it may be: rings fill, the
// pool of what is written runs out.
func TestBulkThroughTinyRingsAndPool(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		s := base
		s.net = netconn.Config{Ring: 64, Pool: pbuf.Config{Small: 8, Buffers: 16}}
		cs, ss := pairs(t, newBed(t, s), 6)
		transfer(t, cs, ss, 300_000)
	})
}

// Connections whose peers do not read must not keep the others from writing,
// though all share a pool.
func TestStalledWritersLeaveBuffersToOthers(t *testing.T) {
	b := newBed(t, setup{
		net:   netconn.Config{Pool: pbuf.Config{Small: 256, Buffers: 256}},
		stack: stack.Config{TCP: stack.TCPConfig{RecvBuf: 16 << 10}},
	})
	cs, ss := pairs(t, b, 6)
	for _, c := range cs[1:] {
		go func() { _, _ = c.Write(make([]byte, 8<<20)) }() // until Close
	}
	time.Sleep(20 * time.Millisecond)
	transfer(t, cs[:1], ss[:1], 1<<20)
	for _, c := range cs {
		require.NoError(t, c.Close())
	}
}
