package shard

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/port"
)

// enter and leave mark the time in which the calling thread is the shard's.
func (s *Shard) enter() { s.tid.Store(int64(unix.Gettid())) }
func (s *Shard) leave() { s.tid.Store(0) }

// onThread reports whether the calling thread is the shard's.
func (s *Shard) onThread() bool { return s.tid.Load() == int64(unix.Gettid()) }

// waker puts a shard's thread to sleep in ppoll on the descriptors of its ports
// and an eventfd, by which any thread wakes it.
type waker struct {
	waiters []port.Waiter
	fds     []unix.PollFd // the eventfd first

	mu     sync.Mutex // of event, which must not be written once it is closed
	event  int
	opened bool
}

func (w *waker) open(waiters []port.Waiter) error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("shard: eventfd: %w", err)
	}
	w.event, w.opened, w.waiters = fd, true, waiters
	w.fds = append(w.fds[:0], unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	for _, p := range waiters {
		w.fds = append(w.fds, unix.PollFd{Fd: int32(p.FD()), Events: unix.POLLIN})
	}
	return nil
}

// wake ends the present sleep or the next. Any thread.
func (w *waker) wake() {
	one := [8]byte{1} // of either byte order: any number but 0 will do
	w.mu.Lock()
	if w.opened {
		// The counter can't overflow: it is cleared with every sleep.
		_, _ = unix.Write(w.event, one[:])
	}
	w.mu.Unlock()
}

// sleep waits for ns nanoseconds at the most, and returns whether wake ended
// it. A signal ends it early.
func (w *waker) sleep(ns int64) (woken bool) {
	ts := unix.NsecToTimespec(ns)
	n, err := unix.Ppoll(w.fds, &ts, nil)
	if err != nil {
		if !errors.Is(err, unix.EINTR) {
			// Without poll the shard can only nap.
			time.Sleep(time.Duration(min(ns, int64(time.Millisecond))))
		}
		return false
	}
	if n == 0 || w.fds[0].Revents == 0 {
		return false
	}
	var b [8]byte
	_, _ = unix.Read(w.event, b[:])
	return true
}

func (w *waker) close() {
	w.mu.Lock()
	if w.opened {
		w.opened = false
		_ = unix.Close(w.event) // an eventfd holds nothing that could be lost
	}
	w.mu.Unlock()
}
