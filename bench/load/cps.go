package load

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// CPS measures connections a second: each of Conns slots connects, sends Size
// bytes, waits for Size bytes, closes, and begins again. An operation is such
// a connection, its latency the time from SYN to the last byte of the answer.
type CPS struct {
	base
	req   []byte
	first []byte // req, with FastOpen
	slots []cpsSlot
	ramp  ramp[cpsSlot]
}

type cpsSlot struct {
	pcb   *stack.TCP
	begun int64
	got   int
	sent  int // of the request, before it was connected
	up    bool
}

// NewCPS makes a connection-rate client on s.
func NewCPS(s *stack.Stack, cfg Config) *CPS {
	cfg.setDefaults(64)
	c := &CPS{base: newBase(s, cfg), req: patternOf(cfg.Size)}
	if cfg.FastOpen {
		c.first = c.req
	}
	return c
}

// Start opens the first connection.
func (c *CPS) Start() error {
	c.slots = make([]cpsSlot, c.cfg.Conns)
	c.ramp = newRamp(c.slots, len(c.slots))
	c.need = c.cfg.Size
	c.cb = callbacks{up: c.connected, recv: c.recv, err: c.onErr}
	return c.pump()
}

// pump opens as many connections as the ramp, the pacer and Count let it.
func (c *CPS) pump() error {
	now := c.s.Now()
	for c.ramp.may() && !c.full() && c.pace.take(now) {
		s := c.ramp.take()
		s.begun, s.got, s.up = now, 0, false
		pcb, n, err := c.connectWrite(s, c.first)
		if err != nil { // ports or buffers are short: later
			c.ramp.failed(s, now+stallRetry, true)
			return err
		}
		c.begun++
		s.pcb, s.sent = pcb, n
	}
	return nil
}

func (c *CPS) connected(arg any, pcb *stack.TCP, _ error) error {
	s := arg.(*cpsSlot)
	c.n.Opened++
	s.up = true
	c.ramp.opened()
	return pcb.Write(c.req[s.sent:], 0) // no buffer: aborted, and onErr books it
}

func (c *CPS) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	s := arg.(*cpsSlot)
	if p == nil {
		_ = pcb.Close()
		c.lost(s, stack.ErrClosed)
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
	s.pcb = nil
	c.ramp.again(s)
	_ = c.pump() // what can't be opened now is tried again
	return nil
}

func (c *CPS) onErr(arg any, err error) { c.lost(arg.(*cpsSlot), err) }

func (c *CPS) lost(s *cpsSlot, err error) {
	s.pcb = nil
	if c.stopped {
		return
	}
	c.begun--
	c.fail(err)
	c.ramp.failed(s, c.s.Now()+failRetry, !s.up)
}

// Poll begins the connections that had to wait.
func (c *CPS) Poll(now int64) (n int) {
	if c.stopped {
		return c.closeSome(len(c.slots), func(i int) (**stack.TCP, bool) { return &c.slots[i].pcb, true })
	}
	c.ramp.release(now)
	before := c.begun
	_ = c.pump() // what can't be opened now is tried again
	return int(c.begun - before)
}

// Next is when a waiting slot may go on.
func (c *CPS) Next() int64 {
	return min(c.wait(len(c.slots), c.ramp.may() && !c.full(), c.pace.due), c.ramp.next())
}
