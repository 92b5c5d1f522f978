package netconn_test

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error())
		code = 1
	}
	os.Exit(code)
}

// The addresses of the two ends of a test's wire.
var (
	clientIP = netip.MustParseAddr("10.0.0.1")
	serverIP = netip.MustParseAddr("10.0.0.2")
)

// setup describes a bed. The zero value has one shard at each end.
type setup struct {
	shards int            // at each end
	queues int            // of each end's port; 0: one a shard
	wire   mem.Config     // Queues are filled in
	stack  stack.Config   // of both ends
	pool   pbuf.Config    // of both ends' shards
	net    netconn.Config // of both ends
	idle   shard.IdlePolicy

	threads  bool          // the shards have threads of their own
	maxSleep time.Duration // of the shards
}

// String names how the shards run: "goroutine", "thread-adaptive", ….
func (s setup) String() string {
	if !s.threads {
		return "goroutine"
	}
	return "thread-" + s.idle.String()
}

// bed is two groups of shards, joined by a wire, with a Net each.
type bed struct {
	client, server *netconn.Net
	groups         [2]*shard.Group
}

// newBed starts both groups. When the test ends, the Nets are closed and the
// groups stopped, which fails unless every buffer is back in its pool.
func newBed(t testing.TB, s setup) *bed {
	t.Helper()
	if s.shards == 0 {
		s.shards = 1
	}
	if s.queues == 0 {
		s.queues = s.shards
	}
	s.wire.A.Queues, s.wire.B.Queues = s.queues, s.queues
	a, b, err := mem.New(s.wire)
	require.NoError(t, err)
	bd := &bed{}
	bd.groups[0] = startGroup(t, s, a, clientIP)
	bd.groups[1] = startGroup(t, s, b, serverIP)
	bd.client, err = netconn.New(bd.groups[0], s.net)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bd.client.Close()) })
	bd.server, err = netconn.New(bd.groups[1], s.net)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bd.server.Close()) })
	return bd
}

func startGroup(t testing.TB, s setup, end *mem.End, ip netip.Addr) *shard.Group {
	t.Helper()
	g, err := shard.NewGroup(shard.Config{
		NoPin: true, OwnThread: s.threads, Shards: s.shards, Idle: s.idle, MaxSleep: s.maxSleep,
		Ports: []shard.PortConfig{{Port: end, Addrs: []netip.Prefix{netip.PrefixFrom(ip, 24)}}},
		Pool:  s.pool, Stack: s.stack,
	})
	require.NoError(t, err)
	require.NoError(t, g.Start())
	t.Cleanup(func() { require.NoError(t, g.Stop()) })
	return g
}

// eachShards runs a test with one shard at each end, with two, and with two that
// have threads of their own.
func eachShards(t *testing.T, fn func(t *testing.T, base setup)) {
	t.Helper()
	t.Run("1shard", func(t *testing.T) { fn(t, setup{shards: 1}) })
	t.Run("2shards", func(t *testing.T) { fn(t, setup{shards: 2}) })
	t.Run("2threads", func(t *testing.T) { fn(t, setup{shards: 2, threads: true}) })
}

// statsOf are the counters of the stack that a connection is on.
func statsOf(t testing.TB, c *netconn.TCPConn) (st stack.Stats) {
	t.Helper()
	require.NoError(t, c.Lane().Call(func(s *shard.Shard) error {
		st = *s.Stack().Stats()
		return nil
	}))
	return st
}
