package ring

import (
	"sync"

	"go.uber.org/atomic"
)

// Snapshot passes a struct of statistics from the one thread that keeps it to
// any number of readers, always as a whole: a reader gets a T exactly as it
// was given to some Publish, the last one or, if one is just under way, the
// one before, and never an older one than a Load before it got. The zero value
// holds a zero T.
//
// It is a triple buffer. The writer fills a buffer of its own and exchanges it
// for the middle one in one atomic step; readers, one at a time, exchange theirs
// for the middle one if that is newer, and copy. So the writer neither waits nor
// retries: a Publish is a plain copy of T and one exchange, however many read. A
// seqlock, to be clean under the race detector, would need an atomic store for
// each word of T. Readers wait for each other's copy only.
//
// The price is space: 3*(sizeof(T)+8) bytes and some 6*PadSize of padding. If T
// holds pointers, a snapshot keeps alive what the last three published hold.
type Snapshot[T any] struct {
	_ noCopy

	// The writer's.
	back  uint32 // the buffer that it fills next
	count uint64 // publications so far
	_     Pad

	middle atomic.Uint32 // buffer index, and fresh if it is newer than front
	_      Pad

	// The readers'.
	mu    sync.Mutex
	front uint32
	_     Pad

	buf [3]snapshotBuf[T]
}

// snapshotBuf is one of the three buffers; whoever holds its index owns it.
type snapshotBuf[T any] struct {
	count uint64
	v     T
	_     Pad
}

// The three buffers change hands by exchanging indices. So that the zero value
// works, they are stored as differences to the start: writer 0, middle 1,
// readers 2.
const (
	middleStart = 1
	frontStart  = 2
	fresh       = 4
	indexMask   = 3
)

// Publish makes a copy of *v the one that readers get. Writer only; it never
// waits.
func (s *Snapshot[T]) Publish(v *T) {
	s.count++
	b := &s.buf[s.back]
	b.count = s.count
	b.v = *v
	old := s.middle.Swap((s.back ^ middleStart) | fresh)
	s.back = (old & indexMask) ^ middleStart
}

// Load copies the last published T to *dst and returns which it was: 1 for the
// first publication, 0 if there was none yet (*dst is then zero). Any thread.
func (s *Snapshot[T]) Load(dst *T) (count uint64) {
	s.mu.Lock()
	if s.middle.Load()&fresh != 0 {
		old := s.middle.Swap((s.front ^ frontStart) ^ middleStart)
		s.front = ((old & indexMask) ^ middleStart) ^ frontStart
	}
	b := &s.buf[s.front^frontStart]
	*dst = b.v
	count = b.count
	s.mu.Unlock()
	return count
}
