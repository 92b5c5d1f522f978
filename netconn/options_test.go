package netconn_test

import (
	"bytes"
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

// congestionOf is the name of a connection's congestion control.
func congestionOf(t testing.TB, c *netconn.TCPConn) (name string) {
	t.Helper()
	require.NoError(t, c.Lane().Call(func(s *shard.Shard) error {
		s.Stack().EachTCP(func(p *stack.TCP) {
			if p.RemoteAddr().String() == c.RemoteAddr().String() && p.LocalAddr().String() == c.LocalAddr().String() {
				name = p.CongestionControl()
			}
		})
		return nil
	}))
	return name
}

// TestOptions_BeforeOpening: what a Dialer and a ListenConfig ask for, their
// connections have.
func TestOptions_BeforeOpening(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		lc := netconn.ListenConfig{Net: b.server, TCP: netconn.TCPOptions{
			MSS: 1000, InitialWindow: 3, ReadBuffer: 50_000, WriteBuffer: 30_000, Congestion: "reno", UserTimeout: time.Minute, Meter: true}}
		ln, err := lc.Listen("tcp", ":80")
		require.NoError(t, err)
		defer ln.Close()
		d := netconn.Dialer{Net: b.client, TCP: netconn.TCPOptions{
			MSS: 1200, InitialWindow: 4, ReadBuffer: 40_000, WriteBuffer: 20_000, Congestion: "bbr", MaxPacingRate: 1 << 30, DSCP: 10, TTL: 9,
			UserTimeout: -1, Retries: 3, SYNRetries: 2, KeepAlive: net.KeepAliveConfig{Enable: true, Idle: time.Minute}}}
		nc, err := d.Dial("tcp", "10.0.0.2:80")
		require.NoError(t, err)
		c := nc.(*netconn.TCPConn)
		defer c.Close()
		ns, err := ln.Accept()
		require.NoError(t, err)
		s := ns.(*netconn.TCPConn)
		defer s.Close()

		ci, si := info(t, c), info(t, s)
		require.Equal(t, []int{988, 988}, []int{ci.MSS, si.MSS}, "the server's, less timestamps")
		require.Equal(t, 1200, ci.AdvMSS)
		require.Equal(t, 1000, si.AdvMSS)
		require.Equal(t, []uint32{40_000, 20_000}, []uint32{ci.RcvBuf, ci.SndBuf})
		require.Equal(t, []uint32{50_000, 30_000}, []uint32{si.RcvBuf, si.SndBuf})
		require.Equal(t, uint32(3*988), si.Cwnd)
		require.Equal(t, []string{"bbr", "reno"}, []string{congestionOf(t, c), congestionOf(t, s)})
		require.Equal(t, uint64(1<<30), ci.MaxPacingRate)
		require.Equal(t, []time.Duration{0, time.Minute}, []time.Duration{ci.UserTimeout, si.UserTimeout})
		require.NotZero(t, si.SegsIn)
		require.Zero(t, ci.SegsIn)

		for _, o := range []netconn.TCPOptions{{MSS: 1}, {InitialWindow: 1001}, {ReadBuffer: 1}, {WriteBuffer: 1}, {Congestion: "?"}, {DSCP: 64}, {Retries: 256}} {
			d.TCP = o
			_, err = d.Dial("tcp", "10.0.0.2:80")
			opErr(t, err, "dial", syscall.EINVAL)
			lc.TCP = o
			_, err = lc.Listen("tcp", ":81")
			opErr(t, err, "listen", syscall.EINVAL)
		}
	})
}

// TestSetBuffers: buffers of an open connection grow, and a writer that waits goes on
// for it.
func TestSetBuffers(t *testing.T) {
	b := newBed(t, setup{})
	d := netconn.Dialer{Net: b.client, TCP: netconn.TCPOptions{WriteBuffer: 10_000}}
	lc := netconn.ListenConfig{Net: b.server, TCP: netconn.TCPOptions{ReadBuffer: 5_000}}
	ln, err := lc.Listen("tcp", ":80")
	require.NoError(t, err)
	defer ln.Close()
	nc, err := d.Dial("tcp", "10.0.0.2:80")
	require.NoError(t, err)
	c := nc.(*netconn.TCPConn)
	defer c.Close()
	ns, err := ln.Accept()
	require.NoError(t, err)
	s := ns.(*netconn.TCPConn)
	defer s.Close()

	// The peer reads nothing: 5,000 bytes arrive, 10,000 more wait.
	data := bytes.Repeat([]byte("shard"), 8_000)
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		wrote <- err
	}()
	soon(t, func() bool { i := info(t, c); return i.BytesAcked >= 4_000 && i.Unsent > 4_000 }, "a full window")
	select {
	case err := <-wrote:
		require.Fail(t, "it fits already", err)
	case <-time.After(20 * time.Millisecond):
	}
	require.NoError(t, c.SetWriteBuffer(100_000))
	require.NoError(t, <-wrote)
	require.Equal(t, uint32(100_000), info(t, c).SndBuf)
	// Now the window grows, and the rest arrives, still unread.
	require.NoError(t, s.SetReadBuffer(60_000))
	require.Equal(t, uint32(60_000), info(t, s).RcvBuf)
	soon(t, func() bool { return info(t, c).BytesAcked == uint64(len(data)) }, "all of it")
	got := make([]byte, len(data))
	_, err = io.ReadFull(s, got)
	require.NoError(t, err)
	require.Equal(t, data, got)

	opErr(t, c.SetWriteBuffer(1_000), "set", syscall.EINVAL)
	opErr(t, s.SetReadBuffer(1_000), "set", syscall.EINVAL)
	opErr(t, s.SetReadBuffer(-1), "set", syscall.EINVAL)
	require.NoError(t, c.SetCongestionControl("dctcp"))
	require.Equal(t, "dctcp", congestionOf(t, c))
	opErr(t, c.SetCongestionControl("none"), "set", syscall.EINVAL)
	require.NoError(t, c.SetMaxPacingRate(1<<20))
	require.Equal(t, uint64(1<<20), info(t, c).PacingRate)
	require.NoError(t, c.SetMeter(true))
	require.Equal(t, 536, info(t, c).RcvMSS)
	require.NoError(t, c.SetMeter(false))
	require.Zero(t, info(t, c).RcvMSS)
}

// TestLingerTimed: what the peer does not take within the time is discarded, and the
// connection reset; what it takes arrives, with the end behind it.
func TestLingerTimed(t *testing.T) {
	for name, reads := range map[string]bool{"the peer reads": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, setup{})
			lc := netconn.ListenConfig{Net: b.server, TCP: netconn.TCPOptions{ReadBuffer: 5_000}}
			ln, err := lc.Listen("tcp", ":80")
			require.NoError(t, err)
			defer ln.Close()
			nc, err := b.client.Dial("tcp", "10.0.0.2:80")
			require.NoError(t, err)
			c := nc.(*netconn.TCPConn)
			s, err := ln.Accept()
			require.NoError(t, err)
			defer s.Close()
			data := make([]byte, 50_000)
			_, err = c.Write(data)
			require.NoError(t, err)
			require.NoError(t, c.SetLinger(1))
			begun := time.Now()
			require.NoError(t, c.Close())
			if reads {
				got, err := io.ReadAll(s)
				require.NoError(t, err)
				require.Len(t, got, len(data))
				return
			}
			resets := func() uint64 {
				var n uint64
				require.NoError(t, s.(*netconn.TCPConn).Lane().Call(func(sh *shard.Shard) error {
					n = sh.Stack().Stats().TCP.EstabResets
					return nil
				}))
				return n
			}
			soon(t, func() bool { return resets() != 0 }, "the reset")
			took := time.Since(begun)
			require.GreaterOrEqual(t, took, 990*time.Millisecond)
			_, err = io.ReadAll(s)
			opErr(t, err, "read", syscall.ECONNRESET)
		})
	}
}
