//go:build !linux

package shard

import (
	"time"

	"github.com/shardstack/shardstack/port"
)

// threadWaker puts a shard to sleep on a channel. Ports with descriptors are
// polled.
type threadWaker struct{ c chan struct{} }

func newThreadWaker() (*threadWaker, error) {
	return &threadWaker{c: make(chan struct{}, 1)}, nil
}

// add: what is polled need not be watched.
func (w *threadWaker) add(port.Waiter) {}

// drop undoes the last n calls of add.
func (w *threadWaker) drop(int) {}

func (w *threadWaker) wake() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// sleep waits for a millisecond at the most.
func (w *threadWaker) sleep(now, until int64) (woken bool) {
	ns := until - now
	t := time.NewTimer(min(time.Duration(ns), time.Millisecond))
	defer t.Stop()
	select {
	case <-w.c:
		return true
	case <-t.C:
		return false
	}
}

func (w *threadWaker) close() {}
