package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// dataInput takes data and FIN of an acceptable segment (RFC 9293 3.10.7.4,
// seventh and eighth step).
func (t *TCP) dataInput(in *inSegment) {
	s := t.s
	if s == nil {
		return
	}
	fin := in.flags&header.TCPFin != 0
	if in.n == 0 && !fin {
		return
	}
	if t.flags&tfECN != 0 && in.n != 0 {
		t.ecnData(in)
	}
	switch t.state {
	case StateEstablished, StateFinWait1, StateFinWait2:
	default: // the peer has closed already
		return
	}
	if in.n != 0 && t.flags&tfRxClosed != 0 && in.seq.Add(in.n).Greater(t.rcvNxt) {
		// RFC 1122 4.2.2.13: data for a user who is gone is answered by RST.
		s.stats.Drops[DropTCPAfterClose]++
		t.abandon(ErrAborted, true)
		return
	}
	if in.n != 0 && s.starved() { // the peer sends it again
		in.reject(s, DropNoBuf)
		return
	}
	if t.refused != nil && !t.offerRefused() {
		if t.s != nil {
			t.flags |= tfAckNow
			in.reject(s, DropTCPRefused)
		}
		return
	}
	p := in.p
	in.p = nil
	p.RemoveHeader(in.hdr)
	p, seq, n, fin := t.trimToWindow(p, in.seq, in.n, fin)
	if p == nil {
		return
	}
	if seq != t.rcvNxt {
		// RFC 5681 4.2: an out-of-order segment is acknowledged at once.
		s.stats.TCP.OutOfOrderIn++
		t.coldPart().hist.ooPackets++
		t.flags |= tfAckNow
		t.queueOutOfOrder(p, seq, n, fin)
		return
	}
	if t.ooseq.Len() != 0 {
		t.flags |= tfAckNow // it fills (part of) a gap: likewise
	}
	if n == 0 {
		p.Free()
	} else if !t.deliver(p, n) {
		return
	}
	if fin {
		t.finInput()
		return
	}
	t.deliverOutOfOrder()
}

// trimToWindow cuts off what was received before and what lies beyond the
// window. A nil result: nothing is left; the packet is freed and counted.
func (t *TCP) trimToWindow(p *pbuf.Pbuf, seq header.Seq, n uint32, fin bool) (*pbuf.Pbuf, header.Seq, uint32, bool) {
	s := t.s
	if seq.Less(t.rcvNxt) {
		old := t.rcvNxt.Sub(seq)
		t.sackOld(seq, seq.Add(n))
		s.stats.TCP.DupSegsIn++
		t.flags |= tfAckNow
		if old > n || old == n && !fin {
			s.drop(p, DropTCPSeq)
			return nil, 0, 0, false
		}
		if p = p.FreeHeader(int(old)); p == nil { // only the FIN is new
			if p = s.alloc(pbuf.LayerRaw, 0, pbuf.KindRAM); p == nil {
				s.stats.Drops[DropNoBuf]++
				return nil, 0, 0, false
			}
		}
		seq, n = t.rcvNxt, n-old
	}
	room := t.rcvWnd - min(t.rcvWnd, seq.Sub(t.rcvNxt))
	if n > room {
		t.flags |= tfAckNow
		if room == 0 {
			s.drop(p, DropTCPZeroWindow)
			return nil, 0, 0, false
		}
		p.Realloc(int(room))
		n, fin = room, false
	}
	return p, seq, n, fin
}

// deliver gives n bytes of data in order to the user, and decides about the
// ACK: at least every second segment at once (RFC 9293 3.8.6.3, RFC 5681 4.2).
// It owns p. False: the connection is gone.
func (t *TCP) deliver(p *pbuf.Pbuf, n uint32) bool {
	s := t.s
	t.rcvNxt = t.rcvNxt.Add(n)
	t.rcvWnd -= n
	s.stats.TCP.InOctets += uint64(n)
	t.ackPending++
	// Of segments that the port has joined each counts (RFC 5681 4.2).
	if t.ackPending >= t.ackEvery || t.quick != 0 || p.Flags&pbuf.RxLRO != 0 && n > uint32(p.SegSize)*uint32(t.ackEvery-1) {
		t.ackNow()
	}
	return t.giveToUser(p)
}

// giveToUser calls RecvFunc. What it refuses is kept and offered again.
func (t *TCP) giveToUser(p *pbuf.Pbuf) bool {
	fn := t.recv
	if fn == nil { // tcp_recv_null
		n := p.TotLen()
		p.Free()
		t.Recved(n)
		return true
	}
	err := fn(t.arg, t, p, nil)
	if t.s == nil {
		return false
	}
	if err != nil {
		t.refused = p
		t.flags |= tfHeld
		t.armRefused()
	}
	return true
}

// offerRefused offers the refused data again (tcp_process_refused_data).
// False: it is still refused, or the connection is gone.
func (t *TCP) offerRefused() bool {
	p := t.refused
	t.refused = nil
	if !t.giveToUser(p) || t.refused != nil {
		return false
	}
	t.deliverOutOfOrder()
	if t.s == nil || t.refused != nil {
		return false
	}
	switch t.state {
	case StateCloseWait, StateClosing, StateLastAck, StateTimeWait:
		t.tellFin() // it came while the data waited
	}
	return t.s != nil
}

// finInput takes the peer's FIN, everything before it having been delivered.
func (t *TCP) finInput() {
	t.rcvNxt = t.rcvNxt.Add(1)
	t.flags |= tfAckNow
	t.purgeOOSeq()
	switch t.state {
	case StateEstablished:
		t.setState(StateCloseWait)
	case StateFinWait1:
		if t.finAcked() {
			t.enterTimeWait()
		} else {
			t.setState(StateClosing)
		}
	case StateFinWait2:
		t.enterTimeWait()
	}
	if t.s == nil || t.refused != nil {
		return // offered again first; then the user hears of the FIN
	}
	t.tellFin()
}

// tellFin calls RecvFunc without data: the peer has closed.
func (t *TCP) tellFin() {
	if t.flags&(tfPeerFin|tfDetached) != 0 {
		return
	}
	t.flags |= tfPeerFin
	if t.recv == nil {
		_ = t.Close()
		return
	}
	_ = t.recv(t.arg, t, nil, nil)
}

// Recved says that the application has taken n bytes, so that the window may
// open again (tcp_recved). An update is sent when it opens noticeably
// (RFC 9293 3.8.6.2.2).
func (t *TCP) Recved(n int) {
	if t.s == nil || n <= 0 || t.state == StateListen {
		return
	}
	full := t.fullWindow()
	t.rcvWnd = min(t.rcvWnd+uint32(n), full)
	if uint32(t.rcvNxt)&(tuneStep-1) < uint32(n) { // another step
		t.tuneRecv()
	}
	edge := t.rcvNxt.Add(t.rcvWnd)
	if edge.Sub(t.rcvAnnEdge) >= max(full/4, uint32(t.mss)*2) || t.rcvAnnEdge == t.rcvNxt && t.rcvWnd >= uint32(t.mss) {
		t.flags |= tfAckNow
		if t.flags&tfInInput == 0 {
			_ = t.Output()
		}
	}
}

// fullWindow is the receive window when the user has taken everything.
func (t *TCP) fullWindow() uint32 {
	if t.flags&tfWScale == 0 {
		return min(t.recvBuf(), 0xffff)
	}
	return t.recvBuf()
}

// announceWindow is the window to put into a header, not scaled yet: it never
// moves the right edge back, and moves it forward only by a full segment or
// half the buffer (RFC 9293 3.8.6.2.2, as tcp_update_rcv_ann_wnd).
func (t *TCP) announceWindow() uint32 {
	edge := t.rcvNxt.Add(t.rcvWnd)
	step := min(uint32(t.mss), t.recvBuf()/2)
	if edge.GreaterEq(t.rcvAnnEdge.Add(step)) {
		t.rcvAnnEdge = edge
		return t.rcvWnd
	}
	if t.rcvNxt.Greater(t.rcvAnnEdge) {
		return 0
	}
	return t.rcvAnnEdge.Sub(t.rcvNxt)
}
