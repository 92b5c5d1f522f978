//go:build !linux

package shard

import (
	"time"

	"github.com/shardstack/shardstack/port"
)

// Threads have no numbers here: a Call on the shard's own thread is not
// noticed, and waits for ever.
func (s *Shard) enter()         {}
func (s *Shard) leave()         {}
func (s *Shard) onThread() bool { return false }

// waker puts a shard to sleep on a channel. Ports with descriptors are polled.
type waker struct {
	waiters []port.Waiter
	c       chan struct{}
}

func (w *waker) open([]port.Waiter) error {
	w.c = make(chan struct{}, 1)
	return nil
}

// wake ends the present sleep or the next. Any thread.
func (w *waker) wake() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// sleep waits for ns nanoseconds, a millisecond at the most, and returns
// whether wake ended it.
func (w *waker) sleep(ns int64) (woken bool) {
	t := time.NewTimer(min(time.Duration(ns), time.Millisecond))
	defer t.Stop()
	select {
	case <-w.c:
		return true
	case <-t.C:
		return false
	}
}

func (w *waker) close() {}
