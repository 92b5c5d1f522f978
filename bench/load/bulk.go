package load

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Bulk sends as much as each connection takes, in writes of Size bytes. An
// operation is a write.
type Bulk struct {
	base
	block []byte
	conns []bulkConn
	ramp  ramp[bulkConn]
	idle  fifo[*bulkConn] // wait for the pacer or for buffers
	retry int64
}

type bulkConn struct {
	pcb    *stack.TCP
	out    uint64 // bytes written, not acknowledged
	up     bool
	queued bool // in idle
}

// NewBulk makes a bulk client on s. Size is at most the stack's send buffer.
func NewBulk(s *stack.Stack, cfg Config) *Bulk {
	cfg.setDefaults(16 << 10)
	return &Bulk{base: newBase(s, cfg), block: patternOf(cfg.Size)}
}

// Start opens the first connection.
func (b *Bulk) Start() error {
	b.conns = make([]bulkConn, b.cfg.Conns)
	b.idle = newFIFO[*bulkConn](b.cfg.Conns)
	b.ramp = newRamp(b.conns, rampMax)
	b.need = b.cfg.Size
	b.cb = callbacks{up: b.connected, recv: b.recv, err: b.onErr, sent: b.sent}
	return b.pump()
}

func (b *Bulk) pump() error {
	for !b.stopped && b.ramp.may() {
		c := b.ramp.take()
		pcb, err := b.connect(c)
		if err != nil {
			b.ramp.failed(c, b.s.Now()+stallRetry, true)
			return err
		}
		c.pcb = pcb
	}
	return nil
}

func (b *Bulk) connected(arg any, _ *stack.TCP, _ error) error {
	c := arg.(*bulkConn)
	c.up = true
	b.n.Opened++
	b.ramp.opened()
	b.fill(c)
	_ = b.pump() // what can't be opened now is tried again
	return nil
}

func (b *Bulk) sent(arg any, _ *stack.TCP, n int) error {
	c := arg.(*bulkConn)
	b.n.BytesOut += uint64(n)
	c.out -= uint64(n)
	b.fill(c)
	return nil
}

// fill keeps the send buffer full.
func (b *Bulk) fill(c *bulkConn) {
	now := b.s.Now()
	for !b.full() && !c.queued && c.pcb.SndBuf() >= b.cfg.Size {
		if now >= b.retry && b.pace.take(now) {
			if c.pcb.Write(b.block, 0) == nil {
				c.out += uint64(b.cfg.Size)
				b.begun++
				b.n.Ops++
				continue
			}
			b.retry = now + stallRetry
		}
		c.queued = true
		b.idle.push(c)
	}
}

func (b *Bulk) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil {
		_ = pcb.Close()
		b.lost(arg.(*bulkConn), stack.ErrClosed)
		return nil
	}
	n := p.TotLen()
	b.n.BytesIn += uint64(n)
	p.Free()
	pcb.Recved(n)
	return nil
}

func (b *Bulk) onErr(arg any, err error) { b.lost(arg.(*bulkConn), err) }

func (b *Bulk) lost(c *bulkConn, err error) {
	opening := !c.up
	c.pcb, c.up, c.out = nil, false, 0
	if b.stopped {
		return
	}
	b.fail(err)
	b.ramp.failed(c, b.s.Now()+failRetry, opening)
}

// Done is when Count writes were acknowledged.
func (b *Bulk) Done() bool {
	if !b.base.Done() {
		return false
	}
	for i := range b.conns {
		if b.conns[i].out != 0 {
			return false
		}
	}
	return true
}

// Poll opens connections, and lets those that wait go on.
func (b *Bulk) Poll(now int64) (n int) {
	if b.stopped {
		return b.closeSome(len(b.conns), func(i int) (**stack.TCP, bool) { return &b.conns[i].pcb, false })
	}
	b.ramp.release(now)
	_ = b.pump() // what can't be opened now is tried again
	for b.idle.n > 0 && now >= b.pace.due && now >= b.retry {
		c := b.idle.pop()
		c.queued = false
		if c.up {
			b.fill(c)
			_ = c.pcb.Output() // what can't go out now waits in its queue
		}
		n++
	}
	return n
}

// Next is when the pacer lets the next write go.
func (b *Bulk) Next() int64 {
	return min(b.wait(len(b.conns), b.idle.n > 0, max(b.pace.due, b.retry)), b.ramp.next())
}
