package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// A listener keeps a PCB for each connection that is half open, up to its
// backlog, and all listeners of a stack up to Config.TCP.SynQueue. What comes
// beyond is answered by a cookie (tcp_cookie.go) and not kept at all, or
// dropped:
//
//	SYN ─ listenSyn ─┬ acceptSyn ──────────────── PCB in SYN-RECEIVED
//	                 ├ fastListen                 likewise, with data (tcp_fastopen.go)
//	                 └ full: sendCookie           nothing
//	ACK ─ listenAck ─┬ cookie is good: openCookie PCB, ESTABLISHED at once
//	                 └ RST

// SynCookies says when a listener answers SYNs with cookies.
type SynCookies uint8

const (
	// CookiesOnOverflow: when the backlog is full. The default.
	CookiesOnOverflow SynCookies = iota
	// CookiesNever: SYNs are dropped when the backlog is full, as lwIP does.
	CookiesNever
	// CookiesAlways: nothing is ever kept of a SYN.
	CookiesAlways
)

// listenSyn takes a SYN for a listener.
func (t *TCP) listenSyn(in *inSegment) {
	s := t.s
	cold := t.cold
	policy := s.cfg.TCP.SynCookies
	full := cold.pending >= cold.backlog || s.tcp.halfOpen >= s.cfg.TCP.SynQueue
	if full || policy == CookiesAlways {
		if full {
			s.stats.TCP.ListenOverflows++
		}
		// Those that the user holds back have finished their handshake: for
		// them a cookie would only bring more.
		if policy == CookiesNever || cold.pending-cold.halfOpen >= cold.backlog || !t.sendCookie(in) {
			in.reject(s, DropTCPBacklog)
		}
		return
	}
	if cold.fast != nil && t.fastListen(in) {
		return
	}
	c := s.NewTCP()
	if c == nil {
		in.reject(s, DropTCPMem)
		return
	}
	if !c.acceptSyn(t, in) {
		c.free()
		in.reject(s, DropTCPMem)
		return
	}
	s.stats.TCP.PassiveOpens++
	c.Output()
}

// enterHalfOpen counts a connection against its listener's backlog and the
// stack's SYN queue; leaveHalfOpen ends that when it leaves SYN-RECEIVED.
func (t *TCP) enterHalfOpen(l *TCP) {
	t.BacklogDelayed(l)
	if t.listener != nil {
		l.cold.halfOpen++
		t.s.tcp.halfOpen++
	}
}

func (t *TCP) leaveHalfOpen() {
	if l := t.listener; l != nil {
		t.s.tcp.halfOpen--
		if l.cold != nil {
			l.cold.halfOpen--
		}
		t.leaveBacklog()
	}
}

// sendCookie answers the SYN in work with a SYN-ACK of which nothing is kept.
// False: no buffer.
func (t *TCP) sendCookie(in *inSegment) bool {
	s := t.s
	cfg := &s.cfg.TCP
	o := &in.opts
	peer := defaultMSS(in.src)
	if o.MSS != 0 {
		peer = max(o.MSS, 64)
	}
	ends := flowEnds{in.dst, in.src, in.dport, in.sport}
	ts := o.HasTS && !cfg.NoTimestamps
	said := *o
	if cfg.NoWindowScale {
		said.WScale = -1
	}
	var opts [header.TCPMSSLen + header.TCPWScaleLen + header.TCPSACKPermittedLen + header.TCPTimestampLen]byte
	n := header.PutMSS(opts[:], uint16(t.maxMSSBy(in.nif, in.src)))
	if ts {
		said.SACKPermitted = said.SACKPermitted && s.takesSACK()
		if said.WScale >= 0 {
			n += header.PutWScale(opts[n:], s.tcp.rcvScale)
		}
		if said.SACKPermitted {
			n += header.PutSACKPermitted(opts[n:])
		}
		_, offset := s.flowSecrets(in.dst, in.dport, in.src, in.sport)
		n += header.PutTimestamp(opts[n:], cookieTimestamp(s.tsNow+offset, &said, t.cookieECN(in)), o.TSVal)
	}
	f := header.TCPFields{
		SrcPort: in.dport, DstPort: in.sport, Seq: s.synCookie(ends, in.seq, peer), Ack: in.seq.Add(1),
		Flags: header.TCPSyn | header.TCPAck, Window: uint16(min(t.recvBuf(), 0xffff)), HdrLen: uint8(header.TCPLen + n),
	}
	if ts && t.cookieECN(in) {
		f.Flags |= header.TCPEce
	}
	if !s.sendStray(in, &f, opts[:n], t.ttl, t.tos) {
		return false
	}
	s.stats.TCP.SynCookiesSent++
	s.tcp.cookiesUntil = s.now + 2*cookieEpoch
	in.p.Free()
	in.p = nil
	return true
}

// takesSACK reports whether SACK may be agreed on.
func (s *Stack) takesSACK() bool { return !s.cfg.TCP.NoSACK }

// cookieECN reports whether the SYN in work asks for ECN and gets it.
func (t *TCP) cookieECN(in *inSegment) bool { return t.ecnGrants(in) }

// listenAck takes an ACK for a listener: the last step of a handshake whose
// second was a cookie, or a stray (RFC 9293 3.10.7.2).
func (t *TCP) listenAck(in *inSegment) {
	s := t.s
	if s.now >= s.tcp.cookiesUntil || in.flags&header.TCPSyn != 0 {
		s.tcpNoConn(in)
		return
	}
	irs, cookie := in.seq.Add(^uint32(0)), in.ack.Add(^uint32(0))
	mss, ok := s.checkCookie(cookie, irs, flowEnds{in.dst, in.src, in.dport, in.sport})
	if !ok {
		s.stats.TCP.SynCookiesFailed++
		s.tcpNoConn(in)
		return
	}
	if t.cold.pending-t.cold.halfOpen >= t.cold.backlog { // the peer will send it again
		s.stats.TCP.ListenOverflows++
		in.reject(s, DropTCPBacklog)
		return
	}
	c := s.NewTCP()
	if c == nil {
		in.reject(s, DropTCPMem)
		return
	}
	if !c.openCookie(t, in, cookie, mss) {
		c.free()
		in.reject(s, DropTCPMem)
		return
	}
	s.stats.TCP.PassiveOpens++
	s.stats.TCP.SynCookiesRecv++
	in.owner = c.id + 1
	c.flags |= tfInInput
	c.inSynRcvd(in)
	if c.s != nil {
		c.inputDone()
	}
}

// openCookie makes a new PCB what it would be if the SYN had been kept. False:
// there is no path to the peer.
func (t *TCP) openCookie(l *TCP, in *inSegment, iss header.Seq, mss uint16) bool {
	if !t.inherit(l, in) {
		return false
	}
	t.setISS(iss)
	ack := *in
	opts, ecn := cookieOptions(mss, &in.opts, !t.s.cfg.TCP.NoTimestamps)
	in.seq, in.wnd, in.opts, in.flags = in.seq.Add(^uint32(0)), 0xffff, opts, header.TCPSyn
	if ecn {
		in.flags |= header.TCPEce | header.TCPCwr
	}
	t.synOptions(in)
	in.seq, in.wnd, in.opts, in.flags = ack.seq, ack.wnd, ack.opts, ack.flags
	t.rcvAnnEdge = t.rcvNxt.Add(min(t.rcvWnd, 0xffff)) // as the SYN-ACK said
	end := iss.Add(1)
	t.sndNxt, t.sndMax, t.sndLbb = end, end, end
	t.enterHalfOpen(l)
	t.setState(StateSynRcvd)
	t.link(in.hash)
	return true
}

// sendStray sends a segment that no connection remembers: the answer to the
// segment in work. False: no buffer.
func (s *Stack) sendStray(in *inSegment, f *header.TCPFields, opts []byte, ttl, tos uint8) bool {
	p := s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	if p == nil {
		s.stats.Drops[DropNoBuf]++
		return false
	}
	n := header.TCPLen + len(opts)
	p.AddHeader(n)
	b := p.Payload()
	h := (*header.TCP)(b)
	f.HdrLen = uint8(n)
	h.Encode(f)
	copy(b[header.TCPLen:], opts)
	h.SetChecksum(header.PseudoHeader(in.dst, in.src, header.ProtoTCP, uint32(n)))
	p.Flags |= pbuf.TxTCPCsum
	p.L4Len = uint8(n)
	s.stats.TCP.OutSegs++
	_ = s.ipOutput(p, &ipFields{src: in.dst, dst: in.src, proto: header.ProtoTCP, ttl: ttl, tos: tos})
	return true
}
