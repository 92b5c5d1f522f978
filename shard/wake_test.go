package shard

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/stack"
)

// Only a shard without a core of its own, that may sleep, and whose ports can
// all wake a goroutine, does without a thread.
func TestWhichShardsHaveAThread(t *testing.T) {
	fd := func() *bellPort {
		p := &bellPort{fakePort: newFakePort(1)}
		require.NoError(t, p.bell.Open())
		t.Cleanup(func() { require.NoError(t, p.bell.Close()) })
		return p
	}
	call := func() PortConfig { return PortConfig{Port: &callPort{bellPort: fd()}} }
	for _, c := range []struct {
		name string
		cfg  Config
		edit func(*Config)
		want bool
	}{
		{name: "no port", cfg: config(1)},
		{name: "port that calls", cfg: config(1, call())},
		{name: "port with a descriptor", cfg: config(1, PortConfig{Port: fd()}), want: true},
		{name: "port to be polled", cfg: config(1, PortConfig{Port: newFakePort(1)}), want: true},
		{name: "one of two ports calls", cfg: config(1, call(), PortConfig{Port: fd()}), want: true},
		{name: "OwnThread", cfg: config(1, call()), edit: func(c *Config) { c.OwnThread = true }, want: true},
		{name: "Spin", cfg: config(1, call()), edit: func(c *Config) { c.Idle = Spin }, want: true},
		{name: "Park", cfg: config(1, call()), edit: func(c *Config) { c.Idle = Park }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.edit != nil {
				c.edit(&c.cfg)
			}
			g := start(t, c.cfg)
			require.Equal(t, c.want, g.Shards()[0].HasThread())
			require.NoError(t, g.Stop())
		})
	}
	core := testenv.Cores(t, 1)
	set, err := affinity.Of(core...)
	require.NoError(t, err)
	require.True(t, start(t, Config{Cores: set, Pool: testPool, Ports: []PortConfig{call()}}).Shards()[0].HasThread())
}

// Shards of a group differ: who has no queue of a port that wakes threads is
// woken by the mesh and needs none.
func TestShardWithoutAQueueHasNoThread(t *testing.T) {
	g := start(t, config(2, PortConfig{Port: newFakePort(1)}))
	require.True(t, g.Shards()[0].HasThread())
	require.False(t, g.Shards()[1].HasThread())
}

// A port that was asked to call is asked to use its descriptor again when the
// shard gets a thread because of another port.
func TestThreadBecauseOfAnotherPort(t *testing.T) {
	a, b := &bellPort{fakePort: newFakePort(1)}, &bellPort{fakePort: newFakePort(1)}
	require.NoError(t, a.bell.Open())
	require.NoError(t, b.bell.Open())
	caller := &callPort{bellPort: a}
	cfg := config(1, PortConfig{Port: caller, Addrs: prefixes("10.0.0.1/24")}, PortConfig{Port: b})
	cfg.Idle, cfg.MaxSleep = Park, forever
	g := start(t, cfg)
	require.Nil(t, caller.asked)
	eventually(t, func() bool { return g.shards[0].Snapshot().Loop.Sleeps > 0 }, "it sleeps")
	a.take()
	a.inject(0, arpFrame(1, "10.0.0.2", "10.0.0.1"))
	a.bell.Ring()
	eventually(t, func() bool {
		sent, _ := a.take()
		return len(sent) > 0
	}, "the descriptor has woken it")
	require.NoError(t, g.Stop())
	require.NoError(t, a.bell.Close())
	require.NoError(t, b.bell.Close())
}

// A shard that is a goroutine and has work without end lets others run after
// every round, also where there is one processor for all.
func TestBusyGoroutineYields(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var rounds atomic.Int64
	cfg := config(1)
	cfg.Init = func(s *Shard) error {
		s.AddPoller(&pollFunc{
			poll: func(int64) int { rounds.Add(1); return 1 },
			next: func() int64 { return stack.Forever },
		})
		return nil
	}
	g := start(t, cfg)
	const turns = 1000
	for _, c := range []struct {
		yield func()
		most  int64 // rounds a turn; were it not to yield, it would run for 10 ms at a time
	}{{goyield, 2}, {runtime.Gosched, 20}} {
		before := rounds.Load()
		for range turns {
			c.yield()
		}
		n := rounds.Load() - before
		require.Positive(t, n)
		require.Less(t, n, c.most*turns)
	}
	require.NoError(t, g.Stop())
}

// Stop ends a goroutine that sleeps with nothing to wake it but that.
func TestStopEndsASleepingGoroutine(t *testing.T) {
	for range 200 {
		cfg := config(2)
		cfg.MaxSleep = forever
		g, err := NewGroup(cfg)
		require.NoError(t, err)
		require.NoError(t, g.Start())
		runtime.Gosched()
		require.NoError(t, g.Stop())
	}
}

// nap sleeps for ns nanoseconds from now on.
func nap(p *parker, ns int64) bool {
	now := Now()
	return p.sleep(now, now+ns)
}

func TestParkerKeepsOneWakeUp(t *testing.T) {
	p := newParker()
	defer p.close()
	for range 3 {
		p.wake()
	}
	require.True(t, nap(p, int64(forever)), "a wake-up before the sleep ends it")
	require.False(t, nap(p, 1e6), "and no more than one sleep")
}

// A timer that runs for an earlier sleep may end a later one early, but no sleep
// lasts longer than it is to.
func TestParkerTimers(t *testing.T) {
	p := newParker()
	defer p.close()
	var wg sync.WaitGroup
	for _, ns := range []int64{1e6, 3e6, 2e6, 1e5, 5e6, 1, 2e6} {
		wg.Go(p.wake)
		nap(p, int64(forever)) // sets the timer far away
		wg.Wait()
		for woken := true; woken; { // by a wake-up that came late
			start := Now()
			if woken = nap(p, ns); !woken {
				require.GreaterOrEqual(t, Now()-start, ns)
			}
		}
	}
	p.wake()
	require.True(t, nap(p, 3e6))
	fires := p.fires
	p.wake()
	require.True(t, nap(p, 50e6))
	require.Equal(t, fires, p.fires, "the timer stays as it is for a later sleep")
	require.False(t, nap(p, 50e6), "ended early by it")
	require.Zero(t, p.fires)
}

// TestParkerLosesNothing has several goroutines wake one at all times of its
// falling asleep, by the protocol of ring.Bell, and timers fire in between.
func TestParkerLosesNothing(t *testing.T) {
	g := newGroup(t, config(1))
	s := g.Shards()[0]
	p := newParker()
	s.waker = p
	const wakers, each = 3, 20000
	var given atomic.Int64
	var taken int64
	var wg sync.WaitGroup
	for range wakers {
		wg.Go(func() {
			for i := range each {
				given.Add(1)
				s.Wake()
				if i%3 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	for i := 0; taken < wakers*each; i++ {
		s.bell.Arm()
		if n := given.Load(); n != taken {
			taken = n
		} else if i%8 == 0 {
			nap(p, int64(i%50000))
		} else {
			nap(p, int64(forever))
		}
		s.bell.Disarm()
	}
	wg.Wait()
}

func TestGoroutineID(t *testing.T) {
	id := goroutineID()
	require.Positive(t, id)
	require.Equal(t, id, goroutineID())
	other := make(chan int64)
	go func() { other <- goroutineID() }()
	require.NotEqual(t, id, <-other)
}
