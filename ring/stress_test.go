package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// stressCount is how many elements go through a ring.
func stressCount() uint64 {
	if testing.Short() {
		return 20_000
	}
	return 100_000
}

// together runs all at once and gives the first error.
func together(t *testing.T, fs ...func() error) {
	t.Helper()
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// stressSPSC sends numbered elements through a ring, in batches from 0 to
// beyond its capacity and one by one, and checks each that arrives.
func stressSPSC[T any](t *testing.T, capacity int, number func(uint64) T, check func(T, uint64) bool) {
	t.Helper()
	r := newSPSC[T](t, capacity)
	// Begin shortly before the indices wrap.
	start := math.MaxUint64 - stressCount()/2
	r.prod = side{peer: start}
	r.prod.store(start)
	r.cons = side{peer: start}
	r.cons.store(start)

	produce := func() error {
		rng := rand.New(rand.NewPCG(1, uint64(capacity)))
		batch := make([]T, 0, capacity+2)
		for sent := uint64(0); sent < stressCount(); {
			n := min(uint64(rng.IntN(capacity+3)), stressCount()-sent)
			batch = batch[:0]
			for i := range n {
				batch = append(batch, number(sent+i))
			}
			done := 0
			if n == 1 && r.Push(batch[0]) {
				done = 1
			} else if n > 1 {
				done = r.PushBatch(batch)
			}
			if done == 0 {
				runtime.Gosched()
			}
			sent += uint64(done)
		}
		return nil
	}
	consume := func() error {
		rng := rand.New(rand.NewPCG(2, uint64(capacity)))
		batch := make([]T, capacity+2)
		for got := uint64(0); got < stressCount(); {
			n := rng.IntN(capacity + 3)
			if n != 1 {
				n = r.PopBatch(batch[:n])
			} else if v, ok := r.Pop(); ok {
				batch[0] = v
			} else {
				n = 0
			}
			if n == 0 {
				runtime.Gosched()
			}
			for i, v := range batch[:n] {
				if !check(v, got+uint64(i)) {
					return fmt.Errorf("element %d is %v", got+uint64(i), v)
				}
			}
			got += uint64(n)
			if l := r.Len(); l < 0 || l > capacity {
				return fmt.Errorf("length %d", l)
			}
		}
		return nil
	}
	together(t, produce, consume)
	require.Zero(t, r.Len())
}

func TestSPSCStress(t *testing.T) {
	type wide struct {
		a, b uint64
		c    uint8
	}
	for _, capacity := range []int{2, 4, 64, 1024} {
		t.Run(fmt.Sprintf("word/%d", capacity), func(t *testing.T) {
			t.Parallel()
			stressSPSC(t, capacity, func(i uint64) uint64 { return i },
				func(v, i uint64) bool { return v == i })
		})
		t.Run(fmt.Sprintf("struct/%d", capacity), func(t *testing.T) {
			t.Parallel()
			stressSPSC(t, capacity, func(i uint64) wide { return wide{i, ^i, uint8(i)} },
				func(v wide, i uint64) bool { return v == wide{i, ^i, uint8(i)} })
		})
		// What the pointer leads to is written without atomics: the race
		// detector sees whether the ring orders it.
		t.Run(fmt.Sprintf("pointer/%d", capacity), func(t *testing.T) {
			t.Parallel()
			stressSPSC(t, capacity, func(i uint64) *wide { return &wide{a: i} },
				func(v *wide, i uint64) bool { ok := v.a == i; v.b = i; return ok })
		})
	}
}

// TestBellStress has producers wake a consumer that sleeps whenever it finds
// nothing. A wake-up that is lost leaves it asleep for good.
func TestBellStress(t *testing.T) {
	const producers = 3
	var bell Bell
	var rings [producers]*SPSC[uint64]
	wake := make(chan struct{}, 1) // as an eventfd: full is as good as more
	fs := make([]func() error, 0, producers+1)
	for i := range rings {
		rings[i] = newSPSC[uint64](t, 8)
		fs = append(fs, func() error {
			for n := uint64(0); n < stressCount()/4; {
				if rings[i].Push(n) {
					n++
				} else {
					runtime.Gosched()
				}
				if bell.Ring() {
					select {
					case wake <- struct{}{}:
					default:
					}
				}
			}
			return nil
		})
	}
	fs = append(fs, func() error {
		var next [producers]uint64
		for left := producers * (stressCount() / 4); left > 0; {
			found, err := takeAll(&rings, &next)
			if err != nil {
				return err
			}
			if left -= found; found > 0 {
				continue
			}
			bell.Arm()
			if rings[0].Len()+rings[1].Len()+rings[2].Len() == 0 {
				<-wake
			}
			bell.Disarm()
		}
		return nil
	})
	together(t, fs...)
}

// takeAll pops what is there and gives how many it was.
func takeAll(rings *[3]*SPSC[uint64], next *[3]uint64) (found uint64, err error) {
	for i, r := range rings {
		for v, ok := r.Pop(); ok; v, ok = r.Pop() {
			if v != next[i] {
				return found, fmt.Errorf("ring %d: %d instead of %d", i, v, next[i])
			}
			next[i]++
			found++
		}
	}
	return found, nil
}

// TestSnapshotStress checks that no copy is torn, and that none is older than
// the one before.
func TestSnapshotStress(t *testing.T) {
	type stats struct{ words [37]uint64 }
	var snap Snapshot[stats]
	var stop Flag
	write := func() error {
		var s stats
		for n := range stressCount() {
			for i := range s.words {
				s.words[i] = n + 1
			}
			snap.Publish(&s)
		}
		stop.Set()
		return nil
	}
	read := func() error {
		var s stats
		for last := uint64(0); ; {
			over := stop.IsSet()
			count := snap.Load(&s)
			for _, w := range s.words {
				if w != count {
					return fmt.Errorf("torn: %v, count %d", s.words, count)
				}
			}
			if count < last {
				return fmt.Errorf("publication %d after %d", count, last)
			}
			if last = count; over {
				if count != stressCount() {
					return fmt.Errorf("last publication is %d", count)
				}
				return nil
			}
		}
	}
	together(t, write, read, read)
}

// TestWordsStress has several threads use the small words at once.
func TestWordsStress(t *testing.T) {
	type phase uint32
	var flag Flag
	var state State[phase]
	var count, firsts, moves Counter
	f := func() error {
		for i := range phase(1000) {
			count.Add(2)
			count.Inc()
			if state.Move(i, i+1) {
				moves.Inc()
			}
			for state.Load() < i+1 {
				runtime.Gosched()
			}
		}
		if flag.Set() {
			firsts.Inc()
		}
		return nil
	}
	together(t, f, f, f)
	require.EqualValues(t, 9000, count.Load())
	require.EqualValues(t, 1, firsts.Load())
	require.EqualValues(t, 1000, moves.Load(), "each move is made by one")
	require.EqualValues(t, 1000, state.Load())
}
