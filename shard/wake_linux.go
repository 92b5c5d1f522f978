package shard

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/port"
)

// threadWaker puts a shard's thread to sleep in ppoll on the descriptors of its
// ports and an eventfd, by which any thread wakes it.
type threadWaker struct {
	fds []unix.PollFd // the eventfd first

	mu     sync.Mutex // of event, which must not be written once it is closed
	event  int
	opened bool
}

func newThreadWaker() (*threadWaker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("shard: eventfd: %w", err)
	}
	w := &threadWaker{event: fd, opened: true}
	w.fds = append(w.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	return w, nil
}

// add has sleep end when frames arrive. For the shard's thread, or before it
// runs.
func (w *threadWaker) add(p port.Waiter) {
	w.fds = append(w.fds, unix.PollFd{Fd: int32(p.FD()), Events: unix.POLLIN})
}

// drop undoes the last n calls of add.
func (w *threadWaker) drop(n int) { w.fds = w.fds[:len(w.fds)-n] }

func (w *threadWaker) wake() {
	one := [8]byte{1} // of either byte order: any number but 0 will do
	w.mu.Lock()
	if w.opened {
		// The counter can't overflow: it is cleared with every sleep.
		_, _ = unix.Write(w.event, one[:])
	}
	w.mu.Unlock()
}

// sleep: a signal ends it early.
func (w *threadWaker) sleep(now, until int64) (woken bool) {
	ns := until - now
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

func (w *threadWaker) close() {
	w.mu.Lock()
	if w.opened {
		w.opened = false
		_ = unix.Close(w.event) // an eventfd holds nothing that could be lost
	}
	w.mu.Unlock()
}
