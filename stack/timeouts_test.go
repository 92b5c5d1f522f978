package stack

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// tick is one tick of the wheel in nanoseconds.
const tick = int64(1) << tickShift

// wheelModel is what the wheel should do: timers in a list.
type wheelModel struct {
	t      testing.TB
	w      wheel
	due    map[uint32]int64 // tick at which it fires
	now    int64
	last   int64 // tick of the latest that fired
	fired  int
	onFire func(id uint32)
}

func newWheelModel(t testing.TB, n int) *wheelModel {
	m := &wheelModel{t: t, due: map[uint32]int64{}}
	m.w.init()
	m.w.grow(n)
	return m
}

func (m *wheelModel) schedule(id uint32, at int64) {
	m.w.schedule(id, at)
	m.due[id] = max((max(at, 0)+tick-1)/tick, int64(m.w.tick)+1)
}

func (m *wheelModel) timerSoon(uint32) {}

func (m *wheelModel) timerFired(id uint32) {
	due, ok := m.due[id]
	require.True(m.t, ok, "timer %d fired, but it is not set", id)
	require.Equal(m.t, due, int64(m.w.tick), "timer %d", id)
	require.GreaterOrEqual(m.t, due, m.last, "in order")
	for other, d := range m.due {
		if d < due {
			m.t.Fatalf("timer %d should have fired before %d", other, id)
		}
	}
	m.last = due
	delete(m.due, id)
	m.fired++
	if m.onFire != nil {
		m.onFire(id)
	}
}

// advance lets time pass and checks that all that is due has fired and the rest
// is announced.
func (m *wheelModel) advance(now int64) {
	m.t.Helper()
	m.now = now
	m.w.advance(now, math.MaxInt, m)
	require.Equal(m.t, now/tick, int64(m.w.tick))
	require.Equal(m.t, len(m.due), m.w.count)
	first := int64(Forever)
	for id, d := range m.due {
		if d <= now/tick {
			m.t.Fatalf("timer %d is overdue", id)
		}
		first = min(first, d*tick)
	}
	// next may be early, for a cascade, never late.
	next := m.w.next()
	require.LessOrEqual(m.t, next, first)
	require.Greater(m.t, next, now/tick*tick)
	if first == Forever {
		require.Equal(m.t, int64(Forever), next)
	}
}

func TestWheel_Model(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const n = 200
		m := newWheelModel(t, n)
		m.w.tick = rng.Uint64N(1 << (6 + seed)) // the levels' corners are met in some rounds
		m.now = int64(m.w.tick) * tick
		m.last = int64(m.w.tick)
		distance := func() int64 {
			switch rng.IntN(8) {
			case 0:
				return -rng.Int64N(1e9) // in the past
			case 1:
				return rng.Int64N(2 * tick)
			case 2:
				return 64*tick - 2*tick + rng.Int64N(4*tick)
			case 3:
				return 4096*tick - 2*tick + rng.Int64N(4*tick)
			}
			return rng.Int64N(1 << (18 + rng.IntN(42)))
		}
		m.onFire = func(id uint32) {
			switch rng.IntN(3) {
			case 0:
				m.schedule(id, m.now+distance())
			case 1:
				m.schedule(uint32(rng.IntN(n)), m.now+distance())
			}
		}
		for range 3000 {
			switch rng.IntN(4) {
			case 0, 1:
				m.schedule(uint32(rng.IntN(n)), m.now+distance())
			case 2:
				if next := m.w.next(); next != Forever && next > m.now {
					m.advance(next)
				}
			default:
				m.advance(m.now + rng.Int64N(1<<(10+rng.IntN(36))))
			}
		}
		require.Greater(t, m.fired, 100)
	}
}

// TestWheel_JumpsToTheNextTimer: whoever sleeps until next, again and again,
// gets every timer on time, after few steps.
func TestWheel_JumpsToTheNextTimer(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	m := newWheelModel(t, 100)
	for id := range uint32(100) {
		m.schedule(id, rng.Int64N(int64(3)*24*3600*1e9))
	}
	steps := 0
	for m.w.count > 0 {
		m.advance(m.w.next())
		steps++
	}
	require.Equal(t, 100, m.fired)
	require.Less(t, steps, 100*(wheelLevels+1))
	require.Equal(t, int64(Forever), m.w.next())
}

// TestWheel_EveryBoundary: timers around each power of two, from ticks around
// each power of two.
func TestWheel_EveryBoundary(t *testing.T) {
	for shift := range 38 {
		for _, d := range []int64{-1, 0, 1} {
			start := max(int64(1)<<shift+d, 0)
			m := newWheelModel(t, 200)
			m.w.tick, m.last = uint64(start), start
			var ids uint32
			for s2 := range 38 {
				for _, e := range []int64{-1, 0, 1} {
					m.schedule(ids, (start+int64(1)<<s2+e)*tick)
					ids++
				}
			}
			for m.w.count > 0 {
				m.advance(m.w.next())
			}
			require.Equal(t, int(ids), m.fired)
		}
	}
}

// TestWheel_BeyondTheTop: the top level wraps; a timer further away than it
// reaches waits for its turn.
func TestWheel_BeyondTheTop(t *testing.T) {
	m := newWheelModel(t, 4)
	const year = int64(365*24*3600) * 1e9
	m.schedule(0, 3*year)
	m.schedule(1, year)
	m.schedule(2, 30*year)
	for m.w.count > 0 {
		m.advance(m.w.next())
	}
	require.Equal(t, 3, m.fired)
}

func TestWheel_MoveTheNextOnesWhileFiring(t *testing.T) {
	m := newWheelModel(t, 10)
	for id := range uint32(10) {
		m.schedule(id, 5*tick)
	}
	m.onFire = func(id uint32) {
		m.onFire = nil
		for other := range uint32(10) {
			m.schedule(other, 9*tick)
		}
		m.schedule(id, 0) // the next tick at the earliest, not this one again
	}
	m.advance(5 * tick)
	require.Equal(t, 1, m.fired)
	m.advance(6 * tick)
	require.Equal(t, 2, m.fired)
	m.advance(9 * tick)
	require.Equal(t, 11, m.fired)
}

func TestWheel_NotBeforeItsTime(t *testing.T) {
	m := newWheelModel(t, 1)
	m.schedule(0, 10*tick+1)
	m.advance(10*tick + 1)
	require.Zero(t, m.fired, "ticks are coarse: late, not early")
	m.advance(11 * tick)
	require.Equal(t, 1, m.fired)
}

func TestWheel_AllocatesNothing(t *testing.T) {
	m := newWheelModel(t, nodeChunk+1)
	o := nobody{}
	now := int64(0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for id := range uint32(50) {
			m.w.schedule(id*80, now+int64(id)*1e8)
		}
		m.w.schedule(80, now+3e9)
		now += 1e10
		m.w.advance(now, math.MaxInt, o)
	}))
	require.Zero(t, m.w.count)
}

// TestWheel_SomeAtATime: what there is no time for fires at the next call, each timer
// once and in the order of the ticks, and next is not in the future until then.
func TestWheel_SomeAtATime(t *testing.T) {
	const n, most = 1000, 64
	m := newWheelModel(t, n)
	for id := range uint32(n) {
		m.schedule(id, int64(5+id/700)*tick)
	}
	again := uint32(3)
	m.onFire = func(id uint32) {
		if id == again {
			again = noTimer
			m.schedule(id, 0) // the next tick, before those of tick 6 that wait longer
		}
	}
	calls := 0
	for now := 7 * tick; m.w.next() <= now; calls++ {
		before := m.fired
		m.w.advance(now, most, m)
		require.LessOrEqual(t, m.fired-before, most+fireAhead)
		if m.w.count > 0 {
			require.GreaterOrEqual(t, m.fired-before, most)
		}
	}
	require.Equal(t, n+1, m.fired)
	require.InDelta(t, n/most, calls, 3)
	require.Empty(t, m.due)
	require.EqualValues(t, 7, m.w.tick)
}

type nobody struct{}

func (nobody) timerSoon(uint32)  {}
func (nobody) timerFired(uint32) {}

func TestCyclic_RunsOncePerPeriod(t *testing.T) {
	h := newHost(t, hostConfig{})
	var at []int64
	i := h.every(1000, func(s *Stack) { at = append(at, s.now-hostStart) })
	require.Equal(t, int64(Forever), h.NextTimeout())
	h.startCyclic(i)
	h.advance(500)
	h.startCyclic(i) // it runs already
	h.advance(2600)
	require.Equal(t, []int64{1000, 2000, 3000}, at)
	h.stopCyclic(i)
	h.advance(5000)
	require.Len(t, at, 3)
	require.Equal(t, int64(Forever), h.NextTimeout())
	h.startCyclic(i)
	h.Poll(h.now + 10_000)
	require.Len(t, at, 4, "what was missed is not made up for")
}

func TestNextTimeout_IsTheEarliest(t *testing.T) {
	h := newHost(t, hostConfig{})
	a, b := h.every(5000, func(s *Stack) {}), h.every(3000, func(s *Stack) {})
	h.startCyclic(a)
	h.startCyclic(b)
	require.Equal(t, h.now+3000, h.NextTimeout())
	var got []int64
	for range 3 {
		got = append(got, h.NextTimeout()-hostStart)
		h.Poll(h.NextTimeout())
	}
	require.True(t, slices.IsSorted(got))
	require.Equal(t, []int64{3000, 5000, 6000}, got)
}
