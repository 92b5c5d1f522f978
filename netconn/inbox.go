package netconn

import (
	"net"
	"os"
	"sync"
	"time"

	"go.uber.org/atomic"
)

// inbox is what comes from all lanes to one place: connections to accept,
// datagrams to read. Whoever drains a lane puts things in, with the lane's lock
// held; mu comes after it.
type inbox struct {
	net   *Net
	lanes []*lane
	waits atomic.Uint32 // the shards' view: somebody waits

	mu      sync.Mutex
	cond    sync.Cond
	n       int // things in it; the owner counts
	waiting int
	closed  bool
	dl      deadline
}

func (b *inbox) init(n *Net, lanes []*lane) {
	b.net, b.lanes = n, lanes
	b.cond.L = &b.mu
}

// added says that there is one thing more. mu is held.
func (b *inbox) added() {
	b.n++
	if b.waiting > 0 {
		b.cond.Signal()
	}
}

// failed is why nothing can be taken out. mu is held.
func (b *inbox) failed() error {
	switch {
	case b.closed:
		return net.ErrClosed
	case b.dl.expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// await returns with mu held when there is something in the inbox, or with an
// error.
func (b *inbox) await() error {
	b.mu.Lock()
	for {
		if err := b.failed(); err != nil || b.n > 0 {
			return err
		}
		b.mu.Unlock()
		found := false
		for _, l := range b.lanes {
			l.lock()
			err := l.usable()
			if err == nil {
				found = l.drain() || found
			}
			if err == nil && !found && len(b.lanes) == 1 {
				l.spin() // sleep looks again
			}
			l.unlock()
			if err != nil {
				b.mu.Lock()
				return err
			}
		}
		b.mu.Lock()
		if !found {
			b.sleep()
		}
	}
}

// sleep waits until something is added or an interrupt. mu is held before and
// after.
func (b *inbox) sleep() {
	b.waiting++
	b.waits.Store(1)
	b.mu.Unlock()
	for _, l := range b.lanes {
		l.join()
	}
	b.mu.Lock()
	for b.n == 0 && b.failed() == nil && !b.lanes[0].dead.IsSet() {
		b.cond.Wait()
	}
	if b.waiting--; b.waiting == 0 {
		b.waits.Store(0)
	}
	b.mu.Unlock()
	for _, l := range b.lanes {
		l.leave()
	}
	b.mu.Lock()
}

// interrupt makes all who wait look again.
func (b *inbox) interrupt() {
	b.mu.Lock()
	b.cond.Broadcast()
	b.mu.Unlock()
}

// setDeadline is SetReadDeadline or SetDeadline of the inbox's owner.
func (b *inbox) setDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	if b.dl.set(t, b.deadlineFired) {
		b.cond.Broadcast()
	}
	return nil
}

func (b *inbox) deadlineFired() {
	b.mu.Lock()
	if b.dl.fired() {
		b.cond.Broadcast()
	}
	b.mu.Unlock()
}

// shut closes the inbox; false if it was closed before.
func (b *inbox) shut() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.closed = true
	b.dl.stop()
	b.cond.Broadcast()
	return true
}
