package netconn_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// busy opens everything there is and leaves it in the middle of things: data
// unread, data unsent, goroutines blocked in every operation. It returns a
// channel on which each of these tells its error, and how many there are.
func busy(t *testing.T, b *bed) (errs chan error, n int) {
	t.Helper()
	errs = make(chan error, 16)
	start := func(fn func() error) {
		n++
		go func() { errs <- fn() }()
	}
	cs, ss := pairs(t, b, 8)
	for i := range cs {
		_, err := cs[i].Write(random(10_000, 1))
		require.NoError(t, err)
		_, err = ss[i].Write(random(10_000, 1))
		require.NoError(t, err)
	}
	_, err := io.ReadFull(ss[0], make([]byte, 5_000)) // in the middle of a buffer
	require.NoError(t, err)
	start(func() error { _, err := ss[1].Write(make([]byte, 8<<20)); return err })
	quiet, other := onePair(t, b)
	start(func() error { _, err := other.Read(make([]byte, 1)); return err })
	_ = quiet
	ln, err := b.server.Listen("tcp", ":8080")
	require.NoError(t, err)
	start(func() error { _, err := ln.Accept(); return err })
	ln2, err := b.server.Listen("tcp", ":8081") // with connections that nobody accepts
	require.NoError(t, err)
	_ = ln2
	for range 4 {
		c, err := b.client.Dial("tcp", "10.0.0.2:8081")
		require.NoError(t, err)
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
	}
	start(func() error { _, err := b.server.Dial("tcp", "10.0.0.99:1"); return err })
	pc, err := b.server.ListenPacket("udp", ":9")
	require.NoError(t, err)
	u, err := b.client.Dial("udp", "10.0.0.2:9")
	require.NoError(t, err)
	for range 20 {
		_, err = u.Write(make([]byte, 100))
		require.NoError(t, err)
	}
	_, _, err = pc.ReadFrom(make([]byte, 100))
	require.NoError(t, err)
	pc2, err := b.server.ListenPacket("udp", ":10")
	require.NoError(t, err)
	start(func() error { _, _, err := pc2.ReadFrom(nil); return err })
	// Closed, with much still to send to a reader who does not read.
	require.NoError(t, ss[2].Close())
	require.NoError(t, cs[3].Close())
	time.Sleep(5 * time.Millisecond)
	return errs, n
}

// Close ends everything in the middle of things and brings every buffer home.
func TestNetCloseInTheMiddle(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		errs, n := busy(t, b)
		require.NoError(t, b.server.Close())
		for range n {
			require.ErrorIs(t, <-errs, net.ErrClosed)
		}
		require.NoError(t, b.server.Close(), "again")
		_, err := b.server.Dial("tcp", "10.0.0.1:1")
		opErr(t, err, "dial", net.ErrClosed)
		_, err = b.server.Dial("udp", "10.0.0.1:1")
		opErr(t, err, "dial", net.ErrClosed)
		_, err = b.server.Listen("tcp", ":1")
		opErr(t, err, "listen", net.ErrClosed)
		_, err = b.server.ListenPacket("udp", ":1")
		opErr(t, err, "listen", net.ErrClosed)
		// The group can have another one.
		again, err := netconn.New(b.groups[1], netconn.Config{})
		require.NoError(t, err)
		ln, err := again.Listen("tcp", ":8080")
		require.NoError(t, err)
		require.NoError(t, ln.Close())
		require.NoError(t, again.Close())
	})
}

// A group that stops first ends the connections, without a leak.
func TestGroupStopsInTheMiddle(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed(t, base)
		errs, n := busy(t, b)
		require.NoError(t, b.groups[1].Stop(), "every buffer of the base.shards comes home")
		for range n {
			require.ErrorIs(t, <-errs, shard.ErrStopped)
		}
		_, err := b.server.Dial("tcp", "10.0.0.1:1")
		opErr(t, err, "dial", shard.ErrStopped)
		_, err = b.server.Listen("tcp", ":1")
		opErr(t, err, "listen", shard.ErrStopped)
		require.NoError(t, b.server.Close())
	})
}

// A panic on a shard's thread fails everything with what it was.
func TestPanicReachesApplications(t *testing.T) {
	a, peer, err := mem.New(mem.Config{})
	require.NoError(t, err)
	defer peer.Close()
	g, err := shard.NewGroup(shard.Config{NoPin: true, Ports: []shard.PortConfig{
		{Port: a, Addrs: []netip.Prefix{netip.PrefixFrom(serverIP, 24)}}}})
	require.NoError(t, err)
	require.NoError(t, g.Start())
	n, err := netconn.New(g, netconn.Config{})
	require.NoError(t, err)
	c, s := onePair(t, &bed{client: n, server: n}) // over the stack's own loop
	errs := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		errs <- err
	}()
	boom := errors.New("boom")
	require.NoError(t, g.Shards()[0].Do(func(*shard.Shard) { panic(boom) }))
	require.ErrorIs(t, <-errs, boom)
	_, err = s.Write([]byte("x"))
	require.ErrorIs(t, err, boom)
	require.ErrorIs(t, g.Stop(), boom)
	require.NoError(t, n.Close())
	_, err = netconn.New(g, netconn.Config{})
	require.ErrorIs(t, err, shard.ErrStopped)
}

// Two Nets share a group and its addresses.
func TestTwoNetsOnOneGroup(t *testing.T) {
	b := newBed(t, setup{})
	other, err := netconn.New(b.groups[1], netconn.Config{})
	require.NoError(t, err)
	for i, n := range []*netconn.Net{b.server, other} {
		require.Equal(t, b.groups[1], n.Group())
		cs, ss := pairs(t, &bed{client: b.client, server: n}, 2)
		transfer(t, cs, ss, 100_000)
		_, err := n.Listen("tcp", ":80")
		if i == 0 {
			require.NoError(t, err)
		} else {
			require.Error(t, err, "the other one has it")
		}
	}
	require.NoError(t, other.Close())
}

// A connection that is closed goes on sending only as long as the peer takes
// some of it.
func TestLingerGivesUp(t *testing.T) {
	b := newBed(t, setup{
		net:   netconn.Config{Linger: 20 * time.Millisecond},
		stack: stack.Config{TCP: stack.TCPConfig{RecvBuf: 16 << 10}},
	})
	c, s := onePair(t, b)
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := c.Write(make([]byte, 1<<20))
	require.Error(t, err)
	require.NoError(t, c.Close())
	soon(t, func() bool { return b.groups[0].Shards()[0].Call(noConnections) == nil }, "reset")
	got, err := io.ReadAll(s)
	require.Error(t, err)
	require.NotEmpty(t, got)
}

func noConnections(s *shard.Shard) error {
	if s.Connections() != 0 {
		return errors.New("there are some")
	}
	return nil
}

func TestConfigValidate(t *testing.T) {
	b := newBed(t, setup{})
	for name, c := range map[string]netconn.Config{
		"Ring":         {Ring: 100},
		"small Ring":   {Ring: 32},
		"Backlog":      {Backlog: -1},
		"Datagrams":    {Datagrams: -1},
		"Linger":       {Linger: -1},
		"CloseTimeout": {CloseTimeout: -1},
		"Buffers":      {Pool: pbuf.Config{Buffers: -1}},
		"Pool":         {Pool: pbuf.Config{DataRoom: 1}},
	} {
		_, err := netconn.New(b.groups[0], c)
		require.ErrorIs(t, err, netconn.ErrConfig, name)
	}
	require.NoError(t, new(netconn.Config).Validate())
}
