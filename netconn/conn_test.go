package netconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/stack"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// onePair opens one connection.
func onePair(t testing.TB, b *bed) (client, server *netconn.TCPConn) {
	t.Helper()
	cs, ss := pairs(t, b, 1)
	return cs[0].(*netconn.TCPConn), ss[0].(*netconn.TCPConn)
}

// soon waits until cond holds.
func soon(t testing.TB, cond func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			require.Fail(t, "waited in vain: "+what)
		}
	}
}

// opErr checks the form of an error.
func opErr(t *testing.T, err error, op string, want error) {
	t.Helper()
	require.ErrorIs(t, err, want)
	var oe *net.OpError
	require.ErrorAs(t, err, &oe)
	require.Equal(t, op, oe.Op)
}

func TestConnAddresses(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		c, s := onePair(t, newBed(t, base))
		require.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
		require.Equal(t, c.RemoteAddr().String(), s.LocalAddr().String())
		require.IsType(t, (*net.TCPAddr)(nil), c.LocalAddr())
		require.Equal(t, "tcp", c.RemoteAddr().Network())
		require.Less(t, c.Shard(), base.shards)
	})
}

func TestHalfClose(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		c, s := onePair(t, newBed(t, base))
		_, err := c.Write([]byte("question"))
		require.NoError(t, err)
		require.NoError(t, c.CloseWrite())
		require.NoError(t, c.CloseWrite(), "a second time does nothing")
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "question", string(got))
		_, err = c.Write([]byte("more"))
		opErr(t, err, "write", syscall.EPIPE)

		answer := random(300_000, 1) // more than a window
		go func() {
			_, _ = s.Write(answer)
			_ = s.Close()
		}()
		got, err = io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, answer, got)
		n, err := c.Read(make([]byte, 1))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err, "bare, and again and again")
	})
}

func TestCloseReadDiscards(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	_, err := s.Write([]byte("unread"))
	require.NoError(t, err)
	buf := make([]byte, 2)
	_, err = io.ReadFull(c, buf)
	require.NoError(t, err)
	require.NoError(t, c.CloseRead())
	_, err = c.Read(buf)
	require.Equal(t, io.EOF, err)
	// The window stays open: much more than a window goes through.
	_, err = s.Write(make([]byte, 3<<20))
	require.NoError(t, err)
	_, err = c.Write([]byte("still writing"))
	require.NoError(t, err)
	buf = make([]byte, 100)
	n, err := s.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "still writing", string(buf[:n]))
}

func TestCloseReadEndsBlockedRead(t *testing.T) {
	c, _ := onePair(t, newBed(t, setup{}))
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	time.Sleep(5 * time.Millisecond)
	require.NoError(t, c.CloseRead())
	require.Equal(t, io.EOF, <-done)
}

func TestCloseSendsWhatWasWritten(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		c, s := onePair(t, newBed(t, base))
		want := random(200_000, 2) // fits the send buffer, not the first window
		_, err := c.Write(want)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestCloseEndsEverything(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	errs := make(chan error, 2)
	go func() {
		_, err := c.Read(make([]byte, 1))
		errs <- err
	}()
	go func() {
		_, err := c.Write(make([]byte, 4<<20)) // nobody reads
		errs <- err
	}()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, c.Close())
	for range 2 {
		require.ErrorIs(t, <-errs, net.ErrClosed)
	}
	opErr(t, c.Close(), "close", net.ErrClosed)
	opErr(t, c.CloseRead(), "close", net.ErrClosed)
	opErr(t, c.CloseWrite(), "close", net.ErrClosed)
	opErr(t, c.SetDeadline(time.Now()), "set", net.ErrClosed)
	opErr(t, c.SetNoDelay(true), "set", net.ErrClosed)
	_, err := c.Read(nil)
	opErr(t, err, "read", net.ErrClosed)
	_, err = c.Write(nil)
	opErr(t, err, "write", net.ErrClosed)
	_, err = c.Info()
	opErr(t, err, "get", net.ErrClosed)
	_ = s
}

// RFC 1122 4.2.2.13: a close with unread data is a reset.
func TestRFC1122_4_2_2_13_UnreadDataMakesCloseAReset(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	n, err := c.Write([]byte("never read"))
	require.NoError(t, err)
	soon(t, func() bool { return info(t, s).BytesReceived == uint64(n) }, "data arrives")
	require.NoError(t, s.Close())
	_, err = c.Read(make([]byte, 1))
	opErr(t, err, "read", syscall.ECONNRESET)
	_, err = c.Write([]byte("x"))
	opErr(t, err, "write", syscall.ECONNRESET)
}

// RFC 1122 4.2.2.13: so is data that comes after the close.
func TestRFC1122_4_2_2_13_DataAfterCloseIsReset(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	require.NoError(t, s.Close())
	_, err := c.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	soon(t, func() bool {
		_, err := c.Write([]byte("anybody there?"))
		return errors.Is(err, syscall.ECONNRESET)
	}, "reset")
}

func TestLingerZeroResets(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	require.NoError(t, c.SetLinger(0))
	require.NoError(t, c.Close())
	_, err := s.Read(make([]byte, 1))
	opErr(t, err, "read", syscall.ECONNRESET)
	require.True(t, strings.Contains(err.Error(), "connection reset by peer"), err)
}

// What came before a reset is still read.
func TestDataBeforeResetIsRead(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	_, err := c.Write([]byte("last words"))
	require.NoError(t, err)
	soon(t, func() bool { return info(t, c).Unacked == 0 }, "acknowledgement")
	require.NoError(t, c.SetLinger(0))
	require.NoError(t, c.Close())
	time.Sleep(5 * time.Millisecond)
	got := make([]byte, 10)
	_, err = io.ReadFull(s, got)
	require.NoError(t, err)
	require.Equal(t, "last words", string(got))
	_, err = s.Read(got)
	opErr(t, err, "read", syscall.ECONNRESET)
}

func TestDeadlines(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	buf := make([]byte, 10)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := c.Read(buf)
	opErr(t, err, "read", os.ErrDeadlineExceeded)
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout())
	// It stays, also for data that is there.
	_, err = s.Write([]byte("x"))
	require.NoError(t, err)
	_, err = c.Read(buf)
	opErr(t, err, "read", os.ErrDeadlineExceeded)
	// Taken back, moved later, moved earlier.
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	n, err := c.Read(buf)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(buf)
		done <- err
	}()
	select {
	case err := <-done:
		require.Fail(t, "the moved deadline fired", err)
	case <-time.After(60 * time.Millisecond):
	}
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	opErr(t, <-done, "read", os.ErrDeadlineExceeded)

	require.NoError(t, c.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	n, err = c.Write(make([]byte, 8<<20)) // nobody reads
	opErr(t, err, "write", os.ErrDeadlineExceeded)
	require.Less(t, n, 8<<20, "it tells how much was written")
	require.NoError(t, c.SetDeadline(time.Time{}))
	go func() { _, _ = io.Copy(io.Discard, s) }()
	_, err = c.Write([]byte("again"))
	require.NoError(t, err)
}

func TestEmptyReadAndWrite(t *testing.T) {
	c, _ := onePair(t, newBed(t, setup{}))
	n, err := c.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = c.Write(nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func info(t testing.TB, c *netconn.TCPConn) stack.TCPInfo {
	t.Helper()
	i, err := c.Info()
	require.NoError(t, err)
	return i
}

func TestOptions(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	require.Equal(t, stack.StateEstablished, info(t, c).State)
	require.NoError(t, c.SetNoDelay(false))
	require.NoError(t, c.SetNoDelay(true))
	require.NoError(t, c.SetKeepAlive(true))
	require.NoError(t, c.SetKeepAlive(false))
	require.NoError(t, c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute}))
	require.NoError(t, c.SetKeepAlivePeriod(5*time.Millisecond))
	probes := func() (n uint64) { return statsOf(t, c).TCP.KeepaliveProbes }
	soon(t, func() bool { return probes() > 2 }, "keepalive probes")
	require.NoError(t, s.Close())
}

func TestOptionsOfTheStack(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	require.NoError(t, c.SetUserTimeout(9*time.Second))
	require.Equal(t, 9*time.Second, info(t, c).UserTimeout)
	require.NoError(t, c.SetAckPolicy(stack.AckPolicy{Every: 4, Delay: 7 * time.Millisecond}))
	require.Equal(t, 7*time.Millisecond, info(t, c).ATO)
	require.ErrorIs(t, c.SetAckPolicy(stack.AckPolicy{Every: 1000}), syscall.EINVAL)
	require.NoError(t, c.SetQuickAck(true))
	require.NoError(t, c.SetDSCP(46))
	require.ErrorIs(t, c.SetDSCP(64), syscall.EINVAL)
	require.NoError(t, c.SetTTL(9))
	require.NoError(t, c.SetRetries(3, 3))
	require.ErrorIs(t, c.SetRetries(300, 3), syscall.EINVAL)
	require.NoError(t, c.SetRTO(3*time.Second, 2*time.Second, 0))
	require.GreaterOrEqual(t, info(t, c).RTO, 2*time.Second)
	require.NoError(t, c.SetTimeWait(0))
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.SetDSCP(1), net.ErrClosed)
	require.NoError(t, s.Close())
}

// Goroutines that write to one connection do not mix their bytes.
func TestConcurrentWritesStayWhole(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		c, s := onePair(t, newBed(t, base))
		const writers, block, blocks = 8, 20_000, 10
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				b := make([]byte, block)
				for j := range b {
					b[j] = byte(i)
				}
				for range blocks {
					if _, err := c.Write(b); err != nil {
						t.Error(err)
					}
				}
			})
		}
		go func() {
			wg.Wait()
			c.Close()
		}()
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Len(t, got, writers*block*blocks)
		for len(got) > 0 {
			require.Equal(t, block, bytes.Count(got[:block], got[:1]))
			got = got[block:]
		}
	})
}

// Neither Read nor Write allocates once warm.
func TestReadAndWriteAllocateNothing(t *testing.T) {
	c, s := onePair(t, newBed(t, setup{}))
	go func() { _, _ = io.Copy(struct{ io.Writer }{s}, struct{ io.Reader }{s}) }()
	small, large := make([]byte, 64), make([]byte, 64<<10)
	exchange := func() {
		for _, b := range [][]byte{small, large} {
			if _, err := c.Write(b); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(c, b); err != nil {
				t.Error(err)
			}
		}
	}
	for range 20 {
		exchange()
	}
	if n := testing.AllocsPerRun(200, exchange); !instrumented {
		require.Zero(t, n)
	}
}
