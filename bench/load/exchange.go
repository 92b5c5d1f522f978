package load

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// The exchange service sends and receives at once and both ends verify. The
// opener sends 8 bytes, the length of each direction, big endian. Then both
// send that many bytes of the pattern and, when all of the peer's have come,
// the XXH64 of what came, 8 bytes; then they close.

// ErrExchange: the peer saw other bytes than were sent, or stopped early.
var ErrExchange = errors.New("load: exchange failed")

const (
	exchangeHeader = 8
	exchangeHash   = 8
)

// exchange is one end of an exchange.
type exchange struct {
	block  []byte
	size   uint64 // of each direction; known once the header is there
	head   [exchangeHeader]byte
	tail   [exchangeHash]byte
	nHead  int
	in     uint64 // pattern bytes received
	nTail  int
	out    uint64 // pattern bytes written
	hashed bool   // our hash was written
	sum    *xxhash.Digest
	n      *Counters
	ended  func(x *exchange, pcb *stack.TCP, err error)
}

// reset makes x ready for a connection; server: the header is still to come.
func (x *exchange) reset(size uint64, server bool) {
	if x.sum == nil {
		x.sum = xxhash.New()
	}
	x.sum.Reset()
	x.size, x.in, x.out, x.nTail, x.hashed = size, 0, 0, 0, false
	x.nHead = exchangeHeader
	if server {
		x.nHead = 0
	}
}

func (x *exchange) recv(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil {
		x.finish(pcb)
		return nil
	}
	n := p.TotLen()
	for q := p; q != nil; q = q.Next() {
		x.take(q.Payload())
	}
	p.Free()
	pcb.Recved(n)
	x.n.BytesIn += uint64(n)
	return x.push(pcb)
}

// take sorts received bytes: header, pattern, hash.
func (x *exchange) take(b []byte) {
	if x.nHead < exchangeHeader {
		k := copy(x.head[x.nHead:], b)
		x.nHead += k
		b = b[k:]
		if x.nHead < exchangeHeader {
			return
		}
		x.size = binary.BigEndian.Uint64(x.head[:])
	}
	k := min(uint64(len(b)), x.size-x.in)
	_, _ = x.sum.Write(b[:k])
	x.in += k
	x.nTail += copy(x.tail[min(x.nTail, exchangeHash):], b[k:])
}

// push writes what fits: the pattern, then our hash when all has come.
func (x *exchange) push(pcb *stack.TCP) error {
	if x.nHead < exchangeHeader {
		return nil
	}
	const chunk = 16 << 10
	for x.out < x.size && pcb.SndBuf() >= chunk {
		b := streamAt(x.block, x.out)
		b = b[:min(uint64(len(b)), chunk, x.size-x.out)]
		if pcb.Write(b, 0) != nil {
			return nil // no buffer: the next ACK tries again
		}
		x.out += uint64(len(b))
	}
	if x.out == x.size && x.in == x.size && !x.hashed && pcb.SndBuf() >= exchangeHash {
		var h [exchangeHash]byte
		binary.BigEndian.PutUint64(h[:], x.sum.Sum64())
		if pcb.Write(h[:], 0) == nil {
			x.hashed = true
			return pcb.Shutdown(false, true)
		}
	}
	return nil
}

func (x *exchange) sent(_ any, pcb *stack.TCP, n int) error {
	x.n.BytesOut += uint64(n)
	return x.push(pcb)
}

// finish judges the exchange when the peer has closed.
func (x *exchange) finish(pcb *stack.TCP) {
	want := xxhash.New()
	HashPattern(want, patternSeed, int64(x.size))
	var err error
	got := binary.BigEndian.Uint64(x.tail[:])
	if x.nTail != exchangeHash || got != want.Sum64() || x.sum.Sum64() != want.Sum64() {
		err = fmt.Errorf("%w: %d of %d bytes in, hash in %x, hash out %x, want %x",
			ErrExchange, x.in, x.size, x.sum.Sum64(), got, want.Sum64())
	}
	x.ended(x, pcb, err)
}

func (sv *Server) acceptExchange(_ any, pcb *stack.TCP, _ error) error {
	sv.n.Opened++
	var x *exchange
	if k := len(sv.free); k > 0 {
		x, sv.free = sv.free[k-1], sv.free[:k-1]
	} else {
		x = &exchange{block: sv.block, n: &sv.n, ended: sv.endExchange}
	}
	x.reset(0, true)
	pcb.SetRecv(x.recv)
	pcb.SetSent(x.sent)
	pcb.SetErr(sv.onErr)
	return nil
}

func (sv *Server) endExchange(x *exchange, pcb *stack.TCP, err error) {
	if err != nil {
		sv.n.Errors++
	} else {
		sv.n.Ops++
	}
	sv.n.Closed++
	sv.free = append(sv.free, x)
	_ = pcb.Close()
}

// Exchange is the opener's side: each of Conns connections exchanges Size
// bytes each way, once.
type Exchange struct {
	base
	left int
}

// NewExchange makes an exchange client on s.
func NewExchange(s *stack.Stack, cfg Config) *Exchange {
	cfg.setDefaults(1 << 20)
	return &Exchange{base: newBase(s, cfg)}
}

// Start opens the connections.
func (e *Exchange) Start() error {
	block := NewPattern(patternSeed)
	for range e.cfg.Conns {
		pcb, err := e.newPCB()
		if err != nil {
			return err
		}
		x := &exchange{block: block, n: &e.n, ended: e.end}
		x.reset(uint64(e.cfg.Size), false)
		pcb.SetRecv(x.recv)
		pcb.SetSent(x.sent)
		pcb.SetErr(func(_ any, err error) {
			if err != stack.ErrClosed {
				e.left--
				e.fail(err)
			}
		})
		e.left++
		err = pcb.Connect(e.cfg.To, func(_ any, pcb *stack.TCP, _ error) error {
			e.n.Opened++
			var h [exchangeHeader]byte
			binary.BigEndian.PutUint64(h[:], x.size)
			if err := pcb.Write(h[:], stack.WriteMore); err != nil {
				return err
			}
			return x.push(pcb)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Exchange) end(_ *exchange, pcb *stack.TCP, err error) {
	e.left--
	e.n.Closed++
	if err != nil {
		e.n.Errors++
		e.fail(err)
	} else {
		e.n.Ops++
	}
	_ = pcb.Close()
}

// Done reports whether all exchanges have ended.
func (e *Exchange) Done() bool { return e.left == 0 }

// Stop leaves the connections to end by themselves.
func (e *Exchange) Stop() { e.stopped = true }
