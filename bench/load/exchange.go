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
// the XXH64 of what came, 8 bytes; then they close. As both directions carry
// the same bytes, all hashes must agree.

// ErrExchange says that the peer saw other bytes than were sent, or stopped early.
var ErrExchange = errors.New("load: exchange failed")

const (
	exchangeHeader = 8
	exchangeHash   = 8
	exchangeChunk  = 16 << 10 // bytes a Write
)

// exchange is one end of an exchange, and the slot of a client's connection.
type exchange struct {
	pcb    *stack.TCP
	up     bool
	begun  int64
	block  []byte
	size   uint64 // of each direction; known once the header is there
	head   [exchangeHeader]byte
	tail   [exchangeHash]byte
	nHead  int
	in     uint64 // pattern bytes received
	nTail  int
	out    uint64 // pattern bytes written
	hashed bool   // our hash was written
	sumIn  xxhash.Digest
	sumOut xxhash.Digest
	n      *Counters
}

// reset makes x ready for a connection; server: the header is still to come.
func (x *exchange) reset(size uint64, server bool) {
	x.sumIn.Reset()
	x.sumOut.Reset()
	x.size, x.in, x.out, x.nTail, x.hashed = size, 0, 0, 0, false
	x.nHead = exchangeHeader
	if server {
		x.nHead = 0
	}
}

// received takes a packet and sends what can be sent.
func (x *exchange) received(pcb *stack.TCP, p *pbuf.Pbuf) {
	n := p.TotLen()
	for q := p; q != nil; q = q.Next() {
		x.take(q.Payload())
	}
	p.Free()
	pcb.Recved(n)
	x.n.BytesIn += uint64(n)
	x.push(pcb)
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
	_, _ = x.sumIn.Write(b[:k]) // a hash never fails
	x.in += k
	b = b[k:]
	copy(x.tail[min(x.nTail, exchangeHash):], b)
	x.nTail += len(b)
}

// push writes what fits: the pattern, then our hash when all has come, then
// FIN. For want of a buffer it stops, and is called again by the next
// acknowledgement or the poll timer.
func (x *exchange) push(pcb *stack.TCP) {
	if x.nHead < exchangeHeader {
		return
	}
	for x.out < x.size {
		b := streamAt(x.block, x.out)
		b = b[:min(uint64(len(b)), exchangeChunk, x.size-x.out)]
		if pcb.Write(b, 0) != nil {
			return
		}
		_, _ = x.sumOut.Write(b) // a hash never fails
		x.out += uint64(len(b))
	}
	if x.in == x.size && !x.hashed {
		var h [exchangeHash]byte
		binary.BigEndian.PutUint64(h[:], x.sumIn.Sum64())
		if pcb.Write(h[:], 0) == nil {
			x.hashed = true
			_ = pcb.Shutdown(false, true) // connected, so it can't fail
		}
	}
}

// judge says how the exchange went, when the peer has closed.
func (x *exchange) judge() error {
	theirs, ours, sent := binary.BigEndian.Uint64(x.tail[:]), x.sumIn.Sum64(), x.sumOut.Sum64()
	if x.nHead == exchangeHeader && x.in == x.size && x.out == x.size && x.nTail == exchangeHash &&
		theirs == sent && ours == sent {
		return nil
	}
	return fmt.Errorf("%w: of %d bytes %d came and %d went; hashes %x sent, %x received, %x at the peer",
		ErrExchange, x.size, x.in, x.out, sent, ours, theirs)
}

func (sv *Server) acceptExchange(_ any, pcb *stack.TCP, _ error) error {
	sv.n.Opened++
	var x *exchange
	if k := len(sv.free); k > 0 {
		x, sv.free = sv.free[k-1], sv.free[:k-1]
	} else {
		x = &exchange{block: sv.block, n: &sv.n}
	}
	x.reset(0, true)
	pcb.SetArg(x)
	pcb.SetRecv(sv.cb.recvExchange)
	pcb.SetSent(sv.cb.sentExchange)
	pcb.SetPoll(sv.cb.pollExchange, retryPoll)
	pcb.SetErr(sv.cb.errExchange)
	return nil
}

func (sv *Server) recvExchange(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	x := arg.(*exchange)
	if p != nil {
		x.received(pcb, p)
		return nil
	}
	if x.judge() != nil {
		sv.n.Errors++
	} else {
		sv.n.Ops++
	}
	sv.n.Closed++
	sv.free = append(sv.free, x)
	pcb.SetErr(nil)
	_ = pcb.Close()
	return nil
}

func (sv *Server) sentExchange(arg any, pcb *stack.TCP, n int) error {
	sv.n.BytesOut += uint64(n)
	arg.(*exchange).push(pcb)
	return nil
}

func (sv *Server) pollExchange(arg any, pcb *stack.TCP) error {
	arg.(*exchange).push(pcb)
	return nil
}

func (sv *Server) errExchange(arg any, err error) {
	sv.free = append(sv.free, arg.(*exchange))
	sv.onErr(nil, err)
}
