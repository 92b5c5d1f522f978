package shard

import (
	"time"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
)

// Sleep is not worth its system call when the next event is nearer than
// minSleep. While something waits for room in a port or a ring, a sleep lasts
// retrySleep at the most: nobody rings when there is room again.
const (
	minSleep   = int64(5 * time.Microsecond)
	retrySleep = int64(50 * time.Microsecond)
)

// park sleeps until something comes or is due. It arms the bell and the ports,
// and does a whole round in between: whoever pushed before it saw the bell
// armed is found by that round, all others ring (see ring.Bell).
func (s *Shard) park() {
	s.bell.Arm()
	defer s.bell.Disarm()
	now := Now()
	s.account(now)
	if s.round(now) != 0 {
		s.busyAt = now
		return
	}
	for _, w := range s.waker.waiters {
		if !w.Arm() {
			return // packets are there
		}
	}
	// The group stops by a flag, set before it rings.
	if s.posted.IsSet() || s.g.stopping.IsSet() {
		return
	}
	until := min(s.next(), now+s.g.maxSleep)
	if s.blocked() {
		until = min(until, now+retrySleep)
	}
	start := Now()
	if until-start < minSleep {
		return
	}
	s.n.Sleeps++
	s.publish(now) // for those who read it meanwhile
	rung := s.waker.sleep(until - start)
	s.n.SleepNanos += uint64(Now() - start)
	if rung {
		s.n.Wakeups++
	}
	s.prev = 0 // the time between rounds starts anew
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

// waitersOf collects what shard s sleeps on, and reports whether one of its
// queues has to be polled instead.
func (s *Shard) waitersOf() (ws []port.Waiter, polled bool) {
	for i := range s.ports {
		for _, q := range s.ports[i].queues {
			if w := s.ports[i].port.Waiter(q); w != nil {
				ws = append(ws, w)
			} else {
				polled = true
			}
		}
	}
	return ws, polled
}

// account keeps the times of rounds.
func (s *Shard) account(now int64) {
	if s.prev != 0 {
		d := now - s.prev
		s.gap = max(s.gap, d)
		if s.prevBusy {
			s.n.BusyNanos += uint64(d)
		}
	}
	s.prev = now
}
