package ring

import (
	"errors"
	"fmt"
	"math/bits"

	"go.uber.org/atomic"
)

// ErrCapacity says that the capacity asked for is not a power of two of at
// least 2, or is more than MaxCapacity.
var ErrCapacity = errors.New("ring: capacity is not a power of two from 2 to 2^30")

// MaxCapacity is the largest capacity of an SPSC, in elements.
const MaxCapacity = 1 << 30

// SPSC is a bounded first-in-first-out queue between one producer thread and
// one consumer thread (or goroutine). It never blocks, allocates nothing after
// NewSPSC, and neither side ever waits for the other: each method finishes in
// a bounded number of its own steps. Make one with NewSPSC; the zero value has
// no slots.
//
// Push and PushBatch are the producer's, Pop and PopBatch the consumer's. Two
// threads may take turns in a role if something else orders the turns (a
// mutex, a channel). Len, Free and Cap may be called by anyone.
//
// Indices count elements ever pushed (tail) and ever popped (head) and wrap at
// 2^64; a slot is the index masked. All slots are used.
//
// If T holds Go pointers, slots are cleared as they are popped, so that the
// ring keeps nothing alive. That makes the consumer write to slots which it
// otherwise only reads; elements without pointers (uintptr, integers, structs
// of them) are faster.
type SPSC[T any] struct {
	_ noCopy

	// Set by NewSPSC, only read afterwards: shared by both caches.
	slots []T
	mask  uint64
	clear bool
	_     [PadSize - 24 - 8 - 1]byte

	prod side // tail; peer is head as the producer last saw it
	cons side // head; peer is tail as the consumer last saw it
}

// side is what one thread writes: its index, which the other reads, and its
// memory of the other's index, which is its own. They may share a line, as
// nobody else writes either.
type side struct {
	index atomic.Uint64
	peer  uint64

	pausedAt uint64 // index at the last pause
	turns    uint32 // its length
	_        [PadSize - 3*wordSize - 4]byte
}

// load and store are not for looks. A package that instantiates SPSC can
// inline into it what this package was seen to inline itself, and this package
// instantiates nothing: calls of atomic.Uint64 straight from the generic code
// would stay calls.
func (s *side) load() uint64       { return s.index.Load() }
func (s *side) store(index uint64) { s.index.Store(index) }

// NewSPSC makes an empty ring for capacity elements: a power of two from 2 to
// MaxCapacity, else ErrCapacity.
func NewSPSC[T any](capacity int) (*SPSC[T], error) {
	if capacity < 2 || capacity > MaxCapacity || bits.OnesCount(uint(capacity)) != 1 {
		return nil, fmt.Errorf("%w: %d", ErrCapacity, capacity)
	}
	return &SPSC[T]{
		slots: makeSlots[T](capacity),
		mask:  uint64(capacity) - 1,
		clear: hasPointers[T](),
	}, nil
}

// Push adds v at the end; false if the ring is full. Producer only.
func (r *SPSC[T]) Push(v T) bool {
	tail := r.prod.load()
	if tail-r.prod.peer > r.mask {
		r.prod.peer = r.cons.load()
		if tail-r.prod.peer > r.mask {
			return false
		}
	}
	r.slots[tail&r.mask] = v
	r.prod.store(tail + 1)
	return true
}

// PushBatch adds the first n of vs in order, as many as there is room for, and
// returns n. The consumer sees all of them at once. Producer only.
func (r *SPSC[T]) PushBatch(vs []T) int {
	tail := r.prod.load()
	room := r.mask + 1 - (tail - r.prod.peer)
	if room < uint64(len(vs)) {
		r.prod.peer = r.cons.load()
		room = r.mask + 1 - (tail - r.prod.peer)
		if room < uint64(len(vs)) {
			vs = vs[:room]
		}
	}
	if len(vs) == 0 {
		return 0
	}
	if n := copy(r.slots[tail&r.mask:], vs); n < len(vs) {
		copy(r.slots, vs[n:])
	}
	r.prod.store(tail + uint64(len(vs)))
	return len(vs)
}

// Pop takes the first element; false if the ring is empty. Consumer only.
func (r *SPSC[T]) Pop() (v T, ok bool) {
	head := r.cons.load()
	if head == r.cons.peer {
		r.cons.peer = r.prod.load()
		if head == r.cons.peer {
			return v, false
		}
	}
	slot := &r.slots[head&r.mask]
	v = *slot
	if r.clear {
		var zero T
		*slot = zero
	}
	r.cons.store(head + 1)
	return v, true
}

// PopBatch moves up to len(dst) elements in order to the start of dst and
// returns how many; dst beyond that is left alone. Consumer only.
func (r *SPSC[T]) PopBatch(dst []T) int {
	head := r.cons.load()
	ready := r.cons.peer - head
	if ready < uint64(len(dst)) {
		r.cons.peer = r.prod.load()
		ready = r.cons.peer - head
		if ready < uint64(len(dst)) {
			dst = dst[:ready]
		}
	}
	if len(dst) == 0 {
		return 0
	}
	first := r.slots[head&r.mask:]
	n := copy(dst, first)
	if n < len(dst) {
		copy(dst[n:], r.slots)
	}
	if r.clear {
		clear(first[:n])
		clear(r.slots[:len(dst)-n])
	}
	r.cons.store(head + uint64(len(dst)))
	return len(dst)
}

// Len is the number of elements in the ring. For the consumer it is a lower
// bound (more may have come since), for the producer an upper bound, for
// others a value that was possible a moment ago; always from 0 to Cap.
func (r *SPSC[T]) Len() int {
	// head first: tail, read later, is then never behind it.
	head := r.cons.load()
	n := r.prod.load() - head
	return int(min(n, r.mask+1))
}

// Free is Cap less Len: for the producer, a number of elements that fit for
// certain.
func (r *SPSC[T]) Free() int { return r.Cap() - r.Len() }

// Cap is the number of elements that fit.
func (r *SPSC[T]) Cap() int { return len(r.slots) }
