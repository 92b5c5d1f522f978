package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// Output sends what the windows and the Nagle algorithm let out, and an ACK if
// one is due (tcp_output). While a segment for this connection is being
// processed it does nothing: the end of that does it.
func (t *TCP) Output() error {
	if t.s == nil || t.state == StateListen || t.flags&tfInInput != 0 {
		return nil
	}
	if t.flags&(tfSackOut|tfAckNow) == tfSackOut|tfAckNow {
		t.flushAck() // data carries no blocks
	}
	if (t.unsent != nil || t.flags&(tfLoss|tfPull|tfProbe) != 0) && !t.outputData() {
		return ErrMem
	}
	if t.flags&tfAckNow != 0 {
		t.flushAck()
	}
	return nil
}

// flushAck sends the ACK that is due. Its sequence number is the highest sent,
// not sndNxt, which a timeout moves back: the peer would take that for an old
// duplicate and not look at the ACK, and two ends that time out at once would
// never hear each other again. If there is no room for it, it waits for the port
// instead of being dropped, and the latest news go out then.
func (t *TCP) flushAck() {
	if t.flags&tfAckNow != 0 && t.state != StateSynSent && t.state != StateClosed {
		if t.nif.full() {
			t.nif.await(t)
			return
		}
		t.sendEmpty(t.sndMax, header.TCPAck)
	}
}

// outputData sends unsent segments as far as they may go. False: a buffer or
// the path was missing; the timer will try again.
func (t *TCP) outputData() bool {
	if p := t.unsent; p != nil && t.flags&tfOutSlow == 0 && t.outputOne(p) {
		return true
	}
	ok := true
	if t.sndMax == t.sndUna && t.cc.state|uint32(t.flags&tfOwnCC) != 0 {
		t.ccStart()
	}
	if t.flags&(tfLoss|tfProbe) != 0 {
		var held bool
		if ok, held = t.outputFirst(); held {
			return ok
		}
	}
	wnd, before := t.sendWindow(), t.sndMax
	for p := t.unsent; p != nil; p = t.unsent {
		g := seg(p)
		if t.paceHolds() {
			return true
		}
		if inFlight := g.seq.Sub(t.sndUna); g.n > uint32(t.mss) || g.n != 0 && inFlight+g.n > wnd {
			n := t.sendQuota(p, g, wnd, inFlight)
			if n == 0 {
				break
			}
			if ok = t.splitSegment(p, n); !ok {
				break
			}
		}
		if t.nagleHolds(p, g) {
			break
		}
		if t.nif.holds() {
			t.nif.await(t)
			return true
		}
		if ok = t.sendSegment(p, g); !ok {
			break
		}
		t.sentNew(p, g)
		if t.rtxAt == 0 || t.flags&tfPersist != 0 {
			t.startRtx()
		}
	}
	if ok && t.unsent == nil && t.flags&tfPull != 0 {
		var held bool
		if ok, held = t.pullOutput(wnd); held {
			return ok
		}
	}
	if (t.unsent != nil || t.flags&tfPull != 0) && t.rtxAt == 0 {
		if !ok {
			t.setRtx(t.s.now + t.rtt.rto())
		} else if t.sndNxt == t.sndUna {
			t.startPersist() // nothing in flight: only the window can hold us
		}
	}
	if t.flags&tfSack != 0 && t.sndMax.Sub(t.sndUna) > uint32(t.mss) && t.sndMax != before && t.rtxAt != 0 {
		t.moreSent()
	}
	if t.flags&tfOwnCC != 0 {
		t.noteLimit()
	}
	return ok
}

// tfOutSlow are the conditions in which outputOne must not be used.
const tfOutSlow = tfOwnCC | tfLoss | tfProbe | tfPull | tfECN | tfPersist | tfRecovery | tfRTO | tfFast

// outputOne is outputData for a new segment that is the only unsent one, is not
// longer than the MSS, and fits the window and what goes out without a probe's timer
// being moved: what a request, an answer, SYN or FIN are. False: nothing was done.
func (t *TCP) outputOne(p *pbuf.Pbuf) bool {
	g := seg(p)
	end := g.end()
	inFlight := end.Sub(t.sndUna)
	if p.QNext() != nil || g.seq != t.sndNxt || g.seq != t.sndMax || inFlight > uint32(t.mss) || inFlight > min(t.sndWnd, t.cc.Cwnd) && g.n != 0 ||
		g.tx != 0 || g.pull || g.run || p.RefCount() > 1 {
		return false
	}
	if g.seq == t.sndUna {
		if t.cc.state != 0 {
			return false // ccStart
		}
	} else if t.flags&tfNoDelay == 0 && g.n != 0 && g.flags&header.TCPFin == 0 {
		return false // nagleHolds
	}
	if t.pathGen != t.s.pathGen || t.neigh == nil || t.nif.holds() {
		return false
	}
	flags := g.flags
	if t.state != StateSynSent {
		flags |= header.TCPAck
	}
	p.Ref()
	if !t.sendPlain(p, g.seq, flags, g) {
		p.Free()
		return false
	}
	g.hdr, g.tx, g.sentAt = uint8(p.TotLen()-int(g.n)), 1, t.s.now
	t.unsent, t.sndNxt, t.sndMax = nil, end, end
	if t.rtxAt == 0 {
		t.restartRtx()
	}
	return true
}

// outputFirst sends what goes before all that is new, and a probe of the path MTU
// (RFC 4821). held: what is new has to wait.
func (t *TCP) outputFirst() (ok, held bool) {
	ok = true
	if t.flags&tfLoss != 0 {
		if ok, held = t.resendLost(); held {
			if t.rtxAt == 0 {
				t.setRtx(t.s.now + t.rtt.rto())
			}
			return ok, held
		}
	}
	if t.flags&tfProbe != 0 && ok {
		ok, held = t.probeOutput()
	}
	return ok, held
}

// sentNew books that the first unsent segment has gone out.
func (t *TCP) sentNew(p *pbuf.Pbuf, g *tcpSeg) {
	t.unsent = p.QNext()
	if end := g.end(); end.Greater(t.sndNxt) {
		t.sndNxt = end
		if end.Greater(t.sndMax) {
			t.sndMax = end
		}
	}
}

// nagleHolds says whether the Nagle algorithm keeps a small segment back while
// data is in flight (RFC 9293 3.7.4, tcp_do_output_nagle).
func (t *TCP) nagleHolds(p *pbuf.Pbuf, g *tcpSeg) bool {
	return t.flags&tfNoDelay == 0 && t.sndNxt != t.sndUna && g.n < uint32(t.mss) && g.n != 0 &&
		g.tx == 0 && g.flags&header.TCPFin == 0 && p.QNext() == nil && t.flags&tfRecovery == 0 && !t.fastNagle()
}

// stripHeaders takes the headers of an earlier transmission off a segment, and
// what was cut off it while the port held it.
func (t *TCP) stripHeaders(p *pbuf.Pbuf, g *tcpSeg) {
	if g.apart {
		rejoin(p, g)
	}
	p.RemoveHeader(int(g.hdr))
	g.hdr = 0
	if n := int(g.n); n != p.TotLen() {
		p.Realloc(n)
	}
}

// sendSegment sends a queued segment and keeps it. False: not now.
func (t *TCP) sendSegment(p *pbuf.Pbuf, g *tcpSeg) bool {
	if g.pull {
		return t.sendPulled(g)
	}
	if !t.freshPath() {
		return false
	}
	flags := g.flags
	if t.state != StateSynSent {
		flags |= header.TCPAck
	}
	tos := t.tos
	if t.flags&tfECN != 0 {
		flags |= t.ecnMark(g)
	}
	own := p
	if p.RefCount() > 1 || g.apart && held(p, g) {
		// The port has not sent it from the last time (tcp_output_segment_busy): its
		// headers must stay as they are.
		if p = t.slicesOf(p, g, 0, int(g.n)); p == nil {
			t.tos = tos
			return false
		}
	} else {
		if g.tx != 0 {
			t.stripHeaders(p, g)
		}
		if g.run {
			t.orderRun(p, g)
		}
		p.Ref()
	}
	before := p.TotLen()
	if !t.sendPlain(p, g.seq, flags, g) {
		if !t.putTCPHeader(p, g.seq, flags, g) {
			t.tos = tos
			p.Free()
			return false
		}
		t.ipOutput(p)
	}
	t.tos = tos
	if p == own && !g.apart {
		g.hdr = uint8(p.TotLen() - before)
	}
	if g.tx == 0 && t.flags&(tfLoss|tfOwnCC|tfRecovery) == 0 { // nobody else wants to hear of it
		g.tx, g.sentAt = 1, t.s.now
	} else {
		t.bookSent(g)
	}
	return true
}

// bookSent books that a segment has gone out.
func (t *TCP) bookSent(g *tcpSeg) {
	if g.tx != 0 {
		t.noteRetrans(g.n)
	}
	if g.tx < 255 {
		g.tx++
	}
	g.sentAt = t.s.now
	if t.flags&(tfLoss|tfMeter) != 0 {
		if t.flags&tfLoss != 0 {
			g.sentAt = t.cold.loss.rack.stamp(t.s.now)
		}
		if t.flags&tfMeter != 0 {
			t.cold.meter.out(t, g.n)
		}
	}
	t.segSent(g)
	t.prrSent(g.seqLen())
}

// sendEmpty sends a segment without data: ACK or RST, not kept.
func (t *TCP) sendEmpty(seq header.Seq, flags header.TCPFlags) bool {
	if !t.freshPath() {
		return false
	}
	p := t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	if p == nil {
		t.s.stats.Drops[DropNoBuf]++
		return false
	}
	g := tcpSeg{sumOK: true}
	if t.flags&(tfECN|tfMeter) != 0 {
		if t.flags&tfECN != 0 && t.cold.ecn&ecnEcho != 0 && flags&header.TCPRst == 0 {
			flags |= header.TCPEce
		}
		if t.flags&tfMeter != 0 {
			t.cold.meter.out(t, 0)
		}
	}
	if t.flags&tfSackOut == 0 && t.sendPlain(p, seq, flags, &g) {
		return true
	}
	if !t.putTCPHeader(p, seq, flags, &g) {
		p.Free()
		return false
	}
	t.ipOutput(p)
	return true
}

// putTCPHeader puts the TCP header with its options in front of a segment's
// data and settles the checksum: final if the data's sum is known, else as the
// pseudo-header's sum for the port or package offload to complete.
func (t *TCP) putTCPHeader(p *pbuf.Pbuf, seq header.Seq, flags header.TCPFlags, g *tcpSeg) bool {
	s := t.s
	syn := flags&header.TCPSyn != 0
	own, sack := t.optionsLen(syn), 0
	if flags == header.TCPAck && p.TotLen() == 0 {
		sack = t.sackOptionLen(40 - own)
		own += sack
	}
	opt := own
	if h := s.hooks.TCPOutOptionLen; h != nil {
		opt = max(own, min(40, h(t, own)&^3))
	}
	n := header.TCPLen + opt
	data := p.TotLen()
	if !p.AddHeader(n) {
		s.stats.Drops[DropNoBuf]++
		return false
	}
	b := p.Payload()[:n]
	h := (*header.TCP)(b)
	f := header.TCPFields{SrcPort: t.lport, DstPort: t.rport, Seq: seq, Flags: flags, HdrLen: uint8(n)}
	if flags&header.TCPAck != 0 {
		f.Ack = t.rcvNxt
		t.acked()
	}
	f.Window = t.windowField(syn)
	h.Encode(&f)
	t.putOptions(b[header.TCPLen:header.TCPLen+own-sack], syn)
	if sack != 0 {
		t.putSack(b[header.TCPLen+own-sack:header.TCPLen+own], sack)
	}
	if opt > own {
		clear(b[header.TCPLen+own:])
		s.hooks.TCPOutAddOptions(t, h, b[header.TCPLen+own:])
	}
	sum := header.PseudoHeader(t.local, t.remote, header.ProtoTCP, uint32(p.TotLen()))
	p.L4Len = uint8(n)
	tso := t.orderCut(p, data, opt-own)
	switch {
	case tso || t.nif.caps.Has(offload.TxTCPCsum) || !g.sumOK:
		h.SetChecksum(sum)
		p.Flags |= pbuf.TxTCPCsum
	default:
		p.Flags &^= pbuf.TxTCPCsum
		h.SetChecksum(^header.Checksum(b, header.CombineChecksum(sum, g.sum)))
	}
	s.stats.TCP.OutSegs += t.segments(uint32(data))
	return true
}

// acked books that an ACK of rcvNxt goes out.
func (t *TCP) acked() {
	t.lastAck = t.rcvNxt
	t.ackPending = 0
	t.delack = 0
	t.flags &^= tfAckNow
}

// windowField is the window as the header carries it.
func (t *TCP) windowField(syn bool) uint16 {
	if syn { // never scaled (RFC 7323 2.2)
		w := min(t.rcvWnd, 0xffff)
		t.rcvAnnEdge = t.rcvNxt.Add(w)
		return uint16(w)
	}
	return uint16(min(t.announceWindow()>>(t.rcvScale&31), 0xffff))
}

// optionsLen is the length of our own options.
func (t *TCP) optionsLen(syn bool) int {
	cfg := &t.s.cfg.TCP
	if !syn {
		if t.flags&tfTimestamps != 0 {
			return header.TCPTimestampLen
		}
		return 0
	}
	if t.plainSYN() {
		return header.TCPSYNLen
	}
	n := header.TCPMSSLen + t.synExtraLen()
	if t.offers(tfTimestamps, cfg.NoTimestamps) {
		n += header.TCPTimestampLen
	}
	if t.offers(tfSack, cfg.NoSACK) {
		n += header.TCPSACKPermittedLen
	}
	if t.offers(tfWScale, cfg.NoWindowScale) {
		n += header.TCPWScaleLen
	}
	return n
}

// offers says whether our SYN carries an option: always in a first SYN unless
// configured away, in a SYN-ACK only if the peer's SYN had it.
func (t *TCP) offers(f tcpFlags, off bool) bool {
	if t.state == StateSynSent || t.state == StateClosed {
		return !off
	}
	return t.flags&f != 0
}

// putOptions writes our own options (RFC 9293 3.2, RFC 7323).
func (t *TCP) putOptions(b []byte, syn bool) {
	cfg, all := &t.s.cfg.TCP, b
	if syn {
		n := header.PutMSS(b, uint16(t.maxMSS()))
		n += t.putSynExtra(b[n:])
		if t.offers(tfWScale, cfg.NoWindowScale) {
			n += header.PutWScale(b[n:], t.s.tcp.rcvScale)
		}
		if t.offers(tfSack, cfg.NoSACK) {
			n += header.PutSACKPermitted(b[n:])
		}
		b = b[n:]
	}
	if len(b) >= header.TCPTimestampLen {
		header.PutTimestamp(b, t.s.tsNow+t.tsOffset, t.tsRecent)
	} else if len(b) != 0 { // see packedLen
		header.PutSACKTimestamp(all[len(all)-header.TCPTimestampLen:], t.s.tsNow+t.tsOffset, t.tsRecent)
	}
}

// ipOutput sends a segment whose TCP header is complete. It owns the
// reference it is given.
func (t *TCP) ipOutput(p *pbuf.Pbuf) {
	_ = t.s.ipOutputVia(t.neigh, p, &ipFields{
		src: t.local, dst: t.remote, proto: header.ProtoTCP, ttl: t.ttl, tos: t.tos, label: flowLabel(t.hash),
	})
}
