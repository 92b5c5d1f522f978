package load

import (
	"fmt"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// HTTP asks a server for Path over and over on Conns connections that it
// keeps alive; a connection that the server closes between answers is opened
// anew. An answer whose status is not 2xx counts as an error.
type HTTP struct {
	base
	req   []byte
	conns []httpFlow
	ramp  ramp[httpFlow]
	idle  fifo[*httpFlow] // wait for the pacer or for buffers
	retry int64
}

// httpFlow is a client connection.
type httpFlow struct {
	pcb    *stack.TCP
	begun  int64
	up     bool
	due    bool // an answer is
	queued bool // in idle
	resp   httpResponse
}

// NewHTTP makes an HTTP client on s.
func NewHTTP(s *stack.Stack, cfg Config) *HTTP {
	cfg.setDefaults(0)
	h := &HTTP{base: newBase(s, cfg)}
	h.req = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: shardgen\r\n\r\n", cfg.Path, cfg.To)
	return h
}

// Start opens the first connection.
func (h *HTTP) Start() error {
	h.conns = make([]httpFlow, h.cfg.Conns)
	h.idle = newFIFO[*httpFlow](h.cfg.Conns)
	h.ramp = newRamp(h.conns, rampMax)
	h.cb = callbacks{up: h.connected, recv: h.recv, err: h.onErr}
	return h.pump()
}

func (h *HTTP) pump() error {
	for !h.full() && h.ramp.may() {
		f := h.ramp.take()
		pcb, err := h.connect(f)
		if err != nil {
			h.ramp.failed(f, h.s.Now()+stallRetry, true)
			return err
		}
		f.pcb = pcb
		f.resp.reset()
	}
	return nil
}

func (h *HTTP) connected(arg any, _ *stack.TCP, _ error) error {
	f := arg.(*httpFlow)
	f.up = true
	h.n.Opened++
	h.ramp.opened()
	h.ask(f)
	_ = h.pump() // what can't be opened now is tried again
	return nil
}

// ask sends the next request, or lets the connection wait its turn.
func (h *HTTP) ask(f *httpFlow) {
	now := h.s.Now()
	if h.full() || f.queued {
		return
	}
	if now >= h.retry && h.pace.take(now) {
		if f.pcb.Write(h.req, 0) == nil {
			f.begun, f.due = now, true
			h.begun++
			return
		}
		h.retry = now + stallRetry
	}
	f.queued = true
	h.idle.push(f)
}

func (h *HTTP) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	f := arg.(*httpFlow)
	if p == nil {
		h.closed(f, pcb)
		return nil
	}
	n := p.TotLen()
	var err error
	for q := p; q != nil && err == nil; q = q.Next() {
		err = h.parse(f, q.Payload())
	}
	p.Free()
	pcb.Recved(n)
	h.n.BytesIn += uint64(n)
	switch {
	case err != nil:
		pcb.SetErr(nil)
		pcb.Abort()
		h.n.Errors++
		h.lost(f, err)
	case f.resp.close && !f.due: // RFC 9112 9.6: no more requests here
		_ = pcb.Close()
		h.reopen(f)
	case !f.due:
		h.ask(f)
	}
	return nil
}

// parse takes bytes of answers.
func (h *HTTP) parse(f *httpFlow, b []byte) error {
	for len(b) > 0 {
		if !f.due {
			return fmt.Errorf("%w: bytes that nobody asked for: %.32q", ErrHTTP, b)
		}
		n, done, err := f.resp.feed(b)
		if err != nil {
			return fmt.Errorf("%w: %.32q", err, b[n:])
		}
		b = b[n:]
		if done {
			h.answered(f)
		}
	}
	return nil
}

// answered books a complete answer.
func (h *HTTP) answered(f *httpFlow) {
	f.due = false
	h.n.Ops++
	h.n.BytesOut += uint64(len(h.req))
	h.record(h.s.Now() - f.begun)
	if f.resp.code/100 != 2 {
		h.n.Errors++
		if h.err == nil {
			h.err = fmt.Errorf("load: HTTP status %d", f.resp.code)
		}
	}
}

// closed is the server closing: fine between answers.
func (h *HTTP) closed(f *httpFlow, pcb *stack.TCP) {
	_ = pcb.Close()
	if f.due && f.resp.eof() {
		h.answered(f)
	}
	if f.due {
		h.lost(f, fmt.Errorf("%w: the server closed before the answer was complete", ErrHTTP))
		return
	}
	h.reopen(f)
}

// reopen opens a connection anew that ended in order.
func (h *HTTP) reopen(f *httpFlow) {
	h.n.Closed++
	f.pcb, f.up = nil, false
	if h.stopped {
		return
	}
	h.ramp.again(f)
	_ = h.pump() // what can't be opened now is tried again
}

func (h *HTTP) onErr(arg any, err error) { h.lost(arg.(*httpFlow), err) }

// lost books a connection that broke; it is opened anew a little later.
func (h *HTTP) lost(f *httpFlow, err error) {
	opening := !f.up
	if f.due {
		h.begun--
	}
	f.pcb, f.up, f.due = nil, false, false
	if h.stopped {
		return
	}
	h.fail(err)
	h.ramp.failed(f, h.s.Now()+failRetry, opening)
}

// Poll opens connections, and lets those that wait ask as the rate allows.
func (h *HTTP) Poll(now int64) (n int) {
	if h.stopped {
		return h.closeSome(len(h.conns), func(i int) (**stack.TCP, bool) { return &h.conns[i].pcb, h.conns[i].due })
	}
	h.ramp.release(now)
	_ = h.pump() // what can't be opened now is tried again
	for h.idle.n > 0 && now >= h.pace.due && now >= h.retry {
		f := h.idle.pop()
		f.queued = false
		if f.up && !f.due {
			h.ask(f)
			_ = f.pcb.Output() // what can't go out now waits in its queue
		}
		n++
	}
	return n
}

// Next is when the pacer lets the next request go.
func (h *HTTP) Next() int64 {
	return min(h.wait(len(h.conns), h.idle.n > 0, max(h.pace.due, h.retry)), h.ramp.next())
}
