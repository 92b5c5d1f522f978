package netconn

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// Bounds of a round.
const (
	outBatch    = 64               // events collected before a push
	maxRequests = 1024             // taken in a round
	retryAfter  = int64(50_000)    // ns after which events that did not fit are tried again
	stallRetry  = int64(1_000_000) // ns after which data that found no buffer is tried again
	holdPart    = 4                // the part of its buffers that a shard lets readers hold
	urgentPart  = 2                // the part of the ring that may fill before we are called
	helpEvery   = int64(1_000_000) // ns between two calls for help with held buffers
)

// flusher is an endpoint that has something to tell. flush emits it and returns
// false if there was not room for all.
type flusher interface {
	flush(s *side) bool
}

// side is a shard's side of a lane: a shard.Poller. Everything in it is the
// shard's thread's.
type side struct {
	l        *lane
	sh       *shard.Shard
	st       *stack.Stack
	pool     *pbuf.Pool
	app      uint8
	linger   int64
	dirty    []flusher  // endpoints that have something to tell
	stalled  []*TCPConn // connections with data that found no buffer
	all      []*TCPConn // every connection with a PCB
	parts    []stopper  // open listeners and UDP sockets
	room     int        // events that fit into the ring for certain
	out      [outBatch]message
	nout     int
	blocked  bool // an endpoint in dirty could not tell all
	wake     bool // sound the alarm at the end of the round
	help     bool // call for help when all is told
	held     int  // our buffers in the hands of readers
	holdMax  int
	calledAt int64 // for help, the last time
	stop     bool  // opStop has come
	in       [inBatch]message
	backs    [inBatch]*pbuf.Pbuf
}

// stopper is a part of a listener or a UDP socket.
type stopper interface {
	shut(s *side) // closes it
	free()        // frees what it has received
}

func newSide(l *lane) *side {
	s := &side{l: l, sh: l.sh, st: l.sh.Stack(), pool: l.sh.Pool(), app: l.app}
	s.holdMax = s.pool.Cap(pbuf.ClassStandard) / holdPart
	s.linger = int64(l.net.cfg.Linger)
	return s
}

// Poll does what goroutines have asked for and tells them what has happened.
func (s *side) Poll(now int64) (work int) {
	for work < maxRequests {
		n := s.l.reqs.PopBatch(s.in[:])
		for i := range s.in[:n] {
			m := &s.in[i]
			m.to.request(s, m)
		}
		clear(s.in[:n])
		work += n
		if n < len(s.in) {
			break
		}
	}
	if len(s.stalled) != 0 {
		s.retryStalled()
	}
	if len(s.dirty) != 0 {
		work += s.tell(now)
	}
	if s.pool.ForeignLen() != 0 {
		work += s.giveBack()
	}
	if s.help && len(s.dirty) == 0 {
		s.help = false
		s.callForHelp(now)
	}
	if s.held > s.holdMax && now-s.calledAt > helpEvery {
		s.callForHelp(now)
	}
	if s.wake {
		s.wake = false
		if s.l.bell.Clear() {
			s.l.callWatcher()
		}
	}
	return work
}

// Next is soon if something could not be done in the last round.
func (s *side) Next() int64 {
	switch {
	case len(s.dirty) != 0 && !s.blocked:
		return 0 // a timer has just found something to tell
	case len(s.dirty) != 0:
		return s.sh.Now() + retryAfter
	case len(s.stalled) != 0:
		return s.sh.Now() + stallRetry
	}
	return stack.Forever
}

// mark has f flushed at the next Poll; f makes sure that it is marked once.
func (s *side) mark(f flusher) { s.dirty = append(s.dirty, f) }

// tell flushes the endpoints that have something to tell, as far as the ring
// has room.
func (s *side) tell(now int64) (work int) {
	s.room = s.l.events.Free()
	s.blocked = false
	before := s.room
	list := s.dirty
	s.dirty = s.dirty[:0]
	for i, f := range list {
		if !f.flush(s) {
			s.blocked = true
			if s.room == 0 {
				s.dirty = append(s.dirty, list[i:]...)
				break
			}
			s.dirty = append(s.dirty, f)
		}
	}
	clear(list[len(s.dirty):])
	s.pushOut()
	if s.room < s.l.events.Cap()/urgentPart {
		s.callForHelp(now)
	}
	return before - s.room
}

// emit queues an event. The caller has seen that there is room.
func (s *side) emit(m message) {
	s.room--
	s.out[s.nout] = m
	if s.nout++; s.nout == outBatch {
		s.pushOut()
	}
}

// pushOut pushes the events collected, and looks whether any of them is for
// somebody who sleeps.
func (s *side) pushOut() {
	if s.nout == 0 {
		return
	}
	out := s.out[:s.nout]
	s.nout = 0
	s.l.events.PushBatch(out) // there is room for all
	if !s.wake && s.l.bell.IsSet() {
		for i := range out {
			if out[i].to.wants(&out[i]) {
				s.wake = true
				break
			}
		}
	}
	clear(out)
}

// export makes p ready for the other side's hands: p itself, or a copy if the
// stack holds it, too. Nil: there was no buffer for that; p stays ours.
func (s *side) export(p *pbuf.Pbuf) *pbuf.Pbuf {
	if !pbuf.Handover(p, s.app) {
		c := p.Clone(pbuf.LayerRaw, pbuf.KindPool)
		if c == nil {
			return nil
		}
		pbuf.Handover(c, s.app) // new, so not shared
		p.Free()
		p = c
	}
	s.held += p.ChainLen() // several, if segments were joined
	return p
}

// taken takes back a buffer that a goroutine has read.
func (s *side) taken(p *pbuf.Pbuf) {
	if p != nil {
		s.held -= p.ChainLen()
		p.Free()
	}
}

// giveBack sends freed buffers of our application's pools home.
func (s *side) giveBack() (work int) {
	for id, ok := s.pool.NextForeign(0); ok; id, ok = s.pool.NextForeign(id + 1) {
		switch to := s.l.net.byPool[id]; to {
		case nil: // a shard's, or another application's
		case s.l:
			for n := s.pool.TakeForeign(id, s.backs[:]); n > 0; n = s.pool.TakeForeign(id, s.backs[:]) {
				s.l.returns.PushBatch(s.backs[:n]) // there is room for all that the lane has
				work += n
			}
			if s.l.wantBufs.IsSet() {
				s.wake = true
			}
		default:
			// Sent for a shard without a queue of its own.
			for n := s.pool.TakeForeign(id, s.backs[:]); n > 0; n = s.pool.TakeForeign(id, s.backs[:]) {
				to.addStrays(s.backs[:n])
				work += n
			}
		}
		if id == pbuf.MaxPools-1 {
			break
		}
	}
	return work
}

// callForHelp has the watcher drain the ring, whoever waits.
func (s *side) callForHelp(now int64) {
	if !s.l.urgent.IsSet() && s.l.urgent.Set() {
		s.calledAt = now
		s.l.alarm.ring()
	}
}

// hold and drop keep the list of connections with a PCB.
func (s *side) hold(c *TCPConn) {
	c.sh.index = len(s.all)
	s.all = append(s.all, c)
}

func (s *side) drop(c *TCPConn) {
	last := s.all[len(s.all)-1]
	s.all[c.sh.index] = last
	last.sh.index = c.sh.index
	s.all[len(s.all)-1] = nil
	s.all = s.all[:len(s.all)-1]
}

// retryStalled tries again to queue data for which there was no buffer.
func (s *side) retryStalled() {
	list := s.stalled
	s.stalled = s.stalled[:0]
	for _, c := range list {
		c.sh.stalled = false
		c.sendPending(s)
	}
	clear(list[len(s.stalled):])
}

// dropPart forgets an open listener or UDP socket.
func (s *side) dropPart(p stopper) {
	for i := range s.parts {
		if s.parts[i] == p {
			s.parts = append(s.parts[:i], s.parts[i+1:]...)
			return
		}
	}
}
