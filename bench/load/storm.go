package load

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Storm fills a listener's backlog at one stroke, over and over: Conns
// connections are opened at once, without a ramp, as by clients that all come
// back after an outage; when the last is established all are closed, and when
// the last is closed the next wave begins. An operation is a connection
// established, its latency the time from SYN to that. Rate does not apply.
//
// A backlog below Conns loses SYNs, which are sent again a second later.
type Storm struct {
	base
	slots   []stormSlot
	ready   fifo[*stormSlot] // of this wave, to be opened
	again   fifo[*stormSlot] // done with this wave
	held    int              // established, kept for the others
	closing bool             // the wave is complete
	path    bool             // the neighbour on the way is known
	retry   int64            // what was short: not before
}

type stormSlot struct {
	pcb   *stack.TCP
	begun int64
	up    bool
}

// NewStorm makes a client of connection storms on s.
func NewStorm(s *stack.Stack, cfg Config) *Storm {
	cfg.setDefaults(64)
	return &Storm{base: newBase(s, cfg)}
}

// Start makes the slots; Poll begins the first wave.
func (c *Storm) Start() error {
	c.slots = make([]stormSlot, c.cfg.Conns)
	c.ready, c.again = newFIFO[*stormSlot](len(c.slots)), newFIFO[*stormSlot](len(c.slots))
	for i := range c.slots {
		c.ready.push(&c.slots[i])
	}
	c.cb = callbacks{up: c.connected, recv: c.recv, err: c.onErr}
	return nil
}

func (c *Storm) connected(arg any, _ *stack.TCP, _ error) error {
	s := arg.(*stormSlot)
	s.up = true
	c.held++
	c.n.Opened++
	c.n.Ops++
	c.record(c.s.Now() - s.begun)
	return nil
}

// recv is the end of a connection in order: the server closes when we do.
func (c *Storm) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	s := arg.(*stormSlot)
	if p != nil {
		n := p.TotLen()
		p.Free()
		pcb.Recved(n)
		c.n.BytesIn += uint64(n)
		return nil
	}
	inOrder := c.closing
	_ = pcb.Close()
	if !inOrder {
		c.lost(s, stack.ErrClosed)
		return nil
	}
	c.n.Closed++
	c.done(s)
	return nil
}

// done takes a slot out of the wave.
func (c *Storm) done(s *stormSlot) {
	if s.up {
		c.held--
	}
	s.pcb, s.up = nil, false
	c.again.push(s)
}

func (c *Storm) onErr(arg any, err error) { c.lost(arg.(*stormSlot), err) }

// lost books a connection that broke; its slot waits for the next wave.
func (c *Storm) lost(s *stormSlot, err error) {
	if !s.up {
		c.begun--
	}
	c.done(s)
	if !c.stopped {
		c.fail(err)
		c.retry = c.s.Now() + failRetry
	}
}

// Poll opens what the port takes of the wave, ends it when it is complete, and
// begins the next.
func (c *Storm) Poll(now int64) (n int) {
	if c.stopped {
		// Those of a wave that ends already are left to end in order.
		return c.closeSome(len(c.slots), func(i int) (**stack.TCP, bool) { return &c.slots[i].pcb, c.closing && c.slots[i].up })
	}
	if n = c.open(now); n > 0 {
		return n
	}
	if c.complete() {
		c.closing = true
		for i := range c.slots {
			if s := &c.slots[i]; s.up {
				_ = s.pcb.Shutdown(false, true) // a FIN that finds no buffer goes later
				n++
			}
		}
	}
	if c.again.n == len(c.slots) && now >= c.retry {
		c.closing = false
		c.ready, c.again = c.again, c.ready
		n += c.open(now)
	}
	return n
}

// complete reports whether a wave is up and not yet being closed.
func (c *Storm) complete() bool {
	return !c.closing && c.held > 0 && c.held+c.again.n == len(c.slots)
}

// open opens connections until the wave is complete or the port is behind.
func (c *Storm) open(now int64) (n int) {
	for c.ready.n > 0 && now >= c.retry && !c.full() && c.passable(now) {
		s := c.ready.pop()
		s.begun = now
		pcb, err := c.connect(s)
		if err != nil { // ports or buffers are short: later
			c.ready.push(s)
			c.retry = now + stallRetry
			break
		}
		c.begun++
		s.pcb = pcb
		n++
	}
	return n
}

// passable reports whether a SYN would leave: the neighbour on the way is
// known, and the port keeps up.
func (c *Storm) passable(now int64) bool {
	if !c.path {
		ok, err := c.s.Resolve(c.cfg.To.Addr())
		if err != nil {
			c.fail(err)
		}
		if !ok {
			c.retry = now + stallRetry
			return false
		}
		c.path = true
	}
	for _, nif := range c.s.Netifs() {
		if nif.Busy() {
			return false
		}
	}
	return true
}

// Next is when what was short is tried again; at once if the port was behind or
// a wave is complete.
func (c *Storm) Next() int64 {
	waiting := (c.ready.n > 0 || c.again.n == len(c.slots)) && !c.full()
	return c.wait(len(c.slots), waiting || c.complete(), c.retry)
}
