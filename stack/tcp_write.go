package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// WriteFlags say how Write queues data (TCP_WRITE_FLAG_*).
type WriteFlags uint8

const (
	// WriteMore: more is coming at once, so do not set PSH on the end.
	WriteMore WriteFlags = 1 << iota
)

// canWrite says whether the connection takes data to send (tcp_write_checks).
func (t *TCP) canWrite(n int) error {
	switch t.state {
	case StateSynSent, StateSynRcvd, StateEstablished, StateCloseWait:
	default:
		return ErrConn
	}
	if t.flags&(tfFinQueued|tfClosePend|tfPulls) != 0 {
		return ErrConn
	}
	// What is pulled has no buffers, but is counted: it may be more than there is.
	if n > int(int32(t.sndBuf)) && n != 0 && (t.TuneSndBuf() == 0 || n > int(int32(t.sndBuf))) {
		return ErrMem
	}
	return nil
}

// Write queues a copy of b for sending (tcp_write with TCP_WRITE_FLAG_COPY):
// all of it, or nothing and ErrMem when it exceeds SndBuf or the pool is
// empty; ErrConn when the connection does not send. b is the caller's again.
// Output, or the end of the callback in work, sends it.
func (t *TCP) Write(b []byte, flags WriteFlags) error {
	if err := t.canWrite(len(b)); err != nil || len(b) == 0 {
		return err
	}
	if t.sndq.Empty() && len(b) <= t.segmentLen() { // the common case of all below
		p := t.newSegment(b, t.sndLbb, len(b) < int(t.mss) && flags&WriteMore != 0)
		if p == nil {
			return ErrMem
		}
		t.pushSeg(p)
		t.written(len(b), flags)
		return nil
	}
	// What fits behind the last unsent segment goes there. The new segments
	// are made first, so that a lack of buffers changes nothing.
	k := t.appendRoom(len(b))
	more, ok := t.appendBuffers(k)
	if !ok {
		return ErrMem
	}
	var fresh pbuf.Queue
	lbb := t.sndLbb.Add(uint32(k))
	for rest := b[k:]; len(rest) > 0; {
		n := min(len(rest), t.segmentLen())
		p := t.newSegment(rest[:n], lbb, len(rest) < int(t.mss) && (flags&WriteMore != 0 || t.sndq.Len() != 0))
		if p == nil {
			fresh.FreeAll()
			if more != nil {
				more.Free()
			}
			return ErrMem
		}
		fresh.Push(p)
		lbb = lbb.Add(uint32(n))
		rest = rest[n:]
	}
	switch {
	case k == 0:
	case t.flags&tfBig != 0:
		t.appendBig(t.sndq.Tail(), b[:k], more)
	default:
		t.appendTo(t.sndq.Tail(), b[:k])
	}
	for p := fresh.Pop(); p != nil; p = fresh.Pop() {
		t.pushSeg(p)
	}
	t.written(len(b), flags)
	return nil
}

// written books n bytes that were queued.
func (t *TCP) written(n int, flags WriteFlags) {
	t.sndLbb = t.sndLbb.Add(uint32(n))
	t.sndBuf -= uint32(n)
	t.s.stats.TCP.OutOctets += uint64(n)
	if flags&WriteMore == 0 {
		seg(t.sndq.Tail()).flags |= header.TCPPsh
	}
}

// segmentLen is the payload of a full segment in the queue.
func (t *TCP) segmentLen() int {
	n := int(t.mss)
	if t.flags&tfBig != 0 {
		n = t.bigLen()
	}
	if h := t.s.hooks.TCPSegmentLen; h != nil {
		n = max(1, min(n, h(t, n)))
	}
	return n
}

// appendRoom is how many of n bytes fit into the last unsent segment.
func (t *TCP) appendRoom(n int) int {
	if t.unsent == nil {
		return 0
	}
	p := t.sndq.Tail()
	g := seg(p)
	if g.tx != 0 || g.pull || g.flags&(header.TCPSyn|header.TCPFin) != 0 {
		return 0
	}
	if t.flags&tfBig != 0 {
		return t.appendRoomBig(p, g, n)
	}
	if p.Next() != nil {
		return 0
	}
	return max(0, min(n, p.Tailroom(), t.segmentLen()-int(g.n)))
}

// appendTo copies b behind the data of an unsent segment.
func (t *TCP) appendTo(p *pbuf.Pbuf, b []byte) {
	g := seg(p)
	dst := p.Append(len(b))
	if t.wantSum() && g.sumOK {
		if g.n&1 == 0 {
			g.sum = header.ChecksumCopy(dst, b, g.sum)
		} else {
			g.sum = header.CombineChecksum(g.sum, header.ChecksumOdd(header.ChecksumCopy(dst, b, 0)))
		}
	} else {
		copy(dst, b)
		g.sumOK = false
	}
	g.n += uint32(len(b))
}

// newSegment makes an unsent segment with a copy of b, with room to append if
// oversize. Nil: no buffer.
func (t *TCP) newSegment(b []byte, seq header.Seq, oversize bool) *pbuf.Pbuf {
	room := len(b)
	if room > int(t.mss) {
		return t.newBigSegment(b, seq)
	}
	if oversize {
		room = int(t.mss)
	}
	if t.s.scarce(room) {
		return nil
	}
	p := t.s.alloc(pbuf.LayerTransport, room, pbuf.KindRAM)
	if p == nil {
		return nil
	}
	if oversize {
		p.Realloc(len(b))
	}
	t.fillSegment(p, b, seq)
	return p
}

// fillSegment makes p, which has room for len(b) bytes, an unsent segment with a copy
// of b.
func (t *TCP) fillSegment(p *pbuf.Pbuf, b []byte, seq header.Seq) {
	g := seg(p)
	*g = tcpSeg{seq: seq, n: uint32(len(b))}
	if t.wantSum() {
		g.sum, g.sumOK = header.ChecksumCopy(p.Payload(), b, 0), true
	} else {
		copy(p.Payload(), b)
	}
}

// wantSum reports whether segments are summed while they are copied: when the
// port does not do it, the copy is the time to (one pass over the data).
func (t *TCP) wantSum() bool {
	return t.nif == nil || !t.nif.caps.Has(offload.TxTCPCsum)
}

// WritePbuf queues a packet's data for sending without copying it (tcp_write
// without TCP_WRITE_FLAG_COPY). On nil error the stack owns p and the bytes
// must not change until they are acknowledged; otherwise p stays the caller's.
// p must have one owner. Errors as for Write.
func (t *TCP) WritePbuf(p *pbuf.Pbuf, flags WriteFlags) error {
	n := p.TotLen()
	if err := t.canWrite(n); err != nil {
		return err
	}
	if n == 0 {
		p.Free()
		return nil
	}
	if n <= pbuf.SmallRoom && t.s.crowded() {
		if q := t.newSegmentOf(p); q != nil {
			p.Free()
			t.pushSeg(q)
			t.written(n, flags)
			return nil
		}
	}
	if t.flags&tfBig != 0 && t.joinTail(p, n) {
		t.written(n, flags)
		return nil
	}
	var pieces, heads pbuf.Queue
	if !t.cut(p, &pieces) || !t.makeHeads(&pieces, &heads) {
		heads.FreeAll()
		pieces.Pop()
		for q := pieces.Pop(); q != nil; q = pieces.Pop() {
			p.Cat(q)
		}
		return ErrMem
	}
	lbb := t.sndLbb
	for q := pieces.Pop(); q != nil; q = pieces.Pop() {
		n := uint32(q.TotLen())
		if q.Headroom() < maxHeaders {
			h := heads.Pop()
			h.Cat(q)
			q = h
		}
		q.Flags = 0 // they may be those of its reception
		*seg(q) = tcpSeg{seq: lbb, n: n}
		lbb = lbb.Add(n)
		t.pushSeg(q)
	}
	t.written(n, flags)
	return nil
}

// newSegmentOf makes an unsent segment with a copy of p, whose few bytes would
// otherwise keep a large buffer until they are acknowledged. Nil: no small
// buffer.
func (t *TCP) newSegmentOf(p *pbuf.Pbuf) *pbuf.Pbuf {
	q := t.s.alloc(pbuf.LayerTransport, p.TotLen(), pbuf.KindRAM)
	if q == nil {
		return nil
	}
	if q.Class() != pbuf.ClassSmall {
		q.Free()
		return nil
	}
	if p.Next() == nil {
		t.fillSegment(q, p.Payload(), t.sndLbb)
	} else {
		p.CopyPartial(q.Payload(), 0)
		*seg(q) = tcpSeg{seq: t.sndLbb, n: uint32(p.TotLen())}
	}
	return q
}

// maxHeaders is the most that goes in front of the data of a segment:
// Ethernet, one tag, IPv6 with the option of a jumbogram, TCP with all options.
const maxHeaders = header.EthernetLen + header.VLANLen + header.IPv6Len + header.IPv6JumboLen + header.TCPLen + 40

// cut splits p into pieces of one segment each, p itself being the first.
// False: no buffer; what was cut is in pieces.
func (t *TCP) cut(p *pbuf.Pbuf, pieces *pbuf.Queue) bool {
	for p.TotLen() > t.segmentLen() {
		rest := p.Split(t.segmentLen())
		pieces.Push(p)
		if rest == nil {
			return false
		}
		p = rest
	}
	pieces.Push(p)
	return true
}

// makeHeads makes a buffer for the headers of each piece that has no room for
// them. False: no buffer.
func (t *TCP) makeHeads(pieces, heads *pbuf.Queue) bool {
	for q := pieces.Head(); q != nil; q = q.QNext() {
		if q.Headroom() >= maxHeaders {
			continue
		}
		h := t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
		if h == nil {
			return false
		}
		heads.Push(h)
	}
	return true
}
