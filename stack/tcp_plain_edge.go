package stack

import "github.com/shardstack/shardstack/header"

// Header prediction for the segments with which connections begin and end in
// order. They take the way of the whole of RFC 9293 3.10.7, with what it asks and
// can't be so here left out: nothing is missing, held back or repeated.

// closingStates are those that predictEdge knows.
const closingStates = 1<<StateEstablished | 1<<StateFinWait1 | 1<<StateFinWait2 | 1<<StateLastAck

// predictEdge is predict for segments that it does not know: the last one of the
// handshake (predictOpen), and the next in order without data that carries the
// peer's FIN, or acknowledges ours, or both. False: as for predict.
func (t *TCP) predictEdge(in *inSegment, opts []byte) bool {
	if in.flags&^(header.TCPPsh|header.TCPFin) != header.TCPAck || in.seq != t.rcvNxt ||
		t.flags&(tfSlow&^tfRxClosed|tfFast|tfECN) != 0 {
		return false
	}
	acked := in.ack.Sub(t.sndUna)
	if acked > t.sndMax.Sub(t.sndUna) {
		return false
	}
	wnd := in.wnd << (t.sndScale & 31)
	if wnd == 0 {
		return false
	}
	if t.state == StateSynRcvd {
		return acked != 0 && in.flags&header.TCPFin == 0 && t.predictOpen(in, opts, wnd)
	}
	fin := in.flags&header.TCPFin != 0
	if closingStates>>(t.state&31)&1 == 0 || in.n != 0 || !fin && acked == 0 || fin && t.state == StateLastAck ||
		!t.predictTimestamp(in, opts) {
		return false
	}
	t.s.stats.TCP.PureAcksIn++
	t.heard()
	t.updateSendWindow(wnd, in)
	if acked != 0 {
		t.ackAdvance(in.ack, in.opts.TSEcr)
		if t.s == nil { // SentFunc has aborted it
			return true
		}
	}
	switch t.state {
	case StateLastAck:
		if t.finAcked() {
			t.abandon(ErrClosed, false)
		}
		return true
	case StateFinWait1:
		if fin { // finInput looks whether ours was acknowledged
			break
		}
		if t.finAcked() {
			t.setState(StateFinWait2)
			if t.flags&tfDetached != 0 {
				t.armFinWait2()
			}
		}
		return true
	}
	if fin {
		t.finInput()
	}
	return true
}

// predictOpen is inSynRcvd for the ACK of our SYN-ACK, with data or without.
func (t *TCP) predictOpen(in *inSegment, opts []byte, wnd uint32) bool {
	if t.opened == nil || in.n > t.rcvWnd || in.n != 0 && t.s.starved() || !t.predictTimestamp(in, opts) {
		return false
	}
	t.setState(StateEstablished)
	t.setSendWindow(wnd, in)
	t.ccOpened()
	t.ackAdvance(in.ack, in.opts.TSEcr)
	if t.s == nil || !t.callOpened() || in.n == 0 {
		return true
	}
	if t.state != StateEstablished || t.flags&tfRxClosed != 0 { // AcceptFunc has closed it
		t.dataInput(in)
		return true
	}
	p := in.p
	in.p = nil
	p.RemoveHeader(in.hdr)
	t.deliver(p, in.n)
	return true
}
