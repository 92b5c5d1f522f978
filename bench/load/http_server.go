package load

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// httpServer answers HTTP/1.1 GET and HEAD: "/" with a small body,
// "/bytes/N" with N bytes of the pattern straight from an off-heap region,
// "/sha256/N" with the hash of those. Anything else is 404.
type httpServer struct {
	sv     *Server
	region *pbuf.Region
	root   []byte // the whole answer to GET /
	free   []*httpConn
}

// httpConn is a connection: the bytes of a request that is not complete, and
// the answer in progress.
type httpConn struct {
	req   [2048]byte
	n     int
	off   uint64 // of the body in progress
	size  uint64
	close bool // after the answer
}

const (
	httpMaxBody = 1 << 50
	maxHashed   = 16 << 30
)

func newHTTPServer(sv *Server, body int) (*httpServer, error) {
	r, err := pbuf.NewRegion(patternBlock)
	if err != nil {
		return nil, err
	}
	copy(r.Bytes(), sv.block)
	h := &httpServer{sv: sv, region: r}
	body = min(body, patternBlock)
	h.root = append(httpHead(200, "OK", uint64(body)), sv.block[:body]...)
	return h, nil
}

// release gives the region back once no packet refers to it.
func (h *httpServer) release() { _ = h.region.Close() }

func httpHead(code int, text string, size uint64) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nServer: shardgen\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", code, text, size)
}

func (h *httpServer) accept(_ any, pcb *stack.TCP, _ error) error {
	h.sv.n.Opened++
	var c *httpConn
	if k := len(h.free); k > 0 {
		c, h.free = h.free[k-1], h.free[:k-1]
	} else {
		c = new(httpConn)
	}
	c.n, c.off, c.size, c.close = 0, 0, 0, false
	pcb.SetArg(c)
	pcb.SetNoDelay(true)
	pcb.SetRecv(h.recv)
	pcb.SetSent(h.sent)
	pcb.SetErr(h.onErr)
	return nil
}

func (h *httpServer) onErr(arg any, err error) {
	h.free = append(h.free, arg.(*httpConn))
	h.sv.onErr(nil, err)
}

// end closes a connection and keeps its state for the next.
func (h *httpServer) end(c *httpConn, pcb *stack.TCP) error {
	h.sv.n.Closed++
	h.free = append(h.free, c)
	pcb.SetErr(nil)
	return pcb.Close()
}

func (h *httpServer) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	c := arg.(*httpConn)
	if p == nil {
		return h.end(c, pcb)
	}
	n := p.TotLen()
	if n > len(c.req)-c.n {
		if c.off == c.size { // no request is that long
			h.sv.n.Errors++
			p.Free()
			h.sv.n.Closed++
			pcb.Abort()
			return stack.ErrAborted
		}
		return stack.ErrMem // pipelined behind a long answer: later
	}
	p.CopyPartial(c.req[c.n:], 0)
	c.n += n
	p.Free()
	pcb.Recved(n)
	h.sv.n.BytesIn += uint64(n)
	return h.serve(c, pcb)
}

func (h *httpServer) sent(arg any, pcb *stack.TCP, n int) error {
	h.sv.n.BytesOut += uint64(n)
	c := arg.(*httpConn)
	return h.serve(c, pcb)
}

// serve goes on with the answer in progress and then with the requests that
// are complete, as far as the send buffer goes.
func (h *httpServer) serve(c *httpConn, pcb *stack.TCP) error {
	for {
		if c.off < c.size {
			if !h.pushBody(c, pcb) {
				return nil
			}
		}
		if c.close && c.off == c.size {
			return h.end(c, pcb)
		}
		end := bytes.Index(c.req[:c.n], []byte("\r\n\r\n"))
		if end < 0 || pcb.SndBuf() < len(h.root)+512 {
			return nil
		}
		req := c.req[:end+2]
		if err := h.answer(c, pcb, req); err != nil {
			return err
		}
		c.n = copy(c.req[:], c.req[end+4:c.n])
		h.sv.n.Ops++
	}
}

// pushBody sends from the region without copying; false: the send buffer or
// the pool is full.
func (h *httpServer) pushBody(c *httpConn, pcb *stack.TCP) bool {
	const chunk = 16 << 10
	for c.off < c.size {
		at := int(c.off % patternBlock)
		n := min(int(min(c.size-c.off, chunk)), patternBlock-at)
		if pcb.SndBuf() < n {
			return false
		}
		p := pcb.Stack().Pool().AllocRef(h.region, at, n)
		if p == nil {
			return false
		}
		if pcb.WritePbuf(p, 0) != nil {
			p.Free()
			return false
		}
		c.off += uint64(n)
	}
	return true
}

// answer writes the head, and the body if it is short.
func (h *httpServer) answer(c *httpConn, pcb *stack.TCP, req []byte) error {
	line, _, _ := bytes.Cut(req, []byte("\r\n"))
	method, rest, _ := bytes.Cut(line, []byte(" "))
	path, version, _ := bytes.Cut(rest, []byte(" "))
	head := bytes.Equal(method, []byte("HEAD"))
	c.close = bytes.Equal(version, []byte("HTTP/1.0")) || hasClose(req)
	switch {
	case !head && !bytes.Equal(method, []byte("GET")):
		c.close = true
		return pcb.Write(httpHead(405, "Method Not Allowed", 0), 0)
	case len(path) == 1 && path[0] == '/' && !head:
		return pcb.Write(h.root, 0)
	case bytes.HasPrefix(path, []byte("/bytes/")):
		n, ok := size(path[len("/bytes/"):], httpMaxBody)
		if !ok {
			break
		}
		if !head {
			c.off, c.size = 0, n
		}
		return pcb.Write(httpHead(200, "OK", n), stack.WriteMore)
	case bytes.HasPrefix(path, []byte("/sha256/")) && !head:
		n, ok := size(path[len("/sha256/"):], maxHashed)
		if !ok {
			break
		}
		sum := sha256.New()
		HashPattern(sum, patternSeed, int64(n))
		body := fmt.Appendf(nil, "%x\n", sum.Sum(nil))
		return pcb.Write(append(httpHead(200, "OK", uint64(len(body))), body...), 0)
	}
	return pcb.Write(httpHead(404, "Not Found", 0), 0)
}

// size parses a length up to limit.
func size(b []byte, limit uint64) (uint64, bool) {
	n, err := strconv.ParseUint(string(b), 10, 63)
	return n, err == nil && n <= limit
}

// hasClose looks for "Connection: close" among the header lines.
func hasClose(req []byte) bool {
	for line := range bytes.SplitSeq(req, []byte("\r\n")) {
		k, v, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(k, []byte("Connection")) {
			return bytes.EqualFold(bytes.TrimSpace(v), []byte("close"))
		}
	}
	return false
}
