package stack

import (
	"github.com/shardstack/shardstack/header"
)

// tcpStates are the reactions to a segment, one function a state
// (RFC 9293 3.10.7). Each is given a segment whose options are parsed; what is
// left in in.p afterwards is freed by the caller.
var tcpStates = [numTCPStates]func(t *TCP, in *inSegment){
	StateClosed:      (*TCP).inClosed,
	StateListen:      (*TCP).inListen,
	StateSynSent:     (*TCP).inSynSent,
	StateSynRcvd:     (*TCP).inSynRcvd,
	StateEstablished: (*TCP).inEstablished,
	StateFinWait1:    (*TCP).inFinWait1,
	StateFinWait2:    (*TCP).inFinWait2,
	StateCloseWait:   (*TCP).inCloseWait,
	StateClosing:     (*TCP).inClosing,
	StateLastAck:     (*TCP).inLastAck,
	StateTimeWait:    (*TCP).inTimeWait,
}

// inClosed can only be reached through the TCPLookup hook.
func (t *TCP) inClosed(in *inSegment) { t.s.tcpNoConn(in) }

// inListen: RFC 9293 3.10.7.2.
func (t *TCP) inListen(in *inSegment) {
	s := t.s
	switch {
	case in.flags&header.TCPRst != 0:
		in.reject(s, DropTCPState)
		return
	case in.flags&header.TCPAck != 0:
		t.listenAck(in)
		return
	case in.flags&header.TCPSyn == 0:
		in.reject(s, DropTCPState)
		return
	}
	t.listenSyn(in)
}

// acceptSyn makes a new PCB the passive end of the SYN in work.
func (t *TCP) acceptSyn(l *TCP, in *inSegment) bool {
	if !t.inherit(l, in) {
		return false
	}
	t.synOptions(in)
	if !t.queueControl(header.TCPSyn) {
		return false
	}
	if t.flags&tfMeter != 0 {
		t.cold.meter.segsIn = 1
	}
	t.enterHalfOpen(l)
	t.setState(StateSynRcvd)
	t.link(in.hash)
	return true
}

// inherit makes a new PCB the passive end of the segment in work, with what its
// listener passes on. False: there is no path to the peer.
func (t *TCP) inherit(l *TCP, in *inSegment) bool {
	s := t.s
	t.local, t.remote, t.lport, t.rport = in.dst, in.src, in.dport, in.sport
	way, err := s.pathFor(t.local, t.remote)
	if err != nil {
		return false
	}
	t.setupPath(way.nif, way.neigh)
	t.opened, t.arg = l.opened, l.arg
	t.ttl, t.tos = l.ttl, l.tos
	t.flags |= l.flags & tfNoDelay
	if l.flags&tfMeter != 0 {
		t.meter()
	}
	t.ccInherit(l)
	t.inheritBuffers(l)
	t.inheritKnobs(l)
	t.initConnection()
	if l.flags&tfKeepAlive != 0 {
		t.SetKeepAlive(&l.cold.keep)
	}
	return true
}

// synOptions takes sequence number, window and options of the peer's SYN.
func (t *TCP) synOptions(in *inSegment) {
	s := t.s
	o := &in.opts
	t.irs = in.seq
	t.rcvNxt = in.seq.Add(1)
	t.lastAck = t.rcvNxt
	t.rcvAnnEdge = t.rcvNxt
	peer := int(defaultMSS(t.remote))
	if o.MSS != 0 {
		peer = max(int(o.MSS), 64)
	}
	t.mss = uint16(min(peer, int(t.mss), t.pathMSS6())) // was maxMSS so far
	if o.WScale >= 0 && !s.cfg.TCP.NoWindowScale {
		t.flags |= tfWScale
		t.sndScale = min(uint8(o.WScale), 14) // RFC 7323 2.3
		t.rcvScale = s.tcp.rcvScale
	} else {
		t.sndScale, t.rcvScale = 0, 0
		t.rcvWnd = min(t.rcvWnd, 0xffff)
	}
	t.setFlag(tfSack, o.SACKPermitted && !s.cfg.TCP.NoSACK)
	if o.HasTS && !s.cfg.TCP.NoTimestamps {
		t.flags |= tfTimestamps
		t.tsRecent, t.tsRecentAt = o.TSVal, s.tsNow
		t.mss -= header.TCPTimestampLen
	}
	t.sndWl1 = in.seq
	t.sndWnd = in.wnd // never scaled in a SYN
	t.sndWndMax = t.sndWnd
	if t.mssMax = t.mss; s.tcp.dests.sets != nil {
		t.applyPathMTU()
	}
	t.ecnSyn(in)
	t.ccInit()
	if o.HasUserTimeout {
		t.takeUserTimeout(o)
	}
}

// inSynSent: RFC 9293 3.10.7.3.
func (t *TCP) inSynSent(in *inSegment) {
	s := t.s
	ack := in.flags&header.TCPAck != 0
	if ack && (in.ack.LessEq(t.iss) || in.ack.Greater(t.sndMax)) {
		s.stats.Drops[DropTCPAck]++
		s.sendReset(in)
		// Half-open: make the SYN overtake the reset (lwIP does so too).
		t.rtxAt = s.now
		t.arm(t.rtxAt)
		return
	}
	if in.flags&header.TCPRst != 0 {
		if !ack { // RFC 9293: an RST that acknowledges nothing is dropped
			in.reject(s, DropTCPAck)
			return
		}
		t.abandon(ErrRefused, false)
		return
	}
	if in.flags&header.TCPSyn == 0 {
		in.reject(s, DropTCPState)
		return
	}
	t.synOptions(in)
	t.flags |= tfAckNow
	if !ack {
		// Simultaneous open: our SYN goes out again, as SYN-ACK.
		t.setState(StateSynRcvd)
		t.flags &^= tfAckNow
		t.retransmitHead()
		return
	}
	t.setState(StateEstablished)
	t.ccOpened()
	if t.flags&tfFast != 0 {
		t.fastAcked(in)
	} else {
		t.ackAdvance(in.ack, in.opts.TSEcr)
		t.sndWl2 = in.ack
	}
	if !t.callOpened() {
		return
	}
	in.seq = in.seq.Add(1) // data behind the SYN
	in.flags &^= header.TCPSyn
	t.dataInput(in)
}

// callOpened tells the user that the connection is established; false: it is
// gone now.
func (t *TCP) callOpened() bool {
	fn := t.opened
	t.opened = nil
	if fn == nil {
		return true
	}
	if err := fn(t.arg, t, nil); err != nil && t.s != nil {
		t.Abort()
	}
	return t.s != nil
}

// inSynRcvd: RFC 9293 3.10.7.4, SYN-RECEIVED.
func (t *TCP) inSynRcvd(in *inSegment) {
	s := t.s
	// The SYN again, and nothing of ours was acknowledged: answer it again.
	if in.flags&(header.TCPSyn|header.TCPAck|header.TCPRst) == header.TCPSyn && in.seq == t.irs {
		t.retransmitHead()
		return
	}
	// Simultaneous open ends with SYN-ACK: the SYN is old, the ACK is news.
	if in.flags&header.TCPSyn != 0 && in.flags&header.TCPAck != 0 && in.seq == t.irs {
		in.seq = in.seq.Add(1)
		in.flags &^= header.TCPSyn
	}
	if in.flags&header.TCPAck != 0 && in.flags&header.TCPRst == 0 &&
		(in.ack.LessEq(t.sndUna) || in.ack.Greater(t.sndMax)) {
		s.stats.Drops[DropTCPAck]++
		s.sendReset(in)
		return
	}
	if !t.checkSynchronized(in) {
		return
	}
	if t.listener != nil && t.opened == nil { // nobody to accept it, or it is the user's already
		if t.early() {
			t.fastOpened(in)
		} else {
			t.abandon(ErrAborted, true)
		}
		return
	}
	t.setState(StateEstablished)
	t.sndWl1, t.sndWl2 = in.seq, in.ack
	t.setSendWindow(in.wnd<<(t.sndScale&31), in)
	t.ccOpened()
	t.ackAdvance(in.ack, in.opts.TSEcr)
	if t.s == nil || !t.callOpened() {
		return
	}
	t.dataInput(in)
}

func (t *TCP) inEstablished(in *inSegment) {
	if t.checkSynchronized(in) && t.ackInput(in) {
		t.dataInput(in)
	}
}

// inFinWait1: our FIN is out; its acknowledgement leads to FIN-WAIT-2, the
// peer's FIN to CLOSING, both to TIME-WAIT.
func (t *TCP) inFinWait1(in *inSegment) {
	if !t.checkSynchronized(in) || !t.ackInput(in) {
		return
	}
	if t.finAcked() {
		t.setState(StateFinWait2)
		if t.flags&tfDetached != 0 {
			t.armFinWait2()
		}
	}
	t.dataInput(in)
}

func (t *TCP) inFinWait2(in *inSegment) {
	if t.checkSynchronized(in) && t.ackInput(in) {
		t.dataInput(in)
	}
}

func (t *TCP) inCloseWait(in *inSegment) {
	if t.checkSynchronized(in) {
		t.ackInput(in)
	}
}

// inClosing: both FINs are out, ours is not acknowledged.
func (t *TCP) inClosing(in *inSegment) {
	if t.checkSynchronized(in) && t.ackInput(in) && t.finAcked() {
		t.enterTimeWait()
	}
}

// inLastAck: the peer has closed, so have we; the ACK of our FIN ends it.
func (t *TCP) inLastAck(in *inSegment) {
	if t.checkSynchronized(in) && t.ackInput(in) && t.finAcked() {
		t.abandon(ErrClosed, false)
	}
}

// finAcked reports whether everything we sent, our FIN included, was
// acknowledged.
func (t *TCP) finAcked() bool {
	return t.flags&tfFinQueued != 0 && t.sndUna == t.sndLbb
}
