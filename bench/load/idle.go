package load

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Idle opens Conns connections, sends nothing on them and keeps them: what
// connections cost that do nothing. An operation is a connection opened. It
// measures no latency, so that a connection is two words of the application's.
type Idle struct {
	base
	slots  []idleSlot
	ramp   ramp[idleSlot]
	block  []byte         // of NewPull, nil: nothing is sent
	source stack.PullFunc // likewise
}

type idleSlot struct {
	pcb *stack.TCP
	up  bool
}

// NewIdle makes a client of idle connections on s.
func NewIdle(s *stack.Stack, cfg Config) *Idle {
	cfg.setDefaults(64)
	return &Idle{base: newBase(s, cfg)}
}

// Start opens the first connection.
func (c *Idle) Start() error {
	c.slots = make([]idleSlot, c.cfg.Conns)
	c.ramp = newRamp(c.slots, rampMax)
	c.cb = callbacks{up: c.connected, recv: c.recv, err: c.onErr}
	if c.source != nil {
		c.cb.sent = c.sent
	}
	return c.pump()
}

// pump opens as many connections as the ramp, the pacer and Count let it.
func (c *Idle) pump() error {
	now := c.s.Now()
	for c.ramp.may() && !c.full() && c.pace.take(now) {
		s := c.ramp.take()
		pcb, err := c.connect(s)
		if err != nil { // ports or buffers are short: later
			c.ramp.failed(s, now+stallRetry, true)
			return err
		}
		c.begun++
		s.pcb = pcb
	}
	return nil
}

func (c *Idle) connected(arg any, pcb *stack.TCP, _ error) error {
	if c.source != nil {
		_ = pcb.Pull(stack.PullConfig{Func: c.source}) // what lacks a buffer goes later
	}
	arg.(*idleSlot).up = true
	c.n.Opened++
	c.n.Ops++
	c.ramp.opened()
	_ = c.pump() // what can't be opened now is tried again
	return nil
}

// recv takes what a server sends unasked.
func (c *Idle) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil {
		_ = pcb.Close()
		c.lost(arg.(*idleSlot), stack.ErrClosed)
		return nil
	}
	n := p.TotLen()
	p.Free()
	pcb.Recved(n)
	c.n.BytesIn += uint64(n)
	return nil
}

func (c *Idle) onErr(arg any, err error) { c.lost(arg.(*idleSlot), err) }

// lost books a connection that broke; another is opened for it a little later.
func (c *Idle) lost(s *idleSlot, err error) {
	opening := !s.up
	s.pcb, s.up = nil, false
	if c.stopped {
		return
	}
	if opening {
		c.begun--
	}
	c.fail(err)
	c.ramp.failed(s, c.s.Now()+failRetry, opening)
}

// Poll opens the connections that had to wait.
func (c *Idle) Poll(now int64) int {
	if c.stopped {
		return c.closeSome(len(c.slots), func(i int) (**stack.TCP, bool) { return &c.slots[i].pcb, false })
	}
	c.ramp.release(now)
	before := c.begun
	_ = c.pump() // what can't be opened now is tried again
	return int(c.begun - before)
}

// Next is when a waiting slot may go on.
func (c *Idle) Next() int64 {
	return min(c.wait(len(c.slots), c.ramp.may() && !c.full(), c.pace.due), c.ramp.next())
}
