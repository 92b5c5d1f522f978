package shard

import (
	"bytes"
	"runtime"
	"strconv"
	"time"

	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
)

// A shard sleeps in one of two ways. One with a thread of its own sleeps in the
// kernel (threadWaker, by system). One without is an ordinary goroutine and
// sleeps in Go's scheduler (parker): whoever wakes it, a goroutine, another
// shard or a port, puts it in line behind itself, which costs a tenth of what
// two system calls and a change of threads do, and frees the processor for those
// that the shard has just given something.

// waker puts a shard to sleep.
type waker interface {
	// wake ends the present sleep or the next. Any thread.
	wake()
	// sleep waits until a time by Now, which is now, and returns whether wake
	// ended it. It may return early.
	sleep(now, until int64) (woken bool)
	// close gives back what the system lends. wake may still be called.
	close()
}

// parker is the waker of a goroutine. Only timers that come before the one that
// runs are set: of two sleeps in a row the second mostly ends later, and a timer
// that comes too early costs one idle round.
type parker struct {
	c       chan struct{} // with room for the wake-up of the next sleep
	timer   *time.Timer
	fires   int64     // when the timer does, by Now; 0: it does not run
	expired ring.Flag // it has
}

func newParker() *parker {
	p := &parker{c: make(chan struct{}, 1)}
	p.timer = time.AfterFunc(time.Hour, p.expire)
	p.timer.Stop()
	return p
}

func (p *parker) expire() {
	p.expired.Set()
	p.wake()
}

func (p *parker) wake() {
	select {
	case p.c <- struct{}{}:
	default: // one wake-up waits already
	}
}

func (p *parker) sleep(now, until int64) (woken bool) {
	if p.fires == 0 || until < p.fires {
		p.fires = until
		p.timer.Reset(time.Duration(until - now))
	}
	<-p.c
	if !p.expired.IsSet() {
		return true
	}
	// Set again by the next sleep. If it was set anew while the old one was
	// firing, that is once too often, which does no harm.
	p.expired.Clear()
	p.fires = 0
	return false
}

func (p *parker) close() { p.timer.Stop() }

// prepareSleep decides how the shard sleeps and collects what it arms before it
// does. It reports whether one of its queues has to be polled.
func (s *Shard) prepareSleep() (polled bool, err error) {
	if s.mayShare() && s.notified() {
		s.waker = newParker()
		return false, nil
	}
	s.threaded = true
	w, err := newThreadWaker()
	if err != nil {
		return false, err
	}
	s.waker = w
	for i := range s.ports {
		polled = s.watch(w, &s.ports[i]) || polled
	}
	return polled, nil
}

// watch has the thread wake when frames arrive at a port, and reports whether
// one of its queues has to be polled.
func (s *Shard) watch(w *threadWaker, sp *shardPort) (polled bool) {
	for _, q := range sp.queues {
		if x := sp.port.Waiter(q); x != nil {
			w.add(x)
			s.armers = append(s.armers, x)
			sp.armed++
		} else {
			polled = true
		}
	}
	return polled
}

// mayShare reports whether the configuration lets the shard do without a thread
// of its own.
func (s *Shard) mayShare() bool {
	return s.g.cfg.NoPin && !s.g.cfg.OwnThread && s.g.cfg.Idle != Spin
}

// notified asks the ports to wake the shard when frames arrive; false, with all
// asked of them taken back, if one can't.
func (s *Shard) notified() bool {
	for i := range s.ports {
		if !s.notifiedBy(&s.ports[i]) {
			s.unnotified()
			return false
		}
	}
	return true
}

// notifiedBy asks a port; false if it can't, and some of its queues may have been
// asked.
func (s *Shard) notifiedBy(sp *shardPort) bool {
	n, ok := port.As[port.Notifier](sp.port)
	for _, q := range sp.queues {
		var a port.Armer
		if ok {
			a = n.Notify(q, s.Wake)
		}
		if a == nil {
			return false
		}
		s.armers = append(s.armers, a)
		sp.armed++
	}
	return true
}

// unnotified undoes notified.
func (s *Shard) unnotified() {
	s.armers = s.armers[:0]
	for i := range s.ports {
		s.ports[i].armed = 0
		if n, ok := port.As[port.Notifier](s.ports[i].port); ok {
			for _, q := range s.ports[i].queues {
				n.Notify(q, nil)
			}
		}
	}
}

// HasThread reports whether the shard has an OS thread of its own, on which it
// also polls without end; it is a goroutine among others if not (see
// Config.OwnThread). Any thread, once the group has started.
func (s *Shard) HasThread() bool { return s.threaded }

// enter and leave mark the time in which the calling goroutine is the shard's.
func (s *Shard) enter() { s.goid.Store(goroutineID()) }
func (s *Shard) leave() { s.goid.Store(0) }

// onThread reports whether the calling goroutine is the shard's.
func (s *Shard) onThread() bool { return s.goid.Load() == goroutineID() }

// goroutineID is the number of the calling goroutine, as stack traces have it:
// "goroutine 18 [running]:". It takes microseconds.
func goroutineID() int64 {
	var buf [64]byte
	b := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	digits, _, _ := bytes.Cut(b, []byte(" "))
	id, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return -1 // another form of traces: nobody is on a shard's goroutine then
	}
	return id
}
