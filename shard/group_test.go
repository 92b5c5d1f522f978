package shard

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

var errTest = errors.New("test")

// eventually waits until cond holds.
func eventually(t testing.TB, cond func() bool, what string) {
	t.Helper()
	require.Eventually(t, cond, 20*time.Second, 100*time.Microsecond, what)
}

func TestGroupRunsInitOnEachShardsThread(t *testing.T) {
	var tids [3]int
	cfg := config(3)
	cfg.OwnThread = true
	cfg.Init = func(s *Shard) error {
		tids[s.ID()] = unix.Gettid()
		require.Equal(t, -1, s.Core())
		require.Positive(t, s.Now())
		return nil
	}
	g := start(t, cfg)
	require.Len(t, g.Shards(), 3)
	require.NoError(t, g.Do(func(s *Shard) error {
		if tids[s.ID()] != unix.Gettid() {
			return errTest
		}
		return nil
	}))
	require.NotEqual(t, tids[0], tids[1])
	require.NotEqual(t, tids[1], tids[2])
	for i, s := range g.Shards() {
		require.Equal(t, i, s.ID())
		require.Same(t, g, s.Group())
		require.NotNil(t, s.Stack())
	}
}

func TestGroupPinsEachShardToItsCore(t *testing.T) {
	cores := testenv.Cores(t, 2)
	set, err := affinity.Of(cores...)
	require.NoError(t, err)
	cfg := Config{Cores: set, Pool: testPool}
	g := start(t, cfg)
	require.NoError(t, g.Do(func(s *Shard) error {
		at, _, err := affinity.CPU()
		if err != nil || at != s.Core() || at != cores[s.ID()] {
			return errors.Join(err, errTest)
		}
		return nil
	}))
}

func TestGroupRefusesCoresThatAreNotAllowed(t *testing.T) {
	set, err := affinity.Of(affinity.MaxCores - 1)
	require.NoError(t, err)
	_, err = NewGroup(Config{Cores: set})
	require.ErrorIs(t, err, affinity.ErrNotAllowed)
}

func TestGroupSeedsDifferAndRepeat(t *testing.T) {
	require.Equal(t, deriveSeed(testSeed, 1), deriveSeed(testSeed, 1))
	require.NotEqual(t, deriveSeed(testSeed, 1), deriveSeed(testSeed, 2))
	require.NotEqual(t, deriveSeed(testSeed, 1), deriveSeed([32]byte{}, 1))
	// Without a seed, two groups differ.
	cfg := manual(1)
	cfg.Stack.Seed = [32]byte{}
	a, b := newGroup(t, cfg), newGroup(t, cfg)
	require.NotEqual(t, a.cfg.Stack.Seed, b.cfg.Stack.Seed)
}

func TestInitErrorStopsTheGroup(t *testing.T) {
	p := newFakePort(2)
	cfg := config(2, PortConfig{Port: p})
	var stopped atomic.Int32
	cfg.Init = func(s *Shard) error {
		s.OnStop(func() { stopped.Add(1) })
		if s.ID() == 1 {
			return errTest
		}
		return nil
	}
	cfg.OnFatal = func(error) { t.Error("OnFatal is for groups that run") }
	g, err := NewGroup(cfg)
	require.NoError(t, err)
	err = g.Start()
	require.ErrorIs(t, err, errTest)
	require.ErrorContains(t, err, "shard 1")
	require.ErrorIs(t, g.Stop(), errTest)
	require.ErrorIs(t, g.Wait(), errTest)
	require.ErrorIs(t, g.Err(), errTest)
	require.EqualValues(t, 2, stopped.Load())
	require.Equal(t, 1, p.closed)
}

func TestPortStartErrorStopsTheGroup(t *testing.T) {
	p, q := newFakePort(1), newFakePort(1)
	q.start = errTest
	g, err := NewGroup(config(1, PortConfig{Port: p}, PortConfig{Port: q}))
	require.NoError(t, err)
	require.ErrorIs(t, g.Start(), errTest)
	require.ErrorIs(t, g.Stop(), errTest)
	require.Equal(t, 1, p.closed)
	require.Equal(t, 1, q.closed)
}

// NewGroup that fails closes the ports and leaves no pool open.
func TestNewGroupErrorReleasesAll(t *testing.T) {
	p := newFakePort(1)
	_, err := NewGroup(config(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24", "10.0.0.1/24")}))
	require.ErrorIs(t, err, stack.ErrUse)
	require.Equal(t, 1, p.closed)
	p.info.Queues = 0
	_, err = NewGroup(config(1, PortConfig{Port: p}))
	require.ErrorIs(t, err, ErrConfig)
	require.Equal(t, 2, p.closed)
	_, err = NewGroup(Config{Burst: -1, Ports: []PortConfig{{Port: p}}})
	require.ErrorIs(t, err, ErrConfig)
	require.Equal(t, 2, p.closed, "it was not looked at")
	first := pbuf.ByID(1)
	require.Nil(t, first, "a pool is still open")
}

func TestStopBeforeStart(t *testing.T) {
	p := newFakePort(1)
	g, err := NewGroup(config(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	require.NoError(t, err)
	ran := 0
	require.NoError(t, g.Do(func(s *Shard) error { // on this thread
		s.OnStop(func() { ran++ })
		s.OnClose(func() { ran++ })
		return nil
	}))
	require.NoError(t, g.Stop())
	require.NoError(t, g.Stop())
	require.NoError(t, g.Wait())
	require.Equal(t, 4, ran)
	require.Equal(t, 1, p.closed)
	require.ErrorIs(t, g.Start(), ErrState)
	require.ErrorIs(t, g.Shards()[0].Do(func(*Shard) {}), ErrStopped)
}

func TestStateErrors(t *testing.T) {
	g := start(t, config(1))
	require.ErrorIs(t, g.Start(), ErrState)
	_, err := g.Step(1)
	require.ErrorIs(t, err, ErrState)
	m := newGroup(t, manual(1))
	require.ErrorIs(t, m.Start(), ErrState)
	require.ErrorIs(t, m.Drain(context.Background()), ErrState)
	require.NoError(t, m.Stop())
	_, err = m.Step(1)
	require.ErrorIs(t, err, ErrStopped)
}

func TestStopRunsHooksInOrder(t *testing.T) {
	var order []string
	cfg := config(1)
	cfg.OwnThread = true // a goroutine moves from thread to thread
	cfg.Init = func(s *Shard) error {
		tid := unix.Gettid()
		s.OnStop(func() {
			order = append(order, "stop 1")
			require.Equal(t, tid, unix.Gettid())
		})
		s.OnStop(func() { order = append(order, "stop 2") })
		s.OnClose(func() {
			order = append(order, "close")
			require.Nil(t, s.Stack().NewTCP(), "the stack is closed")
		})
		return nil
	}
	g, err := NewGroup(cfg)
	require.NoError(t, err)
	require.NoError(t, g.Start())
	require.NoError(t, g.Stop())
	require.Equal(t, []string{"stop 2", "stop 1", "close"}, order)
}

func TestGroupRaisesAndLowersGOMAXPROCS(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	cfg := config(before + 3)
	cfg.OwnThread = true
	g, err := NewGroup(cfg)
	require.NoError(t, err)
	require.NoError(t, g.Start())
	require.Equal(t, before+4, runtime.GOMAXPROCS(0))
	require.NoError(t, g.Stop())
	require.Equal(t, before, runtime.GOMAXPROCS(0))

	cfg.KeepProcs = true
	start(t, cfg)
	require.Equal(t, before, runtime.GOMAXPROCS(0))

	start(t, config(before+3))
	require.Equal(t, before, runtime.GOMAXPROCS(0), "goroutines need no processor for good")
}

func TestStopReportsLeaks(t *testing.T) {
	cfg := config(2)
	var lost *pbuf.Pbuf
	cfg.Init = func(s *Shard) error {
		if s.ID() == 1 {
			lost = s.Pool().Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM)
		}
		return nil
	}
	g, err := NewGroup(cfg)
	require.NoError(t, err)
	require.NoError(t, g.Start())
	err = g.Stop()
	require.ErrorIs(t, err, pbuf.ErrLeak)
	require.ErrorContains(t, err, "shard 1")
	require.NoError(t, g.Err(), "a leak is no reason to stop")
	lost.Free()
	require.NoError(t, g.shards[1].pool.Close())
}

func TestConnectionsLeavesOutListenersAndTimeWait(t *testing.T) {
	p := newFakePort(1)
	g := newGroup(t, manual(1, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	require.NoError(t, g.Do(func(s *Shard) error {
		l := s.Stack().NewTCP()
		require.NoError(t, l.Listen(0))
		require.Zero(t, s.Connections())
		c := s.Stack().NewTCP()
		require.Zero(t, s.Connections())
		require.NoError(t, c.Connect(ap("10.0.0.2:80"), nil))
		require.Equal(t, 1, s.Connections())
		return nil
	}))
}
