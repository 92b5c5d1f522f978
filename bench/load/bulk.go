package load

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Bulk sends as much as each connection takes, in writes of Size bytes. An
// operation is a write.
//
// With InFlight connections take turns, a write each, and no more is written before
// some of it is acknowledged: as little waits in their buffers as keeps the wire busy,
// and it is made just before it is sent (what TCP_NOTSENT_LOWAT is for), so that what
// is under way stays in the cache, however many connections there are.
type Bulk struct {
	base
	block []byte
	conns []bulkConn
	ramp  ramp[bulkConn]
	idle  fifo[*bulkConn] // wait for the pacer, for buffers or for their turn
	retry int64
	out   int // bytes written, not acknowledged, of all connections
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

func (b *Bulk) sent(arg any, pcb *stack.TCP, n int) error {
	c := arg.(*bulkConn)
	b.n.BytesOut += uint64(n)
	if !c.up || c.pcb != nil && c.pcb != pcb { // lost; c may have another by now
		return nil
	}
	c.out -= uint64(n)
	b.out -= n
	b.fill(c)
	return nil
}

// fill keeps the send buffer full; if connections take turns and others wait, it is
// behind these.
func (b *Bulk) fill(c *bulkConn) {
	if !b.turns() {
		for b.write(c) {
		}
	} else if b.wants(c) {
		c.queued = true
		b.idle.push(c)
	}
}

// turns reports whether others wait that come first.
func (b *Bulk) turns() bool { return b.cfg.InFlight > 0 && b.idle.n > 0 }

// wants reports whether a connection has something to write, and does not wait.
func (b *Bulk) wants(c *bulkConn) bool {
	return !b.full() && !c.queued && c.pcb.SndBuf() >= b.cfg.Size
}

// below reports whether another write may be under way.
func (b *Bulk) below() bool {
	return b.cfg.InFlight <= 0 || b.out == 0 || b.out+b.cfg.Size <= b.cfg.InFlight
}

// write writes once, if the connection wants to, or lets it wait until it may. It
// reports whether there may be another one at once.
func (b *Bulk) write(c *bulkConn) bool {
	if !b.wants(c) {
		return false
	}
	now := b.s.Now()
	if now >= b.retry && b.below() && b.pace.take(now) {
		if c.pcb.Write(b.block, 0) == nil {
			c.out += uint64(b.cfg.Size)
			b.out += b.cfg.Size
			b.begun++
			b.n.Ops++
			return true
		}
		b.retry = now + stallRetry
	}
	c.queued = true
	b.idle.push(c)
	return false
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
	b.out -= int(c.out)
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
	for b.idle.n > 0 && b.below() && now >= b.pace.due && now >= b.retry {
		c := b.idle.pop()
		c.queued = false
		if c.up {
			b.write(c)
			b.fill(c)
			_ = c.pcb.Output() // what can't go out now waits in its queue
		}
		n++
	}
	return n
}

// Next is when the next write may go.
func (b *Bulk) Next() int64 {
	return min(b.wait(len(b.conns), b.idle.n > 0 && b.below(), max(b.pace.due, b.retry)), b.ramp.next())
}
