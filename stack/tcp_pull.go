package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Pull transmit: payload is made when the window lets it out, by a function or
// from memory that connections share, and made again for a retransmission. Nothing
// is kept of what is in flight but its sequence numbers: a segment in the queue
// has no data, and stands for all that left at once, be it many packets. A
// connection that has nothing in flight has no buffer at all.
//
//	outputData  pullOutput → pullRun      new data, as far as the window goes
//	sendSegment sendPulled → pullRun      the same bytes again
//	pullRun     pullPacket → transmit     packet by packet

// PullFunc makes payload: it fills b with the bytes of the stream from off on, off
// counting from 0 where Pull was called, and returns how many: 0 says that there are
// none for now, until PullReady is called, and PullEnd that there will never be any
// at off. It is asked again for bytes that it has given
// before, down to the first that SentFunc has not reported, and must give the same
// ones, all that are asked for; if it does not, they are not sent. It runs on the
// stack's thread within Output and may not call the stack. b is the stack's.
type PullFunc func(arg any, pcb *TCP, off uint64, b []byte) int

// PullEnd is what a PullFunc returns when the stream ends at off: FIN follows.
const PullEnd = -1

// PullEndless is a PullConfig.Total for a stream without an end.
const PullEndless = ^uint64(0)

// PullConfig says where a connection's payload comes from: Func, or Region.
type PullConfig struct {
	// Func makes the payload; Arg is its first argument.
	Func PullFunc
	Arg  any
	// Region holds the payload, which is sent without a copy: Len bytes from
	// Start on, over and over. Len 0: all of the Region from Start on. Its bytes
	// must not change while a connection sends them.
	Region     *pbuf.Region
	Start, Len int
	// Total is how many bytes are sent in all; 0: as PullEndless, until the
	// function returns PullEnd or the connection is closed.
	Total uint64
	// Fin closes the sending side behind Total bytes, as Shutdown does. Without
	// it the connection may go on with Write or another Pull.
	Fin bool
}

// tcpPull is the state of a connection that pulls, from a free list of the stack.
type tcpPull struct {
	cfg  PullConfig
	next uint64     // offset of the next byte that was never asked for
	seq  header.Seq // and its sequence number
	over bool       // all was asked for; what is in flight may be asked for again
}

// Pull has the connection send payload that is made as it goes out. It begins
// behind what was written; Write fails with ErrConn until the last byte was pulled.
// SentFunc is told of acknowledgements as usual. Close and Shutdown end the stream
// where it is. Errors: ErrConn, the connection does not send, or pulls already with
// bytes in flight; ErrVal, the PullConfig names no source, or two.
func (t *TCP) Pull(cfg PullConfig) error {
	if err := t.canWrite(0); err != nil {
		return err
	}
	if (cfg.Func == nil) == (cfg.Region == nil) {
		return ErrVal
	}
	if r := cfg.Region; r != nil {
		def(&cfg.Len, len(r.Bytes())-cfg.Start)
		if cfg.Start < 0 || cfg.Len <= 0 || cfg.Start > len(r.Bytes()) || cfg.Len > len(r.Bytes())-cfg.Start {
			return ErrVal
		}
	}
	c := t.coldPart()
	if c.pull != nil && (!c.pull.over || t.sndUna.Less(c.pull.seq)) {
		return ErrConn
	}
	def(&cfg.Total, PullEndless)
	if c.pull == nil {
		c.pull = t.s.tcp.pulls.get()
	}
	*c.pull = tcpPull{cfg: cfg, seq: t.sndLbb}
	t.flags |= tfPull | tfPulls
	return t.Output()
}

// PullReady says that the function that makes the payload has more again.
func (t *TCP) PullReady() {
	if t.s != nil && t.flags&tfPulls != 0 {
		t.flags |= tfPull
		_ = t.Output()
	}
}

// dropPull gives the state back.
func (t *TCP) dropPull() {
	if t.cold == nil || t.cold.pull == nil {
		return
	}
	t.s.tcp.pulls.put(t.cold.pull)
	t.cold.pull = nil
	t.flags &^= tfPull | tfPulls
}

// endPull: nothing will be pulled any more, but for what is in flight.
func (t *TCP) endPull() {
	if t.cold != nil && t.cold.pull != nil {
		t.cold.pull.over = true
		t.flags &^= tfPull | tfPulls
	}
}

// pullOutput sends new data within a window of wnd bytes, counted from sndUna.
// Nothing that was written waits any more. ok is false if a buffer was missing, held
// is true if it has to wait for something other than an acknowledgement.
func (t *TCP) pullOutput(wnd uint32) (ok, held bool) {
	if t.state != StateEstablished && t.state != StateCloseWait {
		return true, true
	}
	for t.flags&tfPull != 0 {
		n := t.pullQuota(wnd)
		if n == 0 {
			break
		}
		if t.paceHolds() {
			return true, true
		}
		if t.nif.holds() {
			t.nif.await(t)
			return true, true
		}
		if !t.pullNew(n) {
			return false, false
		}
	}
	return true, false
}

// pullQuota is how much may be pulled and sent now: multiples of the MSS, except
// at the end of the stream or of a small window (RFC 9293 3.8.6.2.1).
func (t *TCP) pullQuota(wnd uint32) uint32 {
	pl := t.cold.pull
	inFlight := t.sndNxt.Sub(t.sndUna)
	room := wnd - min(wnd, inFlight)
	mss := uint32(t.mss)
	left := pl.cfg.Total - pl.next
	if left <= uint64(room) && left <= uint64(t.bigLen()) {
		return uint32(left)
	}
	if room < mss {
		if inFlight != 0 || t.sndWnd >= t.cc.Cwnd || room < t.sndWndMax/2 {
			return 0
		}
		return room
	}
	return t.paced(min(room-room%mss, uint32(t.bigLen())))
}

// pullSegment makes a queued segment of n bytes without data, behind all others.
func (t *TCP) pullSegment(n uint32) *pbuf.Pbuf {
	p := t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	if p != nil {
		*seg(p) = tcpSeg{seq: t.sndLbb, n: n, pull: true}
	}
	return p
}

// pullNew pulls and sends up to n new bytes. False: a buffer was missing.
func (t *TCP) pullNew(n uint32) bool {
	if !t.freshPath() {
		return false
	}
	pl := t.cold.pull
	p := t.pullSegment(0)
	if p == nil {
		return false
	}
	g := seg(p)
	k, end, ok := t.pullRun(g, n, pl.next+uint64(n) == pl.cfg.Total && pl.cfg.Fin)
	switch {
	case end == pullDry && pl.cfg.Func != nil:
		t.flags &^= tfPull
	case end == pullEnd || pl.next+uint64(k) == pl.cfg.Total:
		t.endPull()
	}
	if k == 0 {
		p.Free()
		if end == pullEnd {
			_ = t.shutdownSend()
		}
		return ok
	}
	g.n = k
	pl.next += uint64(k)
	pl.seq = pl.seq.Add(k)
	t.sndLbb = t.sndLbb.Add(k)
	t.sndBuf -= k
	t.s.stats.TCP.OutOctets += uint64(k)
	t.sndq.Push(p)
	if g.flags&header.TCPFin != 0 {
		t.sndLbb = t.sndLbb.Add(1)
		t.finQueued()
	}
	t.bookSent(g)
	t.sentNew(p, g)
	if t.rtxAt == 0 || t.flags&tfPersist != 0 {
		t.startRtx()
	}
	if end == pullEnd || pl.over && pl.cfg.Fin {
		_ = t.shutdownSend() // unless FIN went with the data
	}
	return ok
}

// sendPulled is sendSegment for a segment without data.
func (t *TCP) sendPulled(g *tcpSeg) bool {
	if t.cold == nil || t.cold.pull == nil || !t.freshPath() {
		return false
	}
	n := g.n
	if k, _, _ := t.pullRun(g, n, false); k == 0 {
		return false
	}
	t.bookSent(g)
	return true
}

// How a pull ended.
type pullStop uint8

const (
	pullFull pullStop = iota // all was given
	pullDry                  // no more for now
	pullEnd                  // nor ever
)

// pullRun pulls n bytes of segment g and sends them, in packets of an MSS or as
// long as the port cuts; fin puts FIN on the last. It returns how many. What could
// not be made for want of a buffer behind the first is as if lost on the way. ok is
// false if the first was.
func (t *TCP) pullRun(g *tcpSeg, n uint32, fin bool) (sent uint32, stop pullStop, ok bool) {
	pl := t.cold.pull
	most := uint32(t.mss)
	if t.flags&tfBig != 0 {
		most = uint32(t.bigLen())
	}
	again := g.n != 0
	for sent < n && stop == pullFull {
		k := min(n-sent, most)
		q, got := t.pullPacket(pl.next-uint64(pl.seq.Sub(g.seq))+uint64(sent), int(k))
		if q == nil {
			return sent, stop, sent != 0
		}
		if got < int(k) {
			if again { // what was given once is not given again
				q.Free()
				return sent, pullDry, sent != 0
			}
			switch {
			case got < 0:
				stop, got = pullEnd, -got-1
			case got == 0:
				stop = pullDry
			}
			if got == 0 {
				q.Free()
				break
			}
			q.Realloc(got)
		}
		sent += uint32(got)
		x := tcpSeg{n: uint32(got), tx: g.tx, flags: header.TCPAck}
		if sent == n || got < int(k) {
			x.flags |= header.TCPPsh | g.flags&header.TCPFin
			if fin && sent == n {
				x.flags |= header.TCPFin
				g.flags |= header.TCPFin
			}
		}
		t.transmit(q, g.seq.Add(sent-uint32(got)), &x)
	}
	return sent, stop, true
}

// pullPacket makes a packet of n bytes of the stream from off on, with room for
// headers. got is how many the source gave, or -1-got if that is where it ends.
// Nil: no buffer.
func (t *TCP) pullPacket(off uint64, n int) (p *pbuf.Pbuf, got int) {
	cfg := &t.cold.pull.cfg
	if cfg.Region != nil {
		return t.pullRegion(cfg, off, n), n
	}
	kind := pbuf.KindRAM
	if n > t.s.bufRoom() && t.s.pool.Avail(pbuf.ClassJumbo) == 0 {
		kind = pbuf.KindPool
	}
	if t.s.scarceChain(n) {
		return nil, 0
	}
	if p = t.s.alloc(pbuf.LayerTransport, n, kind); p == nil {
		return nil, 0
	}
	for q := p; q != nil; q = q.Next() {
		b := q.Payload()
		k := cfg.Func(cfg.Arg, t, off+uint64(got), b)
		if k < 0 {
			return p, -got - 1
		}
		got += min(k, len(b))
		if k < len(b) {
			break
		}
	}
	return p, got
}

// pullRegion is pullPacket for a source in memory: references to it behind a
// buffer for the headers.
func (t *TCP) pullRegion(cfg *PullConfig, off uint64, n int) *pbuf.Pbuf {
	h := t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	if h == nil {
		return nil
	}
	var chain pbuf.Builder
	chain.Add(h)
	at := int(off % uint64(cfg.Len))
	for bufs := 0; n > 0; bufs++ {
		k := min(n, cfg.Len-at)
		r := t.s.pool.AllocRef(cfg.Region, cfg.Start+at, k)
		if r == nil || bufs > maxBufs {
			chain.Finish().Free()
			return nil
		}
		chain.Add(r)
		n -= k
		at = 0
	}
	return chain.Finish()
}

// transmit sends a packet of data that is not kept.
func (t *TCP) transmit(p *pbuf.Pbuf, seq header.Seq, g *tcpSeg) {
	tos, flags := t.tos, g.flags
	if t.flags&tfECN != 0 {
		flags |= t.ecnMark(g)
	}
	if !t.sendPlain(p, seq, flags, g) {
		if t.putTCPHeader(p, seq, flags, g) {
			t.ipOutput(p)
		} else {
			p.Free()
		}
	}
	t.tos = tos
}

// pullProbe makes the segment of up to n bytes that probes a closed window.
func (t *TCP) pullProbe(n uint32) *pbuf.Pbuf {
	pl := t.cold.pull
	n = uint32(min(uint64(n), pl.cfg.Total-pl.next, uint64(t.mss)))
	p := t.pullSegment(n)
	if p == nil {
		return nil
	}
	pl.next += uint64(n)
	pl.seq = pl.seq.Add(n)
	t.sndLbb = t.sndLbb.Add(n)
	t.sndBuf -= n
	if pl.next == pl.cfg.Total {
		t.endPull()
	}
	t.pushSeg(p)
	return p
}
