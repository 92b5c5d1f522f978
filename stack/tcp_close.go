package stack

import (
	"github.com/shardstack/shardstack/header"
)

// Close ends a connection or listener (tcp_close). What was written is still
// sent, then FIN; the PCB frees itself in the end and must not be used any
// more. Data that was received but not taken (Recved) makes the close a reset
// (RFC 1122 4.2.2.13, RFC 2525 2.17). Close can't fail: when no buffer is left
// for FIN it is sent later.
func (t *TCP) Close() error {
	switch {
	case t.s == nil || t.flags&tfDetached != 0:
		return ErrClosed
	case t.state == StateClosed, t.state == StateSynSent:
		t.free()
		return nil
	case t.state == StateListen:
		t.closeListener()
		return nil
	}
	if t.state == StateEstablished || t.state == StateCloseWait || t.early() {
		if t.refused != nil || t.rcvWnd < t.fullWindow() {
			t.detach()
			t.abandon(nil, true)
			return nil
		}
	}
	linger, bounded := t.lingers()
	if bounded && linger == 0 && t.state != StateTimeWait {
		t.detach()
		t.abandon(nil, true)
		return nil
	}
	t.detach()
	t.flags |= tfRxClosed
	err := t.shutdownSend()
	if bounded && t.s != nil && t.state != StateFinWait2 && t.state != StateTimeWait {
		t.ctlAt = t.s.now + linger
		t.arm(t.ctlAt)
	}
	return err
}

// detach forgets the user.
func (t *TCP) detach() {
	t.flags |= tfDetached
	t.recv, t.sent, t.errFn, t.opened, t.arg = nil, nil, nil, nil, nil
	if t.cold != nil {
		t.cold.poll, t.cold.pollAt = nil, 0
	}
	if t.state == StateSynRcvd {
		t.leaveHalfOpen()
	} else {
		t.leaveBacklog()
	}
	if t.state == StateFinWait2 {
		t.armFinWait2()
	}
}

// Shutdown closes one or both directions (tcp_shutdown). rx: data that comes
// later is answered with a reset; tx: FIN after what was written. Both is
// Close. ErrConn: not connected.
func (t *TCP) Shutdown(rx, tx bool) error {
	if t.s == nil || t.state == StateListen || t.state == StateClosed {
		return ErrConn
	}
	if rx && (tx || t.flags&tfFinQueued != 0) {
		return t.Close()
	}
	if rx {
		t.flags |= tfRxClosed
		if t.refused != nil {
			t.refused.Free()
			t.refused = nil
		}
	}
	if !tx {
		return nil
	}
	switch t.state {
	case StateSynRcvd, StateEstablished, StateCloseWait:
		return t.shutdownSend()
	}
	return ErrConn
}

// shutdownSend queues FIN and changes the state accordingly
// (RFC 9293 3.10.4).
func (t *TCP) shutdownSend() error {
	switch t.state {
	case StateSynRcvd, StateEstablished, StateCloseWait:
	default: // FIN is on its way already
		return nil
	}
	t.endPull()
	if !t.sendFin() {
		t.flags |= tfClosePend
		t.setRtx(t.s.now + int64(t.s.cfg.TCP.MinRTO))
		return nil
	}
	t.finQueued()
	return t.Output()
}

// finQueued changes the state for a FIN of ours in the send queue
// (RFC 9293 3.10.4).
func (t *TCP) finQueued() {
	t.flags = t.flags&^tfClosePend | tfFinQueued
	if t.state == StateCloseWait {
		t.setState(StateLastAck)
	} else {
		t.setState(StateFinWait1)
	}
}

// sendFin puts FIN on the last unsent segment, or on one of its own.
func (t *TCP) sendFin() bool {
	if t.flags&tfFinQueued != 0 {
		return true
	}
	if t.unsent != nil {
		if g := seg(t.sndq.Tail()); g.tx == 0 && g.flags&header.TCPSyn == 0 {
			g.flags |= header.TCPFin
			t.sndLbb = t.sndLbb.Add(1)
			t.flags |= tfFinQueued
			return true
		}
	}
	if !t.queueControl(header.TCPFin) {
		return false
	}
	t.flags |= tfFinQueued
	return true
}

// Abort resets the connection at once (tcp_abort). ErrFunc is called with
// ErrAborted; the PCB is free afterwards.
func (t *TCP) Abort() {
	if t.s == nil {
		return
	}
	if t.state == StateListen {
		t.closeListener()
		return
	}
	t.abandon(ErrAborted, true)
}

// abandon frees the connection (tcp_abandon), telling the peer with RST if
// reset, and the user if err is not nil. Nothing is sent in states in which
// the peer does not know the connection or is through with it
// (RFC 9293 3.10.5).
func (t *TCP) abandon(err error, reset bool) {
	if t.s == nil {
		return
	}
	if reset {
		switch t.state {
		case StateSynRcvd, StateEstablished, StateFinWait1, StateFinWait2, StateCloseWait:
			t.sendEmpty(t.sndMax, header.TCPRst|header.TCPAck)
			t.s.stats.TCP.OutRsts++
		}
	}
	fn, arg := t.errFn, t.arg
	t.free()
	if fn != nil && err != nil {
		fn(arg, err)
	}
}

// closeListener frees a listener and resets its connections that are not
// established yet: nobody is left to accept them (tcp_listen_closed).
func (t *TCP) closeListener() {
	s := t.s
	for id := range s.tcp.used {
		c := s.pcb(id)
		if c.fastOrphan(t) || c.listener != t {
			continue
		}
		if c.state == StateSynRcvd {
			c.abandon(nil, true)
		} else {
			c.leaveBacklog()
		}
	}
	t.free()
}

// armFinWait2 bounds FIN-WAIT-2 once the user has let go: the peer may never
// close.
func (t *TCP) armFinWait2() {
	t.ctlAt = t.s.now + int64(t.s.cfg.TCP.FinWait2)
	t.arm(t.ctlAt)
}
