package load

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// RR is request-response: each connection sends Size bytes, waits for Size
// bytes, and begins again.
type RR struct {
	base
	req   []byte
	conns []rrConn
	ramp  ramp[rrConn]
	idle  fifo[rrTurn] // wait for the pacer, for buffers or for their turn
	retry int64        // when those that lack buffers try again
	out   int          // answers that are due, of all connections
}

// rrTurn is a connection that waits, with its PCB at that time, which may be
// another connection's by now.
type rrTurn struct {
	c   *rrConn
	pcb *stack.TCP
}

// How many turns ahead a PCB is fetched into the cache, and then what it points
// at: with very many connections neither is there any more.
const fetchPCB, fetchArg = 12, 6

// fetch has the connections fetched whose turns come soon.
func (r *RR) fetch() {
	if len(r.conns) < fetchFrom {
		return
	}
	if r.idle.n > fetchPCB {
		r.idle.at(fetchPCB).pcb.Prefetch()
		r.idle.at(fetchArg).pcb.PrefetchArg()
	}
}

// fetchFrom is how many connections are too many for the caches.
const fetchFrom = 1024

type rrConn struct {
	pcb    *stack.TCP
	begun  int64
	got    int
	up     bool // established
	due    bool // an answer is
	queued bool // in idle
}

// NewRR makes a request-response client on s.
func NewRR(s *stack.Stack, cfg Config) *RR {
	cfg.setDefaults(64)
	return &RR{base: newBase(s, cfg), req: patternOf(cfg.Size)}
}

// Start opens the first connection.
func (r *RR) Start() error {
	r.conns = make([]rrConn, r.cfg.Conns)
	r.idle = newFIFO[rrTurn](r.cfg.Conns)
	r.ramp = newRamp(r.conns, rampMax)
	r.need = r.cfg.Size
	r.cb = callbacks{up: r.connected, recv: r.recv, err: r.onErr}
	return r.pump()
}

// pump opens as many connections as may be under way.
func (r *RR) pump() error {
	for !r.stopped && r.ramp.may() {
		c := r.ramp.take()
		pcb, err := r.connect(c)
		if err != nil {
			r.ramp.failed(c, r.s.Now()+stallRetry, true)
			return err
		}
		c.pcb = pcb
	}
	return nil
}

func (r *RR) connected(arg any, _ *stack.TCP, _ error) error {
	c := arg.(*rrConn)
	c.up = true
	r.n.Opened++
	r.ramp.opened()
	r.request(c)
	_ = r.pump() // what can't be opened now is tried again
	return nil
}

// request sends the next request, or lets the connection wait its turn.
func (r *RR) request(c *rrConn) {
	now := r.s.Now()
	if r.full() {
		return
	}
	if c.queued {
		return
	}
	if now >= r.retry && r.below() && r.pace.take(now) {
		if c.pcb.Write(r.req, 0) == nil {
			c.begun, c.got, c.due = now, 0, true
			r.begun++
			r.out++
			return
		}
		r.retry = now + stallRetry
	}
	c.queued = true
	r.idle.push(rrTurn{c, c.pcb})
}

func (r *RR) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	c := arg.(*rrConn)
	if p == nil {
		_ = pcb.Close()
		r.lost(c, stack.ErrClosed)
		return nil
	}
	n := p.TotLen()
	p.Free()
	pcb.Recved(n)
	r.n.BytesIn += uint64(n)
	c.got += n
	if c.got < len(r.req) || !c.due {
		return nil
	}
	c.due = false
	r.out--
	r.n.Ops++
	r.n.BytesOut += uint64(len(r.req))
	r.record(r.s.Now() - c.begun)
	if r.cfg.InFlight > 0 && r.idle.n > 0 && !r.full() && !c.queued {
		c.queued = true // the others first; Poll goes on
		r.idle.push(rrTurn{c, c.pcb})
		return nil
	}
	r.request(c)
	return nil
}

func (r *RR) onErr(arg any, err error) { r.lost(arg.(*rrConn), err) }

// lost books a connection that broke; it is opened anew a little later.
func (r *RR) lost(c *rrConn, err error) {
	opening := !c.up
	if c.due {
		r.begun--
		r.out--
	}
	c.pcb, c.up, c.due = nil, false, false
	if r.stopped {
		return
	}
	r.fail(err)
	r.ramp.failed(c, r.s.Now()+failRetry, opening)
}

// below reports whether another answer may become due.
func (r *RR) below() bool { return r.cfg.InFlight <= 0 || r.out < r.cfg.InFlight }

// Poll opens connections, and lets those that wait go on as the rate allows.
func (r *RR) Poll(now int64) (n int) {
	if r.stopped {
		return r.closeSome(len(r.conns), func(i int) (**stack.TCP, bool) { return &r.conns[i].pcb, r.conns[i].due })
	}
	r.ramp.release(now)
	_ = r.pump() // what can't be opened now is tried again
	for r.idle.n > 0 && r.below() && now >= r.pace.due && now >= r.retry {
		c := r.idle.pop().c
		r.fetch()
		c.queued = false
		if c.up && !c.due {
			r.request(c)
			_ = c.pcb.Output() // what can't go out now waits in its queue
		}
		n++
	}
	return n
}

// Next is when the pacer lets the next request go, or a connection may be
// opened.
func (r *RR) Next() int64 {
	return min(r.wait(len(r.conns), r.idle.n > 0 && r.below(), max(r.pace.due, r.retry)), r.ramp.next())
}
