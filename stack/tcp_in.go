package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// The path of a received segment:
//
//	tcpInput        gate, checksum, look-up (plainInput: all layers in one)
//	├ predict       ESTABLISHED, in order, nothing special: done
//	├ tcpStates[…]  one function a state (tcp_state.go)
//	│   ├ ackInput  acknowledgement, loss recovery (tcp_ack.go)
//	│   └ dataInput data and FIN (tcp_recv.go)
//	└ inputDone     what the segment made us want to send

// inSegment is the segment in work. There is one a stack, as lwIP has its
// globals in tcp_in.c.
type inSegment struct {
	p            *pbuf.Pbuf // owned while not nil; payload at the TCP header
	owner        uint32     // number of the PCB that it belongs to, plus one
	nif          *Netif
	src, dst     header.Addr
	sport, dport uint16
	hash         uint32 // of the flow, as the NIC's
	seq, ack     header.Seq
	flags        header.TCPFlags
	wnd          uint32 // as in the header, not scaled
	n            uint32 // bytes of data
	hdr          int    // bytes of header
	opts         header.TCPOptions
	parsed       bool // opts is valid
}

// take fills in what the header of a segment of n bytes says; hdr of them are
// header.
func (in *inSegment) take(h *header.TCP, hdr, n int) {
	in.sport, in.dport = h.SrcPort(), h.DstPort()
	in.seq, in.ack, in.flags, in.wnd = h.Seq(), h.Ack(), h.Flags(), uint32(h.Window())
	in.hdr, in.n, in.parsed = hdr, uint32(n-hdr), false
}

// seqLen is how much sequence space the segment takes.
func (in *inSegment) seqLen() uint32 {
	n := in.n
	if in.flags&header.TCPSyn != 0 {
		n++
	}
	if in.flags&header.TCPFin != 0 {
		n++
	}
	return n
}

// tcpInput takes a segment, payload at the TCP header, cut to the length that
// IP says. It owns p.
func (s *Stack) tcpInput(nif *Netif, p *pbuf.Pbuf, src, dst header.Addr) {
	s.stats.TCP.InSegs++
	b := p.Payload()
	h, hdr, fault := header.ParseTCP(b)
	if fault != 0 {
		s.tcpBad(p, DropTCPMalformed)
		return
	}
	if p.Flags&pbuf.RxL4CsumGood == 0 {
		// RFC 9293 3.1: checksum over pseudo-header, header and data.
		sum := header.PseudoHeader(src, dst, header.ProtoTCP, uint32(p.TotLen()))
		if p.Flags&pbuf.RxL4CsumBad != 0 || offload.L4Sum(p, 0, sum) != 0xffff {
			s.tcpBad(p, DropTCPChecksum)
			return
		}
	}
	// RFC 9293 3.9.2.3: segments to a group address are silently discarded.
	if p.Flags&(pbuf.LinkBroadcast|pbuf.LinkMulticast|flagGroup) != 0 {
		s.drop(p, DropTCPBadDest)
		return
	}
	in := &s.tcp.in
	in.p, in.nif, in.src, in.dst = p, nif, src, dst
	in.take(h, hdr, p.TotLen())
	hash := p.Hash
	if !s.knowsHash(p) {
		hash = s.hashFlow(dst, src, in.dport, in.sport)
	}
	in.hash = hash
	t := s.lookup(dst, src, in.dport, in.sport, hash)
	if t == nil {
		if t = s.lookupSlow(in); t == nil {
			s.tcpNoConn(in)
			return
		}
	}
	una := t.sndUna
	s.tcpDeliver(t, h, b[header.TCPLen:hdr])
	if !dst.Is4() && t.s != nil && t.sndUna != una && t.state != StateListen && t.pathGen == s.pathGen && t.neigh != nil {
		s.nd6Hint(t.neigh) // RFC 4861 7.3.1: new data was acknowledged
	}
}

// tcpDeliver gives the segment in work to the connection or listener it belongs
// to.
func (s *Stack) tcpDeliver(t *TCP, h *header.TCP, opts []byte) {
	in := &s.tcp.in
	in.owner = t.id + 1
	if hook := s.hooks.TCPInPacket; hook != nil && hook(t, h, opts, in.p) {
		s.stats.Drops[DropHook]++
		in.p, in.owner = nil, 0
		return
	}
	t.flags |= tfInInput
	if !t.predict(in, opts) && !t.predictEdge(in, opts) {
		t.inputSlow(in, opts)
	}
	if in.p != nil {
		in.p.Free()
		in.p = nil
	}
	in.owner = 0
	if t.s != nil {
		t.inputDone()
	}
}

// inputDone sends what the segment made us want to send.
func (t *TCP) inputDone() {
	t.flags &^= tfInInput
	if t.state == StateListen || t.state == StateTimeWait && t.flags&tfAckNow == 0 {
		return
	}
	if t.unsent != nil || t.flags&(tfAckNow|tfLoss|tfPull|tfProbe) != 0 {
		t.Output()
		if t.s == nil {
			return
		}
	}
	if t.ackPending != 0 && t.delack == 0 {
		// Nothing carried the ACK: let it wait for data or the next segment.
		t.delack = t.s.now + t.delackTime()
		t.arm(t.delack)
	}
}

func (s *Stack) tcpBad(p *pbuf.Pbuf, why DropReason) {
	s.stats.TCP.InErrs++
	s.drop(p, why)
}

// reject drops the segment in work under a reason.
func (in *inSegment) reject(s *Stack, why DropReason) {
	s.drop(in.p, why)
	in.p = nil
}

// lookupSlow finds who takes a segment that belongs to no connection.
func (s *Stack) lookupSlow(in *inSegment) *TCP {
	if h := s.hooks.TCPLookup; h != nil {
		if t := h(in.dst, in.dport, in.src, in.sport); t != nil {
			return t
		}
	}
	return s.listenerFor(in.dst, in.dport)
}

// tcpNoConn answers a segment for CLOSED: RST, unless it is one
// (RFC 9293 3.10.7.1).
func (s *Stack) tcpNoConn(in *inSegment) {
	s.stats.Drops[DropTCPNoConn]++
	s.sendReset(in)
	in.p.Free()
	in.p = nil
}

// sendReset answers the segment in work with RST (RFC 9293 3.5.2 group 1, 2).
func (s *Stack) sendReset(in *inSegment) {
	if in.flags&header.TCPRst != 0 || !s.resetAllowed() {
		return
	}
	f := header.TCPFields{SrcPort: in.dport, DstPort: in.sport, Flags: header.TCPRst}
	if in.flags&header.TCPAck != 0 {
		f.Seq = in.ack
	} else {
		f.Flags |= header.TCPAck
		f.Ack = in.seq.Add(in.seqLen())
	}
	if s.sendStray(in, &f, nil, s.cfg.TTL, 0) {
		s.stats.TCP.OutRsts++
	}
}

// predict is header prediction: the next segment of an established connection
// with data, an acknowledgement or both, and nothing else to it. False: the
// segment needs the whole of RFC 9293; nothing was changed.
func (t *TCP) predict(in *inSegment, opts []byte) bool {
	if t.state != StateEstablished || in.flags&^header.TCPPsh != header.TCPAck ||
		in.seq != t.rcvNxt || t.flags&tfSlow != 0 || in.n > t.rcvWnd {
		return false
	}
	acked := in.ack.Sub(t.sndUna)
	if acked > t.sndMax.Sub(t.sndUna) {
		return false
	}
	wnd := in.wnd << (t.sndScale & 31)
	if in.n|acked == 0 || wnd == 0 || in.n != 0 && t.s.starved() {
		// Neither data nor progress (a duplicate ACK or a window update), or the
		// window closes, or the data can't be kept.
		return false
	}
	if !t.predictTimestamp(in, opts) {
		return false
	}
	if t.flags&tfECN != 0 && in.n != 0 {
		t.ecnData(in)
	}
	st := &t.s.stats.TCP
	st.PredictedHits++
	t.heard()
	t.updateSendWindow(wnd, in)
	if acked != 0 {
		if in.n == 0 {
			st.PureAcksIn++
		}
		t.ackAdvance(in.ack, in.opts.TSEcr)
		if t.state != StateEstablished { // SentFunc has closed or aborted it
			t.dataInput(in)
			return true
		}
	}
	if in.n != 0 {
		p := in.p
		in.p = nil
		p.RemoveHeader(in.hdr)
		t.deliver(p, in.n)
	}
	return true
}

// predictTimestamp is what checkSynchronized does about timestamps.
// False: the segment has other options, or an old timestamp (RFC 7323 5.3).
func (t *TCP) predictTimestamp(in *inSegment, opts []byte) bool {
	if t.flags&tfTimestamps == 0 {
		return len(opts) == 0
	}
	val, ecr, ok := header.ParseTimestampFast(opts)
	if !ok || int32(val-t.tsRecent) < 0 {
		return false
	}
	if in.seq.LessEq(t.lastAck) { // RFC 7323 4.3 (2)
		t.tsRecent, t.tsRecentAt = val, t.s.tsNow
	}
	in.opts.TSEcr = ecr
	return true
}

// heard notes that the peer is alive, for keepalive.
func (t *TCP) heard() {
	if t.flags&tfKeepAlive != 0 {
		t.cold.lastRecv, t.cold.keepSent = t.s.now, 0
	}
}

// inputSlow is the whole of RFC 9293 3.10.7 for a segment.
func (t *TCP) inputSlow(in *inSegment, opts []byte) {
	if t.flags&tfMeter != 0 {
		t.cold.meter.in(t, in)
	}
	if val, ecr, ok := header.ParseTimestampFast(opts); ok {
		in.opts.OnlyTimestamp(val, ecr)
	} else if fault := header.ParseTCPOptions(opts, &in.opts); fault != 0 {
		t.s.stats.TCP.InErrs++
		in.reject(t.s, DropTCPMalformed)
		return
	}
	in.parsed = true
	tcpStates[t.state](t, in)
	if t.flags&(tfHeld|tfFast) != 0 {
		if t.ooseq.Empty() && t.refused == nil {
			t.flags &^= tfHeld
		}
		if t.flags&tfFast != 0 && t.sndUna != t.iss {
			t.fastOver()
		}
	}
}
