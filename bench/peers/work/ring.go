package work

import (
	"runtime"
	"time"

	"github.com/shardstack/shardstack/affinity"
)

// RingSlots is the size of the rings that are compared.
const RingSlots = 1024

// ringLap is how many pointers are handed over between looks at the clock, a
// multiple of every batch.
const ringLap = 1 << 22

// HandOver gives the nanoseconds a pointer takes from produce, on the first
// core, to consume, on the second; each moves the n pointers it is told to.
func (s *Spec) HandOver(produce, consume func(n uint64)) (float64, error) {
	if len(s.Cores) < 2 {
		return 0, Missing("it needs two cores")
	}
	// The pinned threads never yield.
	runtime.GOMAXPROCS(3)
	if err := s.lap(produce, consume, ringLap/8); err != nil { // warms up
		return 0, err
	}
	var n uint64
	begun := time.Now()
	for time.Since(begun) < s.Time {
		if err := s.lap(produce, consume, ringLap); err != nil {
			return 0, err
		}
		n += ringLap
	}
	return float64(time.Since(begun).Nanoseconds()) / float64(n), nil
}

// lap runs both ends on pinned threads until n pointers are over.
func (s *Spec) lap(produce, consume func(n uint64), n uint64) error {
	errs := make(chan error, 2)
	for i, f := range []func(uint64){produce, consume} {
		go func() {
			runtime.LockOSThread() // never unlocked: the pinned thread ends with us
			err := affinity.Pin(s.Cores[i])
			if err == nil {
				f(n)
			}
			errs <- err
		}()
	}
	err := <-errs
	if e := <-errs; err == nil {
		err = e
	}
	return err
}
