package load

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// httpServer answers HTTP/1.1 GET and HEAD: "/" with a small body,
// "/bytes/N" with N bytes of the pattern straight from an off-heap region,
// "/sha256/N" with the hash of those. Anything else is 404. Answers to a GET of
// "/" allocate nothing.
type httpServer struct {
	sv     *Server
	region *pbuf.Region
	body   uint64 // of GET /
	root   []byte // the answer to GET /, without the body if that is long
	free   []*httpConn
	cb     callbacks
	poll   stack.PollFunc
}

// httpConn is a connection: what has come, the request in work, and the
// answer in progress.
type httpConn struct {
	in    *pbuf.Pbuf // received, not looked at
	inOff int        // bytes of it that were taken
	req   [2048]byte // a request that is not complete
	n     int
	off   uint64 // of the body in progress
	size  uint64
	sum   hash.Hash // of a /sha256/ answer in progress
	hash  uint64    // bytes of it that are left
	head  bool      // the request in work is HEAD
	close bool      // after the answer in work
	eof   bool      // the peer has closed
	polls bool
}

const (
	// httpPoll is how often an answer goes on that waits for buffers or for a
	// hash to be computed.
	httpPoll = time.Millisecond
	// hashStep is the bytes hashed a poll, so that the shard is not kept from
	// its packets for long.
	hashStep = patternBlock
	// maxHashed bounds N of /sha256/N.
	maxHashed = 16 << 30
	// shortBody is the longest answer to GET / that is copied.
	shortBody = 4 << 10
	// headRoom is more than any head takes.
	headRoom = 256
)

func newHTTPServer(sv *Server, body int) (*httpServer, error) {
	r, err := pbuf.NewRegion(patternBlock)
	if err != nil {
		return nil, err
	}
	copy(r.Bytes(), sv.block)
	h := &httpServer{sv: sv, region: r, body: uint64(body), root: httpHead200(uint64(body))}
	if body <= shortBody {
		h.root = append(h.root, sv.block[:body]...)
	}
	h.cb = callbacks{recv: h.recv, sent: h.sent, err: h.onErr}
	h.poll = h.polled
	return h, nil
}

func httpHead200(size uint64) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: shardgen\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", size)
}

func (h *httpServer) accept(_ any, pcb *stack.TCP, _ error) error {
	h.sv.n.Opened++
	var c *httpConn
	if k := len(h.free); k > 0 {
		c, h.free = h.free[k-1], h.free[:k-1]
	} else {
		c = new(httpConn)
	}
	pcb.SetArg(c)
	pcb.SetRecv(h.cb.recv)
	pcb.SetSent(h.cb.sent)
	pcb.SetErr(h.cb.err)
	return nil
}

// put keeps a connection's state for the next.
func (h *httpServer) put(c *httpConn) {
	if c.in != nil {
		c.in.Free()
	}
	c.in, c.inOff, c.n, c.off, c.size, c.sum, c.hash = nil, 0, 0, 0, 0, nil, 0
	c.head, c.close, c.eof, c.polls = false, false, false, false
	h.free = append(h.free, c)
}

func (h *httpServer) onErr(arg any, err error) {
	h.put(arg.(*httpConn))
	h.sv.onErr(nil, err)
}

// end closes a connection.
func (h *httpServer) end(c *httpConn, pcb *stack.TCP) {
	h.sv.n.Closed++
	h.put(c)
	pcb.SetErr(nil)
	_ = pcb.Close()
}

func (h *httpServer) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	c := arg.(*httpConn)
	switch {
	case p == nil:
		c.eof = true
	case c.in == nil:
		c.in = p
	default:
		c.in.Cat(p)
	}
	h.serve(c, pcb)
	return nil
}

func (h *httpServer) sent(arg any, pcb *stack.TCP, n int) error {
	h.sv.n.BytesOut += uint64(n)
	h.serve(arg.(*httpConn), pcb)
	return nil
}

// polled goes on with an answer that waited for the clock.
func (h *httpServer) polled(arg any, pcb *stack.TCP) error {
	h.serve(arg.(*httpConn), pcb)
	return nil
}

// serve goes on with the answer in progress and then with the requests that
// have come, as far as the send buffer goes. What can't be answered yet stays
// in c.in, so that the peer's window closes.
func (h *httpServer) serve(c *httpConn, pcb *stack.TCP) {
	for {
		if c.sum != nil && !h.hashSome(c, pcb) || c.off < c.size && !h.pushBody(c, pcb) {
			return
		}
		if c.polls { // nothing waits for the clock now
			c.polls = false
			pcb.SetPoll(nil, 0)
		}
		if c.close {
			h.end(c, pcb)
			return
		}
		if pcb.SndBuf() < len(h.root)+headRoom && pcb.QueueLen() != 0 {
			return // the next acknowledgement goes on
		}
		end := h.take(c, pcb)
		if end < 0 {
			if c.eof || c.n == len(c.req) {
				h.end(c, pcb) // no request is that long, or none will come
			}
			return
		}
		if err := h.answer(c, pcb, c.req[:end]); err != nil {
			h.later(c, pcb) // no buffer: the request stays
			return
		}
		c.n = copy(c.req[:], c.req[end+2:c.n])
		h.sv.n.Ops++
	}
}

// take gives the length of the first request in c.req, its last CRLF left
// out, filling it from what has come; -1: it is not complete.
func (h *httpServer) take(c *httpConn, pcb *stack.TCP) int {
	if c.in != nil && c.n < len(c.req) {
		k := c.in.CopyPartial(c.req[c.n:], c.inOff)
		c.n += k
		c.inOff += k
		if c.inOff == c.in.TotLen() {
			c.in.Free()
			c.in, c.inOff = nil, 0
		}
		pcb.Recved(k)
		h.sv.n.BytesIn += uint64(k)
	}
	if i := bytes.Index(c.req[:c.n], crlf2); i >= 0 {
		return i + 2
	}
	return -1
}

// later has serve called by the clock.
func (h *httpServer) later(c *httpConn, pcb *stack.TCP) {
	if !c.polls {
		c.polls = true
		pcb.SetPoll(h.poll, httpPoll)
	}
}

// pushBody sends from the region without copying; false: the send buffer or
// the pool is exhausted.
func (h *httpServer) pushBody(c *httpConn, pcb *stack.TCP) bool {
	const chunk = 16 << 10
	for c.off < c.size {
		at := int(c.off % patternBlock)
		n := min(int(min(c.size-c.off, chunk)), patternBlock-at)
		if room := pcb.SndBuf(); room < n {
			if pcb.QueueLen() != 0 {
				return false // the next acknowledgement goes on
			}
			n = room // the whole send buffer is that small
		}
		p := pcb.Stack().Pool().AllocRef(h.region, at, n)
		if p == nil {
			h.later(c, pcb)
			return false
		}
		if err := pcb.WritePbuf(p, 0); err != nil {
			p.Free()
			if errors.Is(err, stack.ErrMem) {
				h.later(c, pcb)
			}
			return false
		}
		c.off += uint64(n)
	}
	return true
}

// hashSome goes on with a /sha256/ answer; false: it is not sent yet.
func (h *httpServer) hashSome(c *httpConn, pcb *stack.TCP) bool {
	k := min(c.hash, hashStep)
	_, _ = c.sum.Write(h.sv.block[:k]) // a hash never fails
	if c.hash -= k; c.hash != 0 {
		h.later(c, pcb)
		return false
	}
	body := fmt.Appendf(nil, "%x\n", c.sum.Sum(nil))
	if pcb.Write(append(httpHead200(uint64(len(body))), body...), 0) != nil {
		h.later(c, pcb)
		return false
	}
	c.sum = nil
	return true
}

// answer writes the head, and the body if it is short; what is long is left to
// pushBody and hashSome. An error: nothing was written.
func (h *httpServer) answer(c *httpConn, pcb *stack.TCP, head []byte) error {
	q, ok := parseRequest(head)
	if !ok {
		c.close = true
		return pcb.Write(httpBadRequest, 0)
	}
	c.close = q.close
	switch {
	case !q.get && !q.head:
		c.close = true
		return pcb.Write(httpBadMethod, 0)
	case string(q.path) == "/":
		b := h.root
		if q.head {
			b = b[:bytes.Index(b, crlf2)+4]
		}
		err := pcb.Write(b, 0)
		if err == nil && h.body > shortBody && !q.head {
			c.off, c.size = 0, h.body
		}
		return err
	}
	if n, ok := sizeBehind(q.path, "/bytes/", maxLength); ok {
		if err := pcb.Write(httpHead200(n), stack.WriteMore); err != nil || q.head {
			return err
		}
		c.off, c.size = 0, n
		return nil
	}
	if n, ok := sizeBehind(q.path, "/sha256/", maxHashed); ok && q.get {
		c.sum, c.hash = sha256.New(), n
		return nil
	}
	return pcb.Write(httpNotFound, 0)
}
