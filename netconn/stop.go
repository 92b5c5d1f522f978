package netconn

import (
	"runtime"

	"github.com/shardstack/shardstack/pbuf"
)

// request and event make the lane itself an endpoint, for opStop and evStopped.
func (l *lane) request(s *side, _ *message) {
	s.stop = true
	for len(s.parts) > 0 {
		s.parts[len(s.parts)-1].shut(s)
	}
	for i := len(s.all) - 1; i >= 0; i-- { // who ends may take itself out
		s.all[i].end()
	}
	s.mark(l)
}

// end aborts a connection because the Net is closed.
func (c *TCPConn) end() {
	if pcb := c.sh.pcb; pcb != nil {
		pcb.Abort()
	}
}

// flush says when nothing is left on the shard.
func (l *lane) flush(s *side) bool {
	if len(s.all) != 0 || s.room == 0 {
		return false
	}
	s.emit(message{to: l, op: evStopped})
	return true
}

func (l *lane) event(*lane, *message) { l.stopped = true }

func (l *lane) wants(*message) bool { return false } // Net.Close polls

// shardStopped is called on the shard's thread after its last round.
func (l *lane) shardStopped() {
	if l.side == nil {
		return
	}
	s := l.side
	for i := range s.out[:s.nout] { // of a round that a panic ended
		if p := s.out[i].p; p != nil {
			pbuf.Handover(p, l.home)
			p.Free()
		}
	}
	s.nout = 0
	for _, c := range s.all {
		c.sh.rx.FreeAll()
		c.sh.pending.FreeAll()
	}
	for _, p := range s.parts {
		p.free()
	}
	l.dead.Set()
	if !l.done.Load() {
		l.alarm.ring()
	}
}

// sweep brings home every buffer that goroutines hold of the group's, and those
// of ours that the group holds. The group calls it when it has stopped and
// closed the stacks; nobody else touches the shards then.
func (l *lane) sweep() {
	if l.done.Load() {
		return
	}
	l.lock()
	l.drain()
	l.unlock()
	for _, s := range l.net.open() {
		s.sweep()
	}
	l.lock()
	for c := l.conns; c != nil; c = c.app.next {
		c.discard(false)
	}
	l.unlock()
	for l.limbo.Load() != 0 { // somebody is copying
		runtime.Gosched()
	}
	l.lock()
	for m, ok := l.reqs.Pop(); ok; m, ok = l.reqs.Pop() {
		if m.p != nil {
			m.p.Free()
		}
	}
	l.orphans.FreeAll()
	l.unlock()
	pool := l.sh.Pool()
	var ps [inBatch]*pbuf.Pbuf
	for _, to := range l.net.lanes {
		for n := pool.TakeForeign(to.app, ps[:]); n > 0; n = pool.TakeForeign(to.app, ps[:]) {
			to.lock()
			to.pool.Return(ps[:n])
			to.unlock()
		}
	}
}
