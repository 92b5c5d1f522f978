package shard

import (
	"time"

	"github.com/shardstack/shardstack/pbuf"
)

// Sleep is not worth its system call when the next event is nearer than
// minSleep. While something waits for room in a port or a ring, a sleep lasts
// retrySleep at the most: nobody rings when there is room again.
const (
	minSleep   = int64(5 * time.Microsecond)
	retrySleep = int64(50 * time.Microsecond)
)

// yieldWhile is how long a shard without a thread tries again and again, with
// others running in between, before it sleeps for retrySleep: the runtime's
// timers may come a millisecond late.
const yieldWhile = int64(time.Millisecond)

// park sleeps until something comes or is due, and returns when it woke. It arms
// the bell and the ports, and does a whole round in between, at now: whoever
// pushed before it saw the bell armed is found by that round, all others ring
// (see ring.Bell). 0: there is something to do, or will be in a moment, and it
// did not sleep.
func (s *Shard) park(now int64) (woke int64) {
	s.bell.Arm()
	defer s.bell.Disarm()
	s.account(now)
	if s.round(now) != 0 {
		s.busyAt = now
		return 0
	}
	for _, a := range s.armers {
		if !a.Arm() {
			return 0 // packets are there
		}
	}
	// The group stops by a flag, set before it rings.
	if s.posted.IsSet() || s.g.stopping.IsSet() {
		return 0
	}
	until := min(s.next(), now+s.g.maxSleep)
	if s.blocked() {
		if !s.threaded && now-s.busyAt < yieldWhile {
			return 0
		}
		// What is overdue after a round is what could not be sent: no timer.
		if until = min(until, now+retrySleep); until <= now {
			until = now + retrySleep
		}
	}
	if until < now+minSleep { // no subtraction: NextEvent may be math.MinInt64
		return 0
	}
	s.n.Sleeps++
	if now-s.snapAt >= snapshotFresh {
		s.publish(now) // for those who read it meanwhile
	} else {
		until = min(until, s.snapAt+snapshotFresh+minSleep)
	}
	rung := s.waker.sleep(now, until)
	woke = Now()
	s.n.SleepNanos += uint64(woke - now)
	if rung {
		s.n.Wakeups++
	}
	s.prev = 0 // the time between rounds starts anew
	return woke
}

// next is when the shard has to run again of its own accord.
func (s *Shard) next() int64 {
	t := s.stack.NextTimeout()
	for _, p := range s.pollers {
		t = min(t, p.Next())
	}
	for i := range s.ports {
		sp := &s.ports[i]
		if sp.timed == nil {
			continue
		}
		for _, q := range sp.queues {
			t = min(t, sp.timed.NextEvent(q))
		}
	}
	return t
}

// blocked reports whether something could not be sent and is to be tried again.
func (s *Shard) blocked() bool {
	for i := range s.ports {
		if s.ports[i].refused {
			return true
		}
	}
	for i := range s.lanes {
		if len(s.lanes[i].tell) != 0 {
			return true
		}
	}
	for id, ok := s.pool.NextForeign(0); ok; id, ok = s.pool.NextForeign(id + 1) {
		if s.g.byPool[id] != nil {
			return true
		}
		if id == pbuf.MaxPools-1 {
			break
		}
	}
	return false
}

// account keeps the times of rounds.
func (s *Shard) account(now int64) {
	if s.prev != 0 {
		d := now - s.prev
		s.gap = max(s.gap, d)
		s.n.Gaps[gapBucket(d)]++
		if s.prevBusy {
			s.n.BusyNanos += uint64(d)
		}
	}
	s.prev = now
}
