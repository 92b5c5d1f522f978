package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// ErrHTTP: an answer that is not HTTP/1.1 with status 200 and a length.
var ErrHTTP = errors.New("load: bad HTTP answer")

// HTTP asks a server for Path over and over on Conns connections that it
// keeps alive; a connection that the server closes between answers is opened
// anew.
type HTTP struct {
	base
	req   []byte
	conns []httpFlow
	idle  fifo[*httpFlow]
}

// httpFlow is a client connection.
type httpFlow struct {
	pcb    *stack.TCP
	begun  int64
	asked  bool // an answer is due
	inBody bool
	left   uint64 // of the body
	head   [4096]byte
	n      int
}

// NewHTTP makes an HTTP client on s.
func NewHTTP(s *stack.Stack, cfg Config) *HTTP {
	cfg.setDefaults(0)
	h := &HTTP{base: newBase(s, cfg)}
	h.req = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: shardgen\r\n\r\n", cfg.Path, cfg.To)
	return h
}

// Start opens the connections.
func (h *HTTP) Start() error {
	h.conns = make([]httpFlow, h.cfg.Conns)
	h.idle = newFIFO[*httpFlow](h.cfg.Conns)
	for i := range h.conns {
		if err := h.open(&h.conns[i]); err != nil {
			return err
		}
	}
	return nil
}

func (h *HTTP) open(f *httpFlow) error {
	pcb, err := h.newPCB()
	if err != nil {
		return err
	}
	f.pcb, f.n, f.inBody, f.asked = pcb, 0, false, false
	pcb.SetArg(f)
	pcb.SetNoDelay(true)
	pcb.SetRecv(h.recv)
	pcb.SetErr(h.onErr)
	return pcb.Connect(h.cfg.To, h.connected)
}

func (h *HTTP) connected(arg any, _ *stack.TCP, _ error) error {
	h.n.Opened++
	return h.ask(arg.(*httpFlow))
}

// ask sends the next request, or lets the connection wait its turn.
func (h *HTTP) ask(f *httpFlow) error {
	now := h.s.Now()
	if h.stopped || h.cfg.Count != 0 && h.n.Ops+h.pending() >= h.cfg.Count {
		return nil
	}
	if !h.pace.take(now) {
		h.idle.push(f)
		return nil
	}
	f.begun, f.asked = now, true
	return f.pcb.Write(h.req, 0)
}

// pending is how many answers are due, so that Count is met exactly; it only
// matters, and is only counted, near the end.
func (h *HTTP) pending() (n uint64) {
	if h.n.Ops+uint64(len(h.conns)) < h.cfg.Count {
		return 0
	}
	for i := range h.conns {
		if h.conns[i].asked {
			n++
		}
	}
	return n
}

func (h *HTTP) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	f := arg.(*httpFlow)
	if p == nil {
		return h.closed(f, pcb)
	}
	n := p.TotLen()
	ok := true
	for q := p; q != nil && ok; q = q.Next() {
		ok = h.parse(f, q.Payload())
	}
	p.Free()
	pcb.Recved(n)
	h.n.BytesIn += uint64(n)
	if !ok {
		h.n.Errors++
		h.fail(fmt.Errorf("%w: %.64q", ErrHTTP, f.head[:f.n]))
		f.pcb = nil
		pcb.SetErr(nil)
		pcb.Abort()
		return stack.ErrAborted
	}
	if !f.asked {
		return h.ask(f)
	}
	return nil
}

// closed is the server closing: fine between answers.
func (h *HTTP) closed(f *httpFlow, pcb *stack.TCP) error {
	h.n.Closed++
	f.pcb = nil
	_ = pcb.Close()
	if f.asked && f.n > 0 || f.inBody {
		h.fail(fmt.Errorf("%w: closed within an answer", ErrHTTP))
	}
	if !h.stopped && !h.done() {
		if err := h.open(f); err != nil {
			h.fail(err)
		}
	}
	return nil
}

// parse takes bytes of an answer; false: they are none.
func (h *HTTP) parse(f *httpFlow, b []byte) bool {
	for len(b) > 0 {
		if !f.asked {
			return false // nobody asked
		}
		if !f.inBody {
			k := copy(f.head[f.n:], b)
			was := f.n
			f.n += k
			end := bytes.Index(f.head[max(0, was-3):f.n], []byte("\r\n\r\n"))
			if end < 0 {
				return f.n < len(f.head)
			}
			end += max(0, was-3) + 4
			b = b[end-was:]
			var ok bool
			if f.left, ok = parseHead(f.head[:end]); !ok {
				return false
			}
			f.inBody = true
		}
		k := min(f.left, uint64(len(b)))
		f.left -= k
		b = b[k:]
		if f.left == 0 {
			f.inBody, f.asked, f.n = false, false, 0
			h.n.Ops++
			h.n.BytesOut += uint64(len(h.req))
			h.record(h.s.Now() - f.begun)
		}
	}
	return true
}

// parseHead returns the length of the body of a good answer.
func parseHead(head []byte) (uint64, bool) {
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) {
		return 0, false
	}
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		k, v, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(k, []byte("Content-Length")) {
			n, err := strconv.ParseUint(string(bytes.TrimSpace(v)), 10, 63)
			return n, err == nil
		}
	}
	return 0, false
}

func (h *HTTP) onErr(arg any, err error) {
	f := arg.(*httpFlow)
	f.pcb = nil
	if !h.stopped && err != stack.ErrClosed {
		h.fail(err)
	}
}

// Poll lets waiting connections ask as the rate allows.
func (h *HTTP) Poll(now int64) (n int) {
	for h.idle.n > 0 && now >= h.pace.due {
		f := h.idle.pop()
		if f.pcb != nil && h.ask(f) == nil {
			_ = f.pcb.Output()
		}
		n++
	}
	return n
}

// Next is when the pacer lets the next request go.
func (h *HTTP) Next() int64 {
	if h.idle.n == 0 {
		return stack.Forever
	}
	return h.pace.due
}

// Stop closes the connections.
func (h *HTTP) Stop() {
	h.stopped = true
	for i := range h.conns {
		if pcb := h.conns[i].pcb; pcb != nil {
			h.conns[i].pcb = nil
			pcb.SetErr(nil)
			_ = pcb.Close()
		}
	}
}
