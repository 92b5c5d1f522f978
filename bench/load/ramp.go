package load

import "github.com/shardstack/shardstack/stack"

// rampMax is the most connections that clients open at a time which keep them:
// less than the least backlog of usual systems.
const rampMax = 256

// ramp says which of a client's slots may open its connection. All at once
// would overflow what lies on the way (the wait for a neighbour, the port's
// queue, the peer's backlog) and measure retransmissions. So it begins with
// one, and each that succeeds lets one more be under way, as slow start does.
type ramp[T any] struct {
	ready   fifo[*T] // may be opened now
	later   fifo[*T] // at laterAt
	laterAt int64
	opening int // SYN sent, not answered
	window  int
	max     int // of window
}

func newRamp[T any](slots []T, max int) ramp[T] {
	r := ramp[T]{ready: newFIFO[*T](len(slots)), later: newFIFO[*T](len(slots)), window: 1, max: max}
	for i := range slots {
		r.ready.push(&slots[i])
	}
	return r
}

// may reports whether a slot may open its connection.
func (r *ramp[T]) may() bool { return r.ready.n > 0 && r.opening < r.window }

// take gives the next slot to open; it counts as being opened.
func (r *ramp[T]) take() *T {
	r.opening++
	return r.ready.pop()
}

// opened books a success.
func (r *ramp[T]) opened() {
	r.opening--
	r.window = min(r.window+1, r.max)
}

// again lets a slot open a connection at once; it has none and isn't opening.
func (r *ramp[T]) again(s *T) { r.ready.push(s) }

// failed lets a slot open a connection anew at the time at; opening says that
// it was about to.
func (r *ramp[T]) failed(s *T, at int64, opening bool) {
	if opening {
		r.opening--
	}
	if r.later.n == 0 {
		r.laterAt = at
	}
	r.later.push(s)
}

// release moves the slots whose time has come.
func (r *ramp[T]) release(now int64) {
	if now < r.laterAt {
		return
	}
	for r.later.n > 0 {
		r.ready.push(r.later.pop())
	}
}

// next is when a slot may be opened that can't be now.
func (r *ramp[T]) next() int64 {
	if r.later.n == 0 {
		return stack.Forever
	}
	return r.laterAt
}
