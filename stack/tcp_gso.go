package stack

import (
	"fmt"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// Where somebody behind TCP cuts segments, the queue holds big ones: as many
// times the MSS as fit an IP packet, in a jumbo buffer or a chain. A header is
// made, and a window looked at, once for 64 KiB instead of 45 times. What goes
// out at once is a multiple of the MSS except at the end of the data; a segment
// that may go in part is cut in the queue, without copying (splitSegment), and so
// is one of which a part was lost.

// GSOMode says when TCP sends segments longer than the MSS.
type GSOMode uint8

const (
	// GSOAuto: when the port of the path cuts them (offload.TSO4). Best in
	// general: the stack does a fraction of the work for each byte.
	GSOAuto GSOMode = iota
	// GSOAlways: also when package offload has to cut them as they leave. Best
	// for bulk data from a stack whose time is short, over ports that take chains
	// (offload.MultiSeg), as the payload is not copied then. A port that takes
	// single buffers only costs one copy more. Small segments gain nothing, and a
	// burst of frames leaves at once, for which a receiver or a switch needs the
	// buffers.
	GSOAlways
	// GSONever: every segment has at most an MSS of data. Best where packets are
	// to be spread in time, or compared with those of another stack.
	GSONever
)

var gsoNames = [...]string{"auto", "always", "never"}

// String is "auto", "always" or "never".
func (m GSOMode) String() string {
	if int(m) < len(gsoNames) {
		return gsoNames[m]
	}
	return "invalid"
}

// ParseGSOMode reads what String prints; ErrVal for anything else.
func ParseGSOMode(s string) (GSOMode, error) {
	for i, name := range gsoNames {
		if s == name {
			return GSOMode(i), nil
		}
	}
	return 0, fmt.Errorf("%w: GSO mode %q is not auto, always or never", ErrVal, s)
}

const (
	// bigHeaders is what an IP packet has beside data at most: IPv4 and TCP, or the
	// options header of a jumbogram and TCP.
	bigHeaders = header.IPv4Len + 60
	// maxBufs is how many buffers a segment may be a chain of; devices have limits.
	maxBufs = 40
)

// wantBig says whether the connection's path is one for big segments.
func (t *TCP) wantBig() bool {
	switch t.s.cfg.TCP.GSO {
	case GSOAlways:
		return true
	case GSONever:
		return false
	}
	if t.local.Is4() {
		return t.nif.caps.Has(offload.TSO4)
	}
	return t.nif.caps.Has(offload.TSO6)
}

// bigLen is the most data that goes out in one segment: what Netif.enqueueCut can
// cut, with room for others in the interface's queue, if the port can't.
func (t *TCP) bigLen() int {
	mss, most := int(t.mss), offload.MaxTSO
	if t.s.cfg.TCP.GSOMax > most {
		most = t.bigMax()
	}
	return mss * max(1, min((most-bigHeaders)/mss, maxCut, t.nif.txMax/4))
}

// segments is how many segments n bytes of data are on the wire.
func (t *TCP) segments(n uint32) uint64 {
	mss := uint32(t.mss)
	if n <= mss {
		return 1
	}
	return uint64((n + mss - 1) / mss)
}

// orderCut sets what asks for p to be cut at the MSS, if its n bytes of data are
// more than that; extra bytes of options are not counted in the MSS.
func (t *TCP) orderCut(p *pbuf.Pbuf, n, extra int) bool {
	if n <= int(t.mss) {
		p.Flags &^= pbuf.TxTSO
		return false
	}
	p.Flags |= pbuf.TxTSO
	p.SegSize = uint16(max(1, int(t.mss)-extra))
	return true
}

// sendWindow is how much may be in flight, counted from sndUna: whatever bounds
// sending is in here, and nowhere else.
func (t *TCP) sendWindow() uint32 {
	if t.flags&tfLoss != 0 { // RFC 6675 5: what is lost or has arrived is not in flight
		pipe := t.inFlight()
		return min(t.sndWnd, t.sndNxt.Sub(t.sndUna)+t.cc.Cwnd-min(t.cc.Cwnd, pipe))
	}
	return min(t.sndWnd, t.cc.Cwnd)
}

// sendQuota is how much of the first unsent segment may go out now, with a window
// of wnd of which inFlight bytes are used: all, a multiple of the MSS, or 0 for
// none. It is asked for segments that are longer than the MSS or do not fit.
func (t *TCP) sendQuota(p *pbuf.Pbuf, g *tcpSeg, wnd, inFlight uint32) uint32 {
	room := wnd - min(wnd, inFlight)
	mss := uint32(t.mss)
	if g.n <= room {
		n := mss
		if t.flags&tfBig != 0 {
			n = uint32(t.bigLen())
		} // else the path's MTU has shrunk, or the path is another
		if n < g.n {
			return t.paced(n)
		}
		// RFC 9293 3.7.4: the Nagle algorithm keeps back what is less than an
		// MSS at the end, as it does when that is a segment of its own.
		if n = g.n; t.flags&tfNoDelay == 0 && p.QNext() == nil && g.flags&header.TCPFin == 0 && g.tx == 0 {
			n -= n % mss
		}
		return t.paced(n)
	}
	if room == 0 {
		return 0
	}
	if h := t.s.hooks.TCPSplit; h != nil {
		return min(room, uint32(max(0, h(t, int(g.n), int(room)))))
	}
	if n := room - room%mss; n != 0 && g.n > mss {
		// A cut costs something. While most of the window is in flight there will
		// be an ACK that opens it further.
		if inFlight != 0 && n < wnd/8 && g.tx == 0 && t.flags&tfLoss == 0 {
			return 0
		}
		return t.paced(n)
	}
	// Sender's silly window avoidance (RFC 9293 3.8.6.2.1) sends less than a
	// segment only for half the largest window ever offered.
	if t.sndWnd >= t.cc.Cwnd || inFlight != 0 || room < t.sndWndMax/2 {
		return 0
	}
	return room
}

// paced is how much of n bytes, more than an MSS, the pacer lets go now: a
// multiple of the MSS, if not all.
func (t *TCP) paced(n uint32) uint32 {
	mss := uint32(t.mss)
	if room := t.paceRoom(); room < n {
		return max(room-room%mss, mss)
	}
	return n
}

// slices is a packet of headers to come and references to n bytes of p from off
// on. Nil: no buffer.
func (t *TCP) slices(p *pbuf.Pbuf, off, n int) *pbuf.Pbuf {
	h := t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	if h == nil {
		return nil
	}
	var chain pbuf.Builder
	chain.Add(h)
	for q, off := p.Skip(off); n > 0; q, off = q.Next(), 0 {
		k := min(n, q.Len()-off)
		s := q.Slice(off, k)
		if s == nil {
			chain.Finish().Free()
			return nil
		}
		chain.Add(s)
		n -= k
	}
	return chain.Finish()
}

// splitSegment cuts a queued segment so that it has n bytes, and makes the rest
// the next one. Nothing is copied but a short rest. False: no buffer.
func (t *TCP) splitSegment(p *pbuf.Pbuf, n uint32) bool {
	g := seg(p)
	if n >= g.n {
		return true
	}
	var rest *pbuf.Pbuf
	kept := false
	if g.pull {
		rest = t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	} else if held(p, g) { // by the port: it stays as long as it is, until sent again
		rest, kept = t.slicesOf(p, g, int(n), int(g.n-n)), true
	} else {
		t.stripHeaders(p, g)
		rest = p.Split(int(n))
	}
	if rest == nil {
		return false
	}
	if rest.Headroom() < maxHeaders {
		h := t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
		if h == nil {
			p.Cat(rest)
			return false
		}
		h.Cat(rest)
		rest = h
	}
	r := seg(rest)
	*r = *g
	r.seq, r.n, r.hdr, r.sumOK = g.seq.Add(n), g.n-n, 0, false
	r.run, r.apart, r.parts = false, false, pbuf.Parts{}
	g.n, g.sumOK = n, false
	if g.run && !kept {
		splitRun(p, rest, g, r)
	}
	g.flags &^= header.TCPFin | header.TCPPsh
	t.sndq.InsertAfter(p, rest)
	return true
}

// newBigSegment is newSegment for more than an MSS. It takes a jumbo buffer while
// there are any, which others of the application's writes may fill up; else a
// chain. Nothing is summed, as that is left to who cuts it.
func (t *TCP) newBigSegment(b []byte, seq header.Seq) *pbuf.Pbuf {
	if t.layRuns() {
		return t.newRun(b, seq)
	}
	p := t.bigBuffers(pbuf.LayerTransport, len(b))
	if p == nil {
		return nil
	}
	_ = p.Take(b) // it has the room
	*seg(p) = tcpSeg{seq: seq, n: uint32(len(b))}
	return p
}

// scarceChain is scarce for a chain of standard buffers.
func (s *Stack) scarceChain(n int) bool {
	const c = pbuf.ClassStandard
	return s.pool.Avail(c)-n/s.bufRoom() <= s.pool.Cap(c)/reserveShare
}

// bufRoom is the room of a standard buffer.
func (s *Stack) bufRoom() int { return max(1, s.pool.DataRoom(pbuf.ClassStandard)) }

// appendRoomBig is appendRoom for a big segment: it may get further buffers.
func (t *TCP) appendRoomBig(p *pbuf.Pbuf, g *tcpSeg, n int) int {
	n = max(0, min(n, t.segmentLen()-int(g.n)))
	if g.run {
		return n
	}
	if room := p.Room(); n > room && p.ChainLen()+2+(n-room)/t.s.bigRoom() > maxBufs {
		return room
	}
	return n
}

// appendBuffers gives the buffers for what the last unsent segment needs beyond
// those it has to take n bytes more: nil if none. False: there are none left.
func (t *TCP) appendBuffers(n int) (*pbuf.Pbuf, bool) {
	if t.flags&tfBig == 0 || n == 0 {
		return nil, true
	}
	if g := seg(t.sndq.Tail()); g.run {
		if n = t.runRest(g, n); n == 0 {
			return nil, true
		}
		p := t.allocRun(n)
		return p, p != nil
	}
	n -= t.sndq.Tail().Room()
	if n <= 0 {
		return nil, true
	}
	var p *pbuf.Pbuf
	if t.s.cfg.TCP.GSOMax > offload.MaxTSO { // or the chain would get too long
		p = t.bigBuffers(pbuf.LayerRaw, n)
	} else if !t.s.scarceChain(n) {
		p = t.s.alloc(pbuf.LayerRaw, n, pbuf.KindPool)
	}
	return p, p != nil
}

// appendBig copies b behind the data of an unsent segment, and into more, the
// buffers that appendBuffers gave.
func (t *TCP) appendBig(p *pbuf.Pbuf, b []byte, more *pbuf.Pbuf) {
	if more == nil && p.Next() == nil && seg(p).n+uint32(len(b)) <= uint32(t.mss) {
		t.appendTo(p, b)
		return
	}
	g := seg(p)
	g.sumOK = false
	if g.run {
		t.appendRun(p, g, b, more)
		return
	}
	g.n += uint32(len(b))
	k := len(b)
	if more != nil {
		k -= more.TotLen()
	}
	copy(p.Append(k), b[:k])
	if more != nil {
		_ = more.Take(b[k:]) // it has exactly that room
		p.Cat(more)
	}
}

// joinTail puts a packet's buffers behind those of the last unsent segment. False:
// there is none, or it would be too long.
func (t *TCP) joinTail(p *pbuf.Pbuf, n int) bool {
	if t.unsent == nil {
		return false
	}
	tail := t.sndq.Tail()
	g := seg(tail)
	if g.tx != 0 || g.pull || g.flags&(header.TCPSyn|header.TCPFin) != 0 || int(g.n)+n > t.segmentLen() ||
		tail.ChainLen()+p.ChainLen() > maxBufs {
		return false
	}
	tail.Cat(p)
	g.n += uint32(n)
	g.sumOK, g.run = false, false
	return true
}
