package stack

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
)

// fastResetLife is how long a connection counts that was reset before its handshake
// was through, in ns: the RST may be of the host whose address a SYN has forged, and
// the forger is not to gain from it (RFC 7413 5.1; Linux has 60 s).
const fastResetLife = 60_000_000_000

// fastListener gives a new listener its part, if the stack's configuration wants
// one.
func (t *TCP) fastListener() {
	if c := &t.s.cfg.TCP.FastOpen; c.Pending != 0 {
		t.fastPart()
	}
}

// fastOptions are a PCB's own, or the stack's.
func (t *TCP) fastOptions() (pending int, connect, noCookie bool) {
	if t.cold != nil && t.cold.fast != nil && t.cold.fast.own {
		f := t.cold.fast
		return f.pendingMost, f.connect, f.noCookie
	}
	c := &t.s.cfg.TCP.FastOpen
	return c.Pending, c.Connect, c.NoCookie
}

// fastListen takes a SYN with a Fast Open option, or data, for a listener that may
// have Fast Open (RFC 7413 4.2.2). False: it is to be answered like any other.
func (t *TCP) fastListen(in *inSegment) bool {
	s := t.s
	st := &s.stats.TCP
	most, _, noCookie := t.fastOptions()
	has := in.opts.HasFastOpen
	if most == 0 || !has && (in.n == 0 || !noCookie) || t.opened == nil {
		return false
	}
	if has && in.opts.FastOpenLen == 0 {
		st.FastOpenCookieReqs++
	}
	if most < 0 {
		most = t.cold.backlog
	}
	if !t.cold.fast.room(most, s.now) {
		st.FastOpenOverflows++
		return false
	}
	good, renew, fresh := t.fastCheck(in)
	take := good || noCookie
	if has && in.opts.FastOpenLen != 0 && !take {
		st.FastOpenPassiveFail++
	}
	if renew = renew && has && (good || !noCookie); !take && !renew {
		return false
	}
	if take && in.n != 0 && s.starved() { // the peer sends its data again
		take = false
		st.FastOpenPassiveFail++
	}
	c := s.NewTCP()
	if c == nil {
		in.reject(s, DropTCPMem)
		return true
	}
	if !c.fastAccept(t, in, take) {
		c.free()
		in.reject(s, DropTCPMem)
		return true
	}
	if renew {
		f := c.cold.fast
		f.cookieLen, f.exp = FastOpenCookieLen, in.opts.FastOpenExp
		binary.LittleEndian.PutUint64(f.cookie[:], fresh)
	}
	st.PassiveOpens++
	if !take {
		c.Output()
		return true
	}
	st.FastOpenPassive++
	if good && renew {
		st.FastOpenOldKey++
	}
	c.fastDeliver(in)
	return true
}

// fastAccept makes a new PCB the passive end of the SYN in work. take: what it brings
// is the user's at once. False: there is no path to the peer, or no buffer.
func (t *TCP) fastAccept(l *TCP, in *inSegment, take bool) bool {
	if !t.acceptSyn(l, in) {
		return false
	}
	f := t.fastBegin()
	if f.server, f.early = true, take; take {
		f.listener = l
		l.cold.fast.pending++
	}
	return true
}

// fastDeliver gives the user a connection and what came with its SYN, and sends the
// SYN-ACK, with the answer behind it if there is one already (RFC 7413 4.2.2).
func (t *TCP) fastDeliver(in *inSegment) {
	in.owner = t.id + 1
	t.flags |= tfInInput
	if t.callOpened() && (in.n != 0 || in.flags&header.TCPFin != 0) {
		t.fastData(in)
	}
	if t.s != nil {
		t.inputDone()
	}
}

// fastData takes data and FIN of the SYN in work.
func (t *TCP) fastData(in *inSegment) {
	fin := in.flags&header.TCPFin != 0
	if in.n != 0 && t.flags&tfRxClosed != 0 { // RFC 1122 4.2.2.13
		t.s.stats.Drops[DropTCPAfterClose]++
		t.abandon(ErrAborted, true)
		return
	}
	p := in.p
	in.p = nil
	p.RemoveHeader(in.hdr)
	p, _, n, fin := t.trimToWindow(p, in.seq.Add(1), in.n, fin)
	switch {
	case p == nil:
		return
	case n == 0:
		p.Free()
	default:
		t.cold.fastInfo |= fastSynData
		if !t.deliver(p, n) {
			return
		}
	}
	if fin && (t.state == StateSynRcvd || t.state == StateFinWait1) {
		t.fastFin()
	}
}

// fastFin takes a FIN that came with the SYN: the user hears of it at once, and the
// SYN-ACK acknowledges it.
func (t *TCP) fastFin() {
	t.rcvNxt = t.rcvNxt.Add(1)
	t.flags |= tfAckNow
	if t.state == StateFinWait1 { // RecvFunc has closed
		t.setState(StateClosing)
	} else {
		l := t.listener
		t.setState(StateCloseWait)
		if t.cold.fast.held {
			t.BacklogDelayed(l)
		}
	}
	if t.refused == nil {
		t.tellFin()
	}
}

// fastRepeated answers a SYN that came once more after the user has closed, or heard
// of the peer's FIN, so that the state is no longer SYN-RECEIVED: the SYN-ACK was
// lost. False: it is something else.
func (t *TCP) fastRepeated(in *inSegment) bool {
	if !t.early() || in.flags&header.TCPAck != 0 || in.seq != t.irs {
		return false
	}
	t.retransmitHead()
	return true
}

// room reports whether another connection may wait for the end of its handshake.
func (f *tcpFast) room(most int, now int64) bool {
	n := 0
	for n < len(f.resets) && f.resets[n] <= now {
		n++
	}
	if n != 0 {
		f.pending -= n
		f.resets = f.resets[:copy(f.resets, f.resets[n:])]
	}
	return f.pending < most
}

// left is told that a connection's handshake is through, or that it is gone; reset:
// by a reset, and it goes on to count.
func (f *tcpFast) left(reset bool, now int64) {
	if reset {
		f.resets = append(f.resets, now+fastResetLife)
		return
	}
	f.pending--
}

// fastReset is told of a reset that ends an early connection, and gives the error
// for its user.
func (t *TCP) fastReset(err error) error {
	t.cold.fast.reset = true
	t.s.stats.TCP.FastOpenResets++
	if t.state == StateSynRcvd {
		return ErrReset
	}
	return err
}

// fastOpened ends the handshake of an early connection: inSynRcvd for it.
func (t *TCP) fastOpened(in *inSegment) {
	l, held := t.listener, t.cold.fast.held
	t.setState(StateEstablished) // it leaves the listener's queue
	t.fastDone()
	if held {
		t.BacklogDelayed(l)
	}
	t.sndWl1, t.sndWl2 = in.seq, in.ack
	t.setSendWindow(in.wnd<<(t.sndScale&31), in)
	t.ccOpened()
	if blocks := in.opts.SACK[:in.opts.NSACK]; len(blocks) != 0 && t.flags&tfSack != 0 {
		t.ackLossy(in.ack, in.opts.TSEcr, blocks, false)
	} else {
		t.ackAdvance(in.ack, in.opts.TSEcr)
	}
	t.dataInput(in)
}

// fastOrphan is told that a listener closes, and reports whether the connection goes
// on nevertheless: early ones of it do.
func (t *TCP) fastOrphan(l *TCP) bool {
	if !t.early() || t.cold.fast.listener != l {
		return false
	}
	if t.state == StateSynRcvd {
		t.leaveHalfOpen()
	} else {
		t.leaveBacklog()
	}
	t.cold.fast.listener = nil
	return true
}
