package load

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// CPS measures connections a second: each of Conns slots connects, sends Size
// bytes, waits for Size bytes, closes, and begins again.
type CPS struct {
	base
	req   []byte
	slots []cpsSlot
	idle  fifo[*cpsSlot] // wait for the pacer or for a port
}

type cpsSlot struct {
	pcb   *stack.TCP
	begun int64
	got   int
}

// NewCPS makes a connection-rate client on s.
func NewCPS(s *stack.Stack, cfg Config) *CPS {
	cfg.setDefaults(64)
	return &CPS{base: newBase(s, cfg), req: NewPattern(patternSeed)[:cfg.Size]}
}

// Start opens the first connection of each slot.
func (c *CPS) Start() error {
	c.slots = make([]cpsSlot, c.cfg.Conns)
	c.idle = newFIFO[*cpsSlot](c.cfg.Conns)
	for i := range c.slots {
		c.open(&c.slots[i])
	}
	return c.err
}

// open begins a connection, or lets the slot wait.
func (c *CPS) open(s *cpsSlot) {
	now := c.s.Now()
	s.pcb = nil
	if c.done() {
		return
	}
	if !c.pace.take(now) {
		c.idle.push(s)
		return
	}
	pcb, err := c.newPCB()
	if err != nil {
		c.idle.push(s)
		return
	}
	s.pcb, s.begun, s.got = pcb, now, 0
	pcb.SetArg(s)
	pcb.SetNoDelay(true)
	pcb.SetRecv(c.recv)
	pcb.SetErr(c.onErr)
	if err := pcb.Connect(c.cfg.To, c.connected); err != nil {
		pcb.SetErr(nil)
		pcb.Abort()
		s.pcb = nil
		c.idle.push(s) // ports or buffers are short: later
	}
}

func (c *CPS) connected(_ any, pcb *stack.TCP, _ error) error {
	c.n.Opened++
	return pcb.Write(c.req, 0)
}

func (c *CPS) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	s := arg.(*cpsSlot)
	if p == nil {
		c.fail(stack.ErrClosed)
		_ = pcb.Close()
		c.open(s)
		return nil
	}
	n := p.TotLen()
	p.Free()
	pcb.Recved(n)
	c.n.BytesIn += uint64(n)
	s.got += n
	if s.got < len(c.req) {
		return nil
	}
	c.n.Ops++
	c.n.Closed++
	c.n.BytesOut += uint64(len(c.req))
	c.record(c.s.Now() - s.begun)
	_ = pcb.Close()
	c.open(s)
	return nil
}

func (c *CPS) onErr(arg any, err error) {
	if c.stopped {
		return
	}
	c.fail(err)
	s := arg.(*cpsSlot)
	s.pcb = nil
	c.idle.push(s)
}

// Poll begins the connections that had to wait.
func (c *CPS) Poll(now int64) (n int) {
	for range c.idle.n {
		if now < c.pace.due && c.pace.rate > 0 {
			break
		}
		c.open(c.idle.pop())
		n++
	}
	return n
}

// Next is when a waiting slot may go on.
func (c *CPS) Next() int64 {
	switch {
	case c.idle.n == 0 || c.done():
		return stack.Forever
	case c.pace.rate > 0:
		return c.pace.due
	}
	return c.s.Now() + 1_000_000
}

// Stop aborts what is open.
func (c *CPS) Stop() {
	c.stopped = true
	for i := range c.slots {
		if pcb := c.slots[i].pcb; pcb != nil {
			c.slots[i].pcb = nil
			pcb.Abort()
		}
	}
}
