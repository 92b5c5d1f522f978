package shard

import (
	"fmt"
	"runtime"
	"time"

	"github.com/shardstack/shardstack/affinity"
)

// clockBase makes the clock start near a second: stacks take time 0 for "not
// set".
var clockBase = time.Now().Add(-time.Second)

// Now reads the clock of all shards: monotonic, ns, from about a second at the
// start of the process. Any thread.
func Now() int64 { return int64(time.Since(clockBase)) }

// main is the shard's goroutine. ready is told how Init went.
func (s *Shard) main(ready chan<- error) {
	if s.threaded {
		// Never unlocked: the thread is pinned, and ends with the goroutine.
		runtime.LockOSThread()
		s.pool.BindThread()
	}
	s.enter()
	returned := false
	defer func() {
		if !returned {
			s.g.fail(panicError(s.id, recover()))
		}
		s.end()
		if !returned && !s.started {
			ready <- s.g.Err()
		}
		s.g.running.Done()
	}()
	if err := s.begin(); err != nil {
		ready <- err
	} else {
		s.started = true
		ready <- nil
		if s.threaded {
			s.run()
		} else {
			s.runShared()
		}
	}
	returned = true
}

// begin pins the thread and calls Init.
func (s *Shard) begin() error {
	if s.core >= 0 {
		if err := affinity.Pin(s.core); err != nil {
			return fmt.Errorf("shard %d: %w", s.id, err)
		}
	}
	return s.init(Now())
}

// init sets the clock and calls Init.
func (s *Shard) init(now int64) error {
	s.now = now
	s.stack.SetNow(now)
	if fn := s.g.cfg.Init; fn != nil {
		if err := fn(s); err != nil {
			return fmt.Errorf("shard %d: Init: %w", s.id, err)
		}
	}
	return nil
}

// end is the last that happens on the shard's thread.
func (s *Shard) end() {
	for i := len(s.onStop) - 1; i >= 0; i-- {
		if err := guard(s.id, s.onStop[i]); err != nil {
			s.g.fail(err)
		}
	}
	s.onStop = nil
	s.publish(Now())
	s.mail.close(s.g.whyStopped())
	if s.threaded {
		s.pool.UnbindThread()
	}
	s.leave()
}

// run polls until the group stops.
func (s *Shard) run() {
	policy := s.g.cfg.Idle
	s.busyAt = Now()
	for !s.g.stopping.IsSet() {
		now := Now()
		s.account(now)
		if s.round(now) != 0 {
			s.busyAt = now
			continue
		}
		switch {
		case policy == Spin:
		case policy == Park, now-s.busyAt >= s.spin:
			s.park(now)
		}
	}
}

// runShared is run for a shard without a thread of its own. It falls asleep as
// soon as a round finds nothing: polling on would only keep others waiting, who
// run before it if they have got something in that round.
func (s *Shard) runShared() {
	now := Now()
	s.busyAt = now
	yield := goyield
	if runtime.GOMAXPROCS(0) == 1 {
		// There is no other processor to be moved to, nor one that would take from the
		// queue of all, which the runtime looks at every 61st time only.
		yield = runtime.Gosched
	}
	for !s.g.stopping.IsSet() {
		if now = s.park(now); now == 0 {
			yield()
			now = Now()
		}
	}
}

// round does everything once and returns how much there was to do.
func (s *Shard) round(now int64) (work int) {
	s.now = now
	s.stack.SetNow(now)
	for i := range s.ports {
		work += s.receive(&s.ports[i], now)
	}
	if s.posted.IsSet() {
		s.posted.Clear() // before looking: who pushes from here on sets it again
		work += s.meshIn(now)
		work += s.readMail()
	}
	for _, p := range s.pollers {
		work += p.Poll(now)
	}
	s.stack.Poll(now)
	work += s.transmit(now)
	s.meshOut(work)
	s.prevBusy = work != 0
	s.n.Rounds++
	if work != 0 {
		s.n.BusyRounds++
	}
	if now-s.snapAt >= snapshotEvery {
		s.publish(now)
	}
	return work
}

// receive takes a burst from each of the shard's queues of a port and gives the
// stack what is its own.
func (s *Shard) receive(sp *shardPort, now int64) (work int) {
	for _, q := range sp.queues {
		n := sp.port.RxBurst(q, now, s.burst)
		if n == 0 {
			continue
		}
		work += n
		s.n.RxBursts++
		s.n.RxPackets += uint64(n)
		ps := s.burst[:n]
		if sp.proof != nil {
			s.prove(sp, q, ps)
		}
		if !sp.steer.pass {
			ps = s.steer(sp, ps)
		}
		if s.gro != nil && !sp.joins {
			ps = s.gro.burst(ps)
		}
		s.stack.Input(sp.nif, now, ps)
	}
	return work
}

// transmit flushes the stack and sends frames of shards without a queue. It
// returns how many frames left.
func (s *Shard) transmit(now int64) (work int) {
	before := s.n.TxPackets
	for i := range s.ports {
		sp := &s.ports[i]
		sp.refused = false
		s.yield(sp, now)
	}
	s.stack.Flush(now)
	for i := range s.ports {
		if sp := &s.ports[i]; sp.relay.Len() != 0 {
			s.sendRelay(sp, now)
		}
	}
	return int(s.n.TxPackets - before)
}
