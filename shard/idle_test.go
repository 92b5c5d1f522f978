package shard

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/stack"
)

// forever is a MaxSleep that no test waits for: a wake-up that is lost shows as
// a test that hangs.
const forever = time.Hour

// echoer answers what comes by one ring on another.
type echoer struct {
	in, out *ring.SPSC[int]
}

func newEchoer(t testing.TB) *echoer {
	t.Helper()
	e := &echoer{}
	var err error
	e.in, err = ring.NewSPSC[int](4)
	require.NoError(t, err)
	e.out, err = ring.NewSPSC[int](4)
	require.NoError(t, err)
	return e
}

func (e *echoer) Poll(int64) (work int) {
	for {
		v, ok := e.in.Pop()
		if !ok {
			return work
		}
		e.out.Push(v)
		work++
	}
}

func (e *echoer) Next() int64 { return stack.Forever }

// ask sends n numbers one by one and waits for each answer.
func (e *echoer) ask(s *Shard, n int, pause func(i int)) {
	for i := range n {
		e.in.Push(i)
		s.Wake()
		for {
			if _, ok := e.out.Pop(); ok {
				break
			}
			runtime.Gosched() // it may need this processor
		}
		pause(i)
	}
}

// bothModes runs a test with shards that have threads of their own and with
// ones that are goroutines.
func bothModes(t *testing.T, fn func(t *testing.T, mode func(*Config))) {
	t.Helper()
	t.Run("thread", func(t *testing.T) { fn(t, func(c *Config) { c.OwnThread = true }) })
	t.Run("goroutine", func(t *testing.T) { fn(t, func(*Config) {}) })
}

// TestNoWakeUpIsLost has threads send to shards that fall asleep as fast as
// they can, by Wake and Do, at pauses that hit every point of
// falling asleep. A lost wake-up would last an hour.
func TestNoWakeUpIsLost(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*Config)) {
		for _, policy := range []IdlePolicy{Park, Adaptive} {
			t.Run(policy.String(), func(t *testing.T) {
				cfg := config(2)
				mode(&cfg)
				cfg.Idle, cfg.IdleSpin, cfg.MaxSleep = policy, time.Microsecond, forever
				g := start(t, cfg)
				var wg sync.WaitGroup
				for i, s := range g.Shards() {
					e := newEchoer(t)
					require.NoError(t, s.Do(func(s *Shard) { s.AddPoller(e) }))
					wg.Go(func() {
						e.ask(s, 2000, func(n int) {
							for until := Now() + int64(n*37%20000); Now() < until; {
							}
						})
					})
					wg.Go(func() {
						for range 800 {
							// From one shard to the other and back.
							peer := g.Shards()[1-i]
							done := make(chan bool)
							if s.Do(func(*Shard) { _ = peer.Do(func(*Shard) { close(done) }) }) != nil {
								return
							}
							<-done
						}
					})
				}
				wg.Wait()
				st := g.statsNow(t)
				require.Positive(t, st.Total.Loop.Sleeps)
				require.Positive(t, st.Total.Loop.Wakeups)
			})
		}
	})
}

// TestNoWakeUpIsLostInTheMesh: a shard that gets its packets from another one
// only, and that other one, both fall asleep in between.
func TestNoWakeUpIsLostInTheMesh(t *testing.T) {
	p := &bellPort{fakePort: newFakePort(1)}
	require.NoError(t, p.bell.Open())
	cfg := config(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")})
	cfg.Idle, cfg.MaxSleep = Park, forever
	g := start(t, cfg)
	var got atomic.Int32
	require.NoError(t, g.Shards()[1].Call(func(s *Shard) error {
		u := s.Stack().NewUDP()
		u.SetRecv(func(_ any, _ *stack.UDP, p *pbuf.Pbuf, _ addrPort) {
			p.Free()
			got.Add(1)
		})
		return u.Bind(ap("10.0.0.1:2000"))
	}))
	sport := uint16(1)
	for g.Home(ap("10.0.0.1:2000"), addrPortFrom("10.0.0.2", sport)) != 1 {
		sport++
	}
	const total = 3000 // several times the buffers of the pool: they come home
	for i := range total {
		p.inject(0, udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, nil))
		p.bell.Ring()
		for got.Load() <= int32(i) {
			runtime.Gosched() // the receiver is a goroutine
		}
		for until := Now() + int64(i*37%20000); Now() < until; {
		}
	}
	st := g.statsNow(t)
	require.EqualValues(t, total, st.Shards[0].Loop.HandedOut)
	require.Positive(t, st.Shards[1].Loop.Wakeups)
	require.NoError(t, g.Stop())
	require.NoError(t, p.bell.Close())
}

func TestSpinNeverSleeps(t *testing.T) {
	cfg := config(1)
	cfg.Idle = Spin
	g := start(t, cfg)
	s := g.Shards()[0]
	eventually(t, func() bool { return s.Snapshot().Loop.Rounds > 10000 }, "it polls")
	require.Zero(t, s.Snapshot().Loop.Sleeps)
	require.Zero(t, s.Snapshot().Loop.BusyRounds-s.Snapshot().Loop.Calls)
}

func TestAdaptivePollsOnBeforeItSleeps(t *testing.T) {
	cfg := config(1)
	cfg.OwnThread = true
	cfg.IdleSpin, cfg.MaxSleep = 20*time.Millisecond, forever
	g := start(t, cfg)
	s := g.Shards()[0]
	for range 3 {
		var before Loop
		require.NoError(t, s.Call(func(s *Shard) error {
			before = s.n.Loop
			return nil
		}))
		eventually(t, func() bool { return s.Snapshot().Loop.Sleeps > before.Sleeps }, "it sleeps")
		after := s.Snapshot().Loop
		require.Greater(t, after.Rounds, before.Rounds+2, "it has polled before")
	}
}

// A shard whose spinning is limited sleeps, however long it is to poll on, until
// the limit is taken back; a limit above Config.IdleSpin is none.
func TestLimitSpin(t *testing.T) {
	cfg := config(1)
	cfg.OwnThread = true
	cfg.IdleSpin = time.Hour
	g := start(t, cfg)
	s := g.Shards()[0]
	for range 2 {
		eventually(t, func() bool { return s.Snapshot().Loop.Rounds > 100 }, "it polls")
		before := s.Snapshot().Loop.Sleeps
		require.NoError(t, s.Do(func(s *Shard) { s.LimitSpin(time.Microsecond) }))
		eventually(t, func() bool { return s.Snapshot().Loop.Sleeps > before }, "it sleeps")
		require.NoError(t, s.Do(func(s *Shard) { s.LimitSpin(0) }))
		require.NoError(t, s.Call(func(s *Shard) error {
			before = s.n.Sleeps
			s.LimitSpin(2 * time.Hour)
			return nil
		}))
		rounds := s.Snapshot().Loop.Rounds
		eventually(t, func() bool { return s.Snapshot().Loop.Rounds > rounds+1000 }, "it polls again")
		require.Equal(t, before, s.Snapshot().Loop.Sleeps)
	}
}

// A Poller's Next ends the sleep, without anyone waking the shard.
func TestSleepEndsWhenAPollerIsDue(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*Config)) {
		cfg := config(1)
		mode(&cfg)
		cfg.Idle, cfg.MaxSleep = Park, forever
		polls := make(chan int64, 100)
		var due int64
		cfg.Init = func(s *Shard) error {
			due = s.Now() + int64(3*time.Millisecond)
			left := 10
			s.AddPoller(&pollFunc{
				poll: func(now int64) int {
					if left == 0 || now < due {
						return 0
					}
					polls <- now - due
					left--
					due = now + int64(3*time.Millisecond)
					return 1
				},
				next: func() int64 {
					if left == 0 {
						return stack.Forever
					}
					return due
				},
			})
			return nil
		}
		start(t, cfg)
		for range 10 {
			require.GreaterOrEqual(t, <-polls, int64(0))
		}
	})
}

func TestRemovePoller(t *testing.T) {
	g := newGroup(t, manual(1))
	s := g.Shards()[0]
	var n [3]int
	var p [3]*pollFunc
	for i := range p {
		p[i] = &pollFunc{poll: func(int64) int {
			n[i]++
			if i == 1 {
				s.RemovePoller(p[1]) // itself, in the middle
			}
			return 0
		}}
		s.AddPoller(p[i])
	}
	step(t, g, 3)
	require.Equal(t, [3]int{3, 1, 3}, n)
	s.RemovePoller(p[0])
	s.RemovePoller(p[0])
	step(t, g, 1)
	require.Equal(t, [3]int{3, 1, 4}, n)
}

// bellPort is a fake port with a Waiter.
type bellPort struct {
	*fakePort
	bell port.Doorbell
}

func (b *bellPort) Waiter(int) port.Waiter { return b }
func (b *bellPort) FD() int                { return b.bell.FD() }
func (b *bellPort) Arm() bool {
	b.bell.Arm()
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.in[0]) == 0
}

func (b *bellPort) RxBurst(q int, now int64, dst []*pbuf.Pbuf) int {
	b.bell.Disarm()
	return b.fakePort.RxBurst(q, now, dst)
}

// callPort is a bellPort that can also call a function.
type callPort struct {
	*bellPort
	asked func() // what Notify was given last
}

func (c *callPort) Notify(_ int, fn func()) port.Armer {
	c.asked = fn
	c.bell.Call(fn)
	return c
}

// bothPorts runs a test with a port that wakes threads only, and with one that
// wakes goroutines.
func bothPorts(t *testing.T, fn func(t *testing.T, p *bellPort, as port.Port)) {
	t.Helper()
	for _, calls := range []bool{false, true} {
		p := &bellPort{fakePort: newFakePort(1)}
		require.NoError(t, p.bell.Open())
		as, name := port.Port(p), "descriptor"
		if calls {
			as, name = &callPort{bellPort: p}, "function"
		}
		t.Run(name, func(t *testing.T) { fn(t, p, as) })
		require.NoError(t, p.bell.Close())
	}
}

// TestSleepEndsWhenFramesArrive also checks that none arrives unnoticed while
// the shard falls asleep.
func TestSleepEndsWhenFramesArrive(t *testing.T) {
	bothPorts(t, func(t *testing.T, p *bellPort, as port.Port) {
		cfg := config(1, PortConfig{Port: as, Addrs: prefixes("10.0.0.1/24")})
		cfg.Idle, cfg.MaxSleep = Park, forever
		g := start(t, cfg)
		for i := range 2000 {
			p.inject(0, arpFrame(1, "10.0.0.2", "10.0.0.1"))
			p.bell.Ring()
			for {
				if sent, _ := p.take(); len(sent) > 0 {
					break
				}
				runtime.Gosched()
			}
			for until := Now() + int64(i*37%20000); Now() < until; {
			}
		}
		require.Positive(t, g.statsNow(t).Total.Loop.Sleeps)
		require.NoError(t, g.Stop())
	})
}

func TestPolledPortsBoundTheSleep(t *testing.T) {
	g := newGroup(t, config(1, PortConfig{Port: newFakePort(1)}))
	require.NoError(t, g.Start())
	require.Equal(t, int64(time.Millisecond), g.maxSleep)

	p := &bellPort{fakePort: newFakePort(1)}
	require.NoError(t, p.bell.Open())
	g = newGroup(t, config(1, PortConfig{Port: p}))
	require.NoError(t, g.Start())
	require.Equal(t, int64(100*time.Millisecond), g.maxSleep)
	require.NoError(t, g.Stop())
	require.NoError(t, p.bell.Close())
}

// What a port refuses is offered again soon, though nobody rings.
func TestRefusedFramesKeepTheShardAwake(t *testing.T) {
	bothPorts(t, func(t *testing.T, p *bellPort, as port.Port) {
		p.room = 0
		cfg := config(1, PortConfig{Port: as, Addrs: prefixes("10.0.0.1/24")})
		cfg.Idle, cfg.MaxSleep = Park, forever
		g := start(t, cfg)
		eventually(t, func() bool { return g.statsNow(t).Total.Loop.TxRefused > 3 }, "the announcement is offered")
		// Also long after, when a goroutine has stopped trying without end.
		eventually(t, func() bool { return g.shards[0].Snapshot().Loop.Sleeps > 3 }, "it sleeps in between")
		p.mu.Lock()
		p.room = -1
		p.mu.Unlock()
		eventually(t, func() bool {
			sent, _ := p.take()
			return len(sent) == 1
		}, "it is sent")
		require.NoError(t, g.Stop())
	})
}

// timedPort is a callPort whose frames may be there already when it is asked for
// the next (math.MinInt64), though it was armed before.
type timedPort struct {
	*callPort
	late atomic.Bool
}

func (p *timedPort) NextEvent(int) int64 {
	if p.late.Swap(false) {
		return math.MinInt64
	}
	return math.MaxInt64
}

// A frame that arrives between arming and the last look at the clock makes the
// shard look again; it is not a sleep of centuries.
func TestFrameBetweenArmAndSleep(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*Config)) {
		p := &timedPort{callPort: &callPort{bellPort: &bellPort{fakePort: newFakePort(1)}}}
		require.NoError(t, p.bell.Open())
		cfg := config(1, PortConfig{Port: p})
		mode(&cfg)
		cfg.Idle, cfg.MaxSleep = Park, time.Millisecond
		g := start(t, cfg)
		for range 20 {
			p.late.Store(true)
			sleeps := g.shards[0].Snapshot().Loop.Sleeps
			eventually(t, func() bool { return !p.late.Load() }, "it asks the port")
			eventually(t, func() bool { return g.shards[0].Snapshot().Loop.Sleeps > sleeps+3 }, "its sleeps end")
		}
		require.NoError(t, g.Stop())
		require.NoError(t, p.bell.Close())
	})
}
