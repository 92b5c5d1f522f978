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
	idle  fifo[*rrConn] // wait for the pacer
}

type rrConn struct {
	pcb   *stack.TCP
	begun int64
	got   int
}

// NewRR makes a request-response client on s.
func NewRR(s *stack.Stack, cfg Config) *RR {
	cfg.setDefaults(64)
	return &RR{base: newBase(s, cfg), req: NewPattern(patternSeed)[:cfg.Size]}
}

// Start opens the connections.
func (r *RR) Start() error {
	r.conns = make([]rrConn, r.cfg.Conns)
	r.idle = newFIFO[*rrConn](r.cfg.Conns)
	for i := range r.conns {
		if err := r.open(&r.conns[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *RR) open(c *rrConn) error {
	pcb, err := r.newPCB()
	if err != nil {
		return err
	}
	c.pcb = pcb
	pcb.SetArg(c)
	pcb.SetNoDelay(true)
	pcb.SetRecv(r.recv)
	pcb.SetErr(r.onErr)
	return pcb.Connect(r.cfg.To, r.connected)
}

func (r *RR) connected(arg any, _ *stack.TCP, _ error) error {
	r.n.Opened++
	return r.request(arg.(*rrConn))
}

// request sends the next request, or lets the connection wait its turn.
func (r *RR) request(c *rrConn) error {
	now := r.s.Now()
	if r.done() {
		return nil
	}
	if !r.pace.take(now) {
		r.idle.push(c)
		return nil
	}
	c.begun, c.got = now, 0
	return c.pcb.Write(r.req, 0)
}

func (r *RR) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	c := arg.(*rrConn)
	if p == nil {
		r.fail(stack.ErrClosed)
		c.pcb = nil
		return pcb.Close()
	}
	n := p.TotLen()
	p.Free()
	pcb.Recved(n)
	r.n.BytesIn += uint64(n)
	c.got += n
	if c.got < len(r.req) {
		return nil
	}
	r.n.Ops++
	r.n.BytesOut += uint64(len(r.req))
	r.record(r.s.Now() - c.begun)
	return r.request(c)
}

func (r *RR) onErr(arg any, err error) {
	arg.(*rrConn).pcb = nil
	if !r.stopped {
		r.fail(err)
	}
}

// Poll lets waiting connections go on as the rate allows.
func (r *RR) Poll(now int64) (n int) {
	for r.idle.n > 0 && now >= r.pace.due {
		c := r.idle.pop()
		if c.pcb != nil && r.request(c) == nil {
			_ = c.pcb.Output()
		}
		n++
	}
	return n
}

// Next is when the pacer lets the next request go.
func (r *RR) Next() int64 {
	if r.idle.n == 0 {
		return stack.Forever
	}
	return r.pace.due
}

// Stop closes the connections.
func (r *RR) Stop() {
	r.stopped = true
	for i := range r.conns {
		if pcb := r.conns[i].pcb; pcb != nil {
			r.conns[i].pcb = nil
			pcb.Abort()
		}
	}
}
