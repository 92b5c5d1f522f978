package work

// InFlight is how many messages of RR are under way at a time on each core
// that runs clients. With more connections than that they take turns, so that
// what many connections cost isn't mixed with what long queues cost: so many fit
// into a core's second-level cache on every system.
const InFlight = 256

// Turns gives connections their turns: a queue of those that wait. For one
// thread.
type Turns[T any] struct {
	wait []T
	head int
}

// Begin takes all connections and gives those that may send at once.
func (t *Turns[T]) Begin(all []T, limit int) []T {
	n := min(limit, len(all))
	t.wait = append([]T(nil), all[n:]...)
	t.head = 0
	return all[:n]
}

// Next is called with a connection that has its answer and gives the one that
// sends next.
func (t *Turns[T]) Next(done T) T {
	if len(t.wait) == 0 {
		return done
	}
	next := t.wait[t.head]
	t.wait[t.head] = done
	if t.head++; t.head == len(t.wait) {
		t.head = 0
	}
	return next
}
