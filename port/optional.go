package port

import (
	"errors"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/rss"
)

// Errors of ports. Drivers wrap them; match with errors.Is.
var (
	// ErrNotSupported: the device, the kernel or the platform can't do this.
	ErrNotSupported = errors.New("port: not supported")
	// ErrConfig: a configuration, or a pool, contradicts itself or the port.
	ErrConfig = errors.New("port: bad configuration")
	// ErrQueue: there is no such queue.
	ErrQueue = errors.New("port: no such queue")
	// ErrNotAttached: Start, and a queue has no pool.
	ErrNotAttached = errors.New("port: queue without a pool")
	// ErrState: the call is too late: the queue is attached, or the port is
	// started.
	ErrState = errors.New("port: attached or started already")
	// ErrClosed: the port is closed.
	ErrClosed = errors.New("port: closed")
	// ErrBusy: Close while a thread is still in one of the port's queues.
	ErrBusy = errors.New("port: queue in use")
)

// The interfaces below are optional: find them with As, not with a type
// assertion, so that wrapped ports are seen too.

// RETASetter is a port whose redirection table can be changed. Info reports the
// new table.
type RETASetter interface {
	// SetRETA replaces the table, before Start or while frames flow: those that
	// are in a queue already stay there. ErrConfig if the size is not the port's
	// own or an entry names no queue; ErrState if the port can't once it is
	// started. Any thread.
	SetRETA(t rss.RETA) error
}

// HashProber is a port that can say what its RSS makes of a frame.
type HashProber interface {
	// ProbeHash computes, as the port does for frames that arrive, the hash of a
	// frame and the queue that it comes by. The frame stays the caller's. Errors
	// are the device's; ErrNotSupported: it has no RSS. Before Start.
	ProbeHash(frame []byte) (hash uint32, queue int, err error)
}

// KeySetter is a port whose RSS key can be changed. Info reports the new key.
type KeySetter interface {
	// SetKey replaces the key. ErrConfig for a zero key; ErrState if it is too
	// late.
	SetKey(k rss.Key) error
}

// Timed is a port that holds frames until a time of the caller's clock, as a
// simulated wire does. A thread must not sleep beyond NextEvent.
type Timed interface {
	// NextEvent is when RxBurst of queue q will have a frame, in nanoseconds of
	// the clock that is passed to it; a time in the past if it has one now,
	// math.MaxInt64 if none is on its way. Only the thread that owns q may call
	// it.
	NextEvent(q int) int64
}

// Notifier is a port that can call a function when frames arrive, for owners
// of queues that do not sleep in the kernel.
type Notifier interface {
	// Notify has fn called when frames arrive at queue q after the owner has
	// armed what Notify returns: once an Arm, on the thread that brings the
	// frames, in place of the Waiter's FD becoming readable. fn must neither
	// block nor call the port. The owner decides for it or for the Waiter before
	// it arms either; a nil fn is for the Waiter again. Nil: the queue can't do
	// that, or the port is closed.
	Notify(q int, fn func()) Armer
}

// Armer is the part of Waiter that does without a file descriptor.
type Armer interface {
	// Arm asks for a notification. It returns false if frames are there already:
	// then call RxBurst instead of sleeping. The next RxBurst of the queue ends
	// the armed state. Only the owner of the queue may call it.
	Arm() bool
}

// PoolBacker is a port whose device wants received frames in memory of its own,
// as a DPDK mempool is: pools of threads that poll its queues should lie there.
// A port that is attached to another pool still works, at a cost.
type PoolBacker interface {
	// BackPool returns cfg with the Backing of each class set that the port can
	// supply, for the pool of a thread that polls so many of the port's queues;
	// a Backing that is set already stays. What it made goes with Pool.Close, or
	// if there never was a pool, with the Backing's own Close. Any thread.
	// Errors: ErrConfig, ErrClosed or the device's.
	BackPool(cfg pbuf.Config, queues int) (pbuf.Config, error)
}

// Wrapper is a port that passes its calls on to another one.
type Wrapper interface {
	Port
	// Unwrap is the port inside.
	Unwrap() Port
}

// As finds T, one of the optional interfaces or a driver's own type, in p or in
// the ports that p wraps.
func As[T any](p Port) (T, bool) {
	for {
		if t, ok := p.(T); ok {
			return t, true
		}
		w, ok := p.(Wrapper)
		if !ok {
			var none T
			return none, false
		}
		p = w.Unwrap()
	}
}
