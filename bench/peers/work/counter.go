package work

import "go.uber.org/atomic"

// Counter is an atomic counter with cache lines of its own: one thread adds,
// another reads now and then.
type Counter struct {
	_ [128]byte
	n atomic.Uint64
	_ [120]byte
}

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Load reads the counter.
func (c *Counter) Load() uint64 { return c.n.Load() }

// Sum reads many counters.
func Sum(cs []Counter) func() uint64 {
	return func() (n uint64) {
		for i := range cs {
			n += cs[i].Load()
		}
		return n
	}
}
