package netconn

import (
	"slices"
	"sync"

	"go.uber.org/atomic"
)

// Who has to listen to the shard while goroutines sleep? The rule, which holds
// whenever a lane's lock is free and its waiters are not 0, is that
//
//   - the bell is set (armed), or
//   - one goroutine polls the ring (spinning), or
//   - goroutines that were readied have not run yet (awake): each looks after
//     the rule when it unlocks.
//
// A wake-up is not lost, as everybody who starts to wait first stores that it
// does (in the word that the shard looks at, and in the bell unless it is set)
// and then looks at the ring once more, while the shard first pushes and then
// looks at bell and word. The atomics are sequentially consistent: one of the
// two sees what the other did (Dekker).

// waiter is a goroutine's place to sleep; one at a time uses it.
type waiter struct {
	cond       sync.Cond // of the lane's lock
	word       *atomic.Uint32
	bit        uint32 // set in word while waiting, for the shard
	waiting    bool
	next, prev *waiter // in lane.asleep
}

// init makes a waiter of a lane.
func (w *waiter) init(l *lane, word *atomic.Uint32, bit uint32) {
	w.cond.L = &l.mu
	w.word, w.bit = word, bit
}

// block waits until ready(w), or for a while. The lock is held before and
// after, and the caller, who has found nothing in the rings just now, looks
// again at what it waits for.
func (l *lane) block(w *waiter) {
	if l.spin() {
		return // without the lock: others may have drained what is ours
	}
	w.waiting = true
	w.word.Store(w.word.Load() | w.bit)
	w.next, w.prev = l.asleep, nil
	if w.next != nil {
		w.next.prev = w
	}
	l.asleep = w
	l.waiters++
	if l.dead.IsSet() { // the watcher, who wakes all, may have been here before
		l.ready(w)
	}
	l.settle()
	for w.waiting {
		w.cond.Wait()
	}
	l.awake--
}

// blockForBuffers is block for one who needs buffers of the pool.
func (l *lane) blockForBuffers(w *waiter) {
	l.bufq = append(l.bufq, w)
	if !l.wantBufs.IsSet() {
		l.wantBufs.Set()
	}
	if !l.pending() && (!l.strays.any.IsSet() || l.takeStrays() == 0) {
		l.block(w)
	}
	i := slices.Index(l.bufq, w)
	l.bufq = slices.Delete(l.bufq, i, i+1)
	if len(l.bufq) == 0 && l.wantBufs.IsSet() {
		l.wantBufs.Clear()
	}
}

// ready ends a wait.
func (l *lane) ready(w *waiter) {
	if !w.waiting {
		return
	}
	w.waiting = false
	w.word.Store(w.word.Load() &^ w.bit)
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.asleep = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.next, w.prev = nil, nil
	l.waiters--
	l.awake++
	w.cond.Signal()
}

// settle makes the rule above hold, and looks at the rings once more.
func (l *lane) settle() {
	if !l.armed && !l.spinning && l.awake == 0 {
		l.armed = true
		l.bell.Set()
	}
	if l.pending() {
		l.drain()
	}
}

// disarm takes the bell back: whoever does that listens itself.
func (l *lane) disarm() {
	if l.armed {
		l.armed = false
		l.bell.Clear()
	}
}

// join and leave count a goroutine that waits on several lanes at once, for an
// inbox.
func (l *lane) join() {
	l.lock()
	l.waiters++
	l.settle()
	l.unlock()
}

func (l *lane) leave() {
	l.lock()
	l.waiters--
	l.unlock()
}
