package stack

import (
	"time"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Packetisation layer path MTU discovery (RFC 4821): where routers say nothing of
// packets that are too long, a longer segment is sent now and then, and if it
// arrives all may be so long. A probe is data that is due anyway. If it alone is
// lost, that says something of its length and nothing of congestion.
//
//	outputData → probeOutput   has the last one arrived, is it time for another?
//	markLost → probeMarked, recoveryState → probeAlone    one was lost
//	retransmitTimeout → probeTimeout, blackHole (tcp_pmtu.go)
//	packetTooBig → probeTooBig                            a router says so after all
//
// Only connections that search have a mtuSearch; tfProbe says so.

// MTUProbing says when the path MTU is searched for (net.ipv4.tcp_mtu_probing).
type MTUProbing uint8

const (
	// MTUProbingOff: routers are relied upon. The default.
	MTUProbingOff MTUProbing = iota
	// MTUProbingBlackHole: when segments of full size time out again and again
	// while no router says why (RFC 4821 7.7), segments get as short as
	// MTUProbeBase, and the search for more begins.
	MTUProbingBlackHole
	// MTUProbingAlways: every connection begins with MTUProbeBase and searches.
	MTUProbingAlways
)

// mtuSearch is a connection's search. Lengths are of IP packets.
type mtuSearch struct {
	low, high int  // search_low arrives; longer than search_high does not (7.1)
	tried     bool // high is what a probe, or a router, has shown
	size      int  // of the probe that is out, 0: none
	from, end header.Seq
	lost      uint32 // bytes of it that are marked lost and not sent again yet
	at        int64  // when low or high last changed
}

// probeCwnd is the least window, in segments, in which probes are sent: one that
// is lost is found out by the ACKs of what follows it (7.4).
const probeCwnd = 11

// searchPart returns the connection's search, making it if need be.
func (t *TCP) searchPart() *mtuSearch {
	c := t.coldPart()
	if c.search == nil {
		c.search = t.s.tcp.searches.get()
		t.flags |= tfProbe
	}
	return c.search
}

// dropSearch gives it back.
func (t *TCP) dropSearch() {
	if t.flags&tfProbe != 0 {
		t.s.tcp.searches.put(t.cold.search)
		t.cold.search = nil
		t.flags &^= tfProbe
	}
}

// pathMTU is the length of a packet with mss bytes of data.
func (t *TCP) pathMTU(mss int) int { return mss + mss - t.pathMSS(mss) }

// search bounds the search by what is known of the path, and begins one if the
// configuration says so: e may be nil. It returns the payload of a full segment
// (RFC 4821 7.2).
func (t *TCP) search(e *destEntry) int {
	cfg := &t.s.cfg.TCP
	most := t.pathMTU(int(t.mssMax))
	known, guess := 0, false
	if e != nil && e.mtu != 0 {
		known, guess = min(int(e.mtu), most), e.guess
	}
	if t.flags&tfProbe == 0 {
		if cfg.MTUProbing == MTUProbingOff || cfg.MTUProbing == MTUProbingBlackHole && !guess {
			return int(t.mssMax)
		}
		m := t.searchPart()
		m.low, m.high, m.at = min(t.pathMTU(t.baseMSS()), most), most, t.s.now
		if guess {
			m.low = known
		}
	}
	m := t.cold.search
	switch {
	case known == 0:
	case guess:
		m.low = min(known, m.high)
	case known < m.high: // a router has spoken
		m.low, m.high, m.tried, m.at = known, known, true, t.s.now
	}
	return t.pathMSS(m.low)
}

// baseMSS is the payload to begin with, or to fall back to.
func (t *TCP) baseMSS() int {
	mss := t.s.cfg.TCP.MTUProbeBase
	if !t.remote.Is4() { // RFC 8201 4: this much passes everywhere
		mss = max(mss, t.pathMSS(header.IPv6MinMTU))
	}
	return mss
}

// probeOutput is called before anything new is sent. False, as from outputData: a
// buffer or the path was missing. held: what is queued waits until there is room
// for a probe.
func (t *TCP) probeOutput() (ok, held bool) {
	m := t.cold.search
	if m.size != 0 {
		if t.sndUna.Less(m.end) {
			return true, false
		}
		t.probeArrived(m)
	}
	n := t.probeSize(m)
	if n == 0 {
		return true, false
	}
	mss, inFlight := uint32(t.mss), t.sndMax.Sub(t.sndUna)
	need := n + (dupThresh+1)*mss
	if t.waiting() < uint64(need) || t.sndWnd < need || t.cc.Cwnd < max(n+mss, probeCwnd*mss) {
		return true, false
	}
	if inFlight != 0 && (inFlight+need > t.sndWnd || inFlight+n+mss > t.cc.Cwnd) {
		return true, true
	}
	if t.paceHolds() {
		return true, true
	}
	if t.nif.holds() {
		t.nif.await(t)
		return true, true
	}
	return t.sendMTUProbe(m, n), false
}

// probeSize is the payload of the probe that is due (RFC 4821 7.3); 0: none is. The
// first is half way between what arrives and what the interface takes. If it
// arrives, most likely all of the path is like the interface.
func (t *TCP) probeSize(m *mtuSearch) uint32 {
	if t.flags&(tfLoss|tfRecovery|tfRTO|tfPersist) != 0 || t.state != StateEstablished && t.state != StateCloseWait {
		return 0
	}
	cfg := &t.s.cfg.TCP
	size := (m.low + m.high) / 2
	if !m.tried && m.low > t.pathMTU(t.baseMSS()) {
		size = m.high
	}
	if m.low >= m.high || m.tried && m.high-m.low < cfg.MTUProbeThreshold {
		if t.s.now-m.at < int64(cfg.MTUProbeInterval) {
			return 0
		}
		// RFC 4821 7.3: the path may have become wider.
		m.high, m.tried, m.at = t.pathMTU(int(t.mssMax)), false, t.s.now
		if size = m.high; m.low >= m.high {
			return 0
		}
	}
	if t.pathMSS(size) <= int(t.mss) { // less would show nothing
		size = m.high
	}
	if !t.remote.Is4() && size > t.s.pathMTU6(t.nif, t.remote) { // it would be cut
		return 0
	}
	return uint32(max(0, t.pathMSS(size)))
}

// waiting is how much data waits to be sent for the first time.
func (t *TCP) waiting() uint64 {
	n := uint64(t.sndLbb.Sub(t.sndNxt))
	if t.flags&tfPull != 0 {
		pl := t.cold.pull
		n += pl.cfg.Total - pl.next
	}
	return n
}

// sendMTUProbe sends n bytes, more than an MSS, as one packet.
func (t *TCP) sendMTUProbe(m *mtuSearch, n uint32) bool {
	if !t.freshPath() || n <= uint32(t.mss) {
		return false
	}
	from, mss := t.sndNxt, t.mss
	if t.unsent == nil {
		t.mss = uint16(n)
		ok := t.pullNew(n)
		t.mss = mss
		if !ok || t.sndNxt.Sub(from) < n {
			return ok
		}
	} else {
		p, ok := t.gather(n)
		if p == nil {
			return ok
		}
		t.mss = uint16(n) // so that nobody cuts it
		ok = t.sendSegment(p, seg(p))
		t.mss = mss
		if !ok {
			return false
		}
		t.sentNew(p, seg(p))
		if t.rtxAt == 0 {
			t.setRtx(t.s.now + t.rtt.rto())
		}
	}
	t.s.stats.TCP.MTUProbes++
	m.size, m.from, m.end, m.lost = t.pathMTU(int(n)), from, from.Add(n), 0
	return true
}

// gather makes the first unsent segment n bytes long, from those that follow it.
// Nil: they can't be joined; ok is false if it was for want of a buffer.
func (t *TCP) gather(n uint32) (p *pbuf.Pbuf, ok bool) {
	p = t.unsent
	g := seg(p)
	have := uint32(0)
	for q := p; have < n; q = q.QNext() {
		if q == nil || seg(q).tx != 0 || seg(q).pull || seg(q).flags&(header.TCPSyn|header.TCPFin) != 0 {
			return nil, true
		}
		have += seg(q).n
	}
	if g.n >= n {
		if t.splitSegment(p, n) {
			return p, true
		}
		return nil, false
	}
	kind := pbuf.KindRAM
	need := n - g.n
	if int(need) > t.s.bufRoom() {
		kind = pbuf.KindPool
	}
	more := t.s.alloc(pbuf.LayerRaw, int(need), kind)
	if more == nil {
		return nil, false
	}
	for off := uint32(0); off < need; {
		q := p.QNext()
		h := seg(q)
		k := min(h.n, need-off)
		copyInto(more, int(off), q, int(k))
		off += k
		if k == h.n {
			g.flags |= h.flags & header.TCPPsh
			t.sndq.RemoveAfter(p)
			q.Free()
			continue
		}
		q.TrimFront(int(k))
		h.seq, h.n, h.sumOK = h.seq.Add(k), h.n-k, false
		h.run = h.run && q.Len() != 0
	}
	p.Cat(more)
	g.n, g.sumOK, g.run = n, false, false
	return p, true
}

// copyInto copies the first n bytes of q to p, from off on; p has the room.
func copyInto(p *pbuf.Pbuf, off int, q *pbuf.Pbuf, n int) {
	for ; n > 0; q = q.Next() {
		k := min(n, q.Len())
		_ = p.TakeAt(q.Payload()[:k], off)
		off, n = off+k, n-k
	}
}

// probeArrived: segments may be as long as the probe (RFC 4821 7.6.1).
func (t *TCP) probeArrived(m *mtuSearch) {
	t.s.stats.TCP.MTUProbesArrived++
	m.low, m.size, m.lost, m.at = m.size, 0, 0, t.s.now
	m.tried = m.tried || m.low >= m.high
	t.setMSS(t.pathMSS(m.low))
	t.s.raiseMTU(t.remote, m.low)
}

// probeMarked is told that n bytes of g were marked lost.
func (m *mtuSearch) probeMarked(g *tcpSeg, n uint32) {
	if m.size != 0 && m.has(g) {
		m.lost += n
	}
}

// probeResent is told that n bytes of g go out again.
func (m *mtuSearch) probeResent(g *tcpSeg, n uint32) {
	if m.has(g) {
		m.lost -= min(m.lost, n)
	}
}

// has reports whether g is the latest probe, or a part of it.
func (m *mtuSearch) has(g *tcpSeg) bool {
	return g.seq.GreaterEq(m.from) && g.end().LessEq(m.end)
}

// probeAlone reports whether nothing but a probe waits to be sent again: then it
// was too long, and there was no congestion (RFC 4821 7.5, 7.6.2). Else nothing
// is known of its length (7.6.4).
func (t *TCP) probeAlone(l *tcpLoss) bool {
	m := t.cold.search
	if m.lost == 0 {
		return false
	}
	if l.lost-l.resent != m.lost {
		m.size, m.lost = 0, 0
		return false
	}
	if m.size != 0 {
		t.probeFailed(m, m.size-1)
	}
	return true
}

// probeFailed: packets longer than high do not arrive.
func (t *TCP) probeFailed(m *mtuSearch, high int) {
	t.s.stats.TCP.MTUProbesLost++
	m.high, m.tried, m.size, m.at = max(high, m.low), true, 0, t.s.now
	t.recover = t.sndMax // what follows without SACK is of the same loss
}

// probeTimeout is the retransmission timer running out while a probe is out. If it
// is what is missing its length may be why; there is congestion in any case (RFC
// 4821 7.6.3).
func (t *TCP) probeTimeout() {
	m := t.cold.search
	if m.size != 0 && t.sndUna == m.from {
		t.probeFailed(m, m.size-1)
	}
	m.size, m.lost = 0, 0
}

// probeTooBig takes the news that the packet with seq must not be longer than mtu,
// 0 if the router does not say. False: it is not about a probe, or what is known to
// arrive should not either.
func (t *TCP) probeTooBig(mtu int, seq header.Seq) bool {
	m := t.cold.search
	if m.size == 0 || seq.Less(m.from) || seq.GreaterEq(m.end) || mtu != 0 && mtu < m.low {
		return false
	}
	if mtu == 0 || mtu >= m.size {
		mtu = m.size - 1
	}
	l := t.lossPart()
	for p := t.sndq.Head(); p != nil && p != t.unsent; p = p.QNext() {
		if g := seg(p); m.has(g) && g.mark&(segSacked|segLost) == 0 {
			t.markLost(l, g)
		}
	}
	t.probeFailed(m, mtu)
	m.tried = false // the router may know of the next link only
	_ = t.Output()
	return true
}

// raiseMTU remembers that packets of that size arrive at dst. Connections that are
// there have their own searches; new ones begin with it.
func (s *Stack) raiseMTU(dst header.Addr, mtu int) {
	if e := s.dest(dst); e.mtu == 0 || e.guess && int(e.mtu) < mtu {
		e.mtu, e.guess = uint16(mtu), true
		e.mtuUntil = s.now + int64(s.cfg.TCP.PathMTUAge)
		s.startCyclic(s.tcp.mtuTimer)
	}
}

// setProbeDefaults completes the configuration of the search.
func (t *TCPConfig) setProbeDefaults() {
	def(&t.MTUProbeBase, 1024)
	def(&t.MTUProbeFloor, min(minPathMTU-header.IPv4Len-header.TCPLen, t.MTUProbeBase))
	def(&t.MTUProbeThreshold, 8)
	def(&t.MTUProbeInterval, 10*time.Minute)
}
