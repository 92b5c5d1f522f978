package ring

import "go.uber.org/atomic"

// Flag is a condition that one thread sets and others look at often, as "stop".
// Looking is one load of a line that nobody else writes. The zero value is not
// set. Any thread may call any method.
type Flag struct {
	_ noCopy
	_ around
	v atomic.Uint32
	_ around
}

// Set sets the flag; true if it was not set before, so that of several callers
// one is told that it was the first.
func (f *Flag) Set() (first bool) { return f.v.Swap(1) == 0 }

// Clear unsets the flag; true if it was set before.
func (f *Flag) Clear() (was bool) { return f.v.Swap(0) != 0 }

// IsSet tells whether the flag is set.
func (f *Flag) IsSet() bool { return f.v.Load() != 0 }

// State is a small state machine that several threads look at and move: S is
// the caller's enumeration. The zero value is state 0. Any thread may call any
// method.
type State[S ~uint32] struct {
	_ noCopy
	_ around
	v atomic.Uint32
	_ around
}

// Load is the present state.
func (s *State[S]) Load() S { return S(s.v.Load()) }

// Store enters a state whatever the present one is.
func (s *State[S]) Store(to S) { s.v.Store(uint32(to)) }

// Move goes from one state to another; false, with nothing changed, if the
// present state is not from.
func (s *State[S]) Move(from, to S) bool {
	return s.v.CompareAndSwap(uint32(from), uint32(to))
}

// Counter is a count that any thread may add to and read. Adding is a locked
// instruction, and a cache line's journey where several threads do it: the data
// path counts in plain fields of the shard and publishes them with a Snapshot.
// A Counter is one word without padding, so that those that one thread writes
// can lie together; put a Pad between groups. The zero value is 0.
type Counter struct {
	_ noCopy
	v atomic.Uint64
}

// Add adds n and returns the new count.
func (c *Counter) Add(n uint64) uint64 { return c.v.Add(n) }

// Inc adds one and returns the new count.
func (c *Counter) Inc() uint64 { return c.v.Add(1) }

// Load is the present count.
func (c *Counter) Load() uint64 { return c.v.Load() }

// Ref is a reference to a value that never changes, which one thread replaces
// and others look at often, as a table. Looking is one load. The zero value
// refers to nothing. Any thread may call any method.
type Ref[T any] struct {
	_ noCopy
	p atomic.Pointer[T]
}

// Load is the present value, nil before the first Store.
func (r *Ref[T]) Load() *T { return r.p.Load() }

// Store replaces the value. What it refers to must not change any more.
func (r *Ref[T]) Store(v *T) { r.p.Store(v) }

// Swap replaces old by v; false, with nothing changed, if the present value is
// another.
func (r *Ref[T]) Swap(old, v *T) bool { return r.p.CompareAndSwap(old, v) }
