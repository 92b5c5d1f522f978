package netconn

import (
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// reportPart is the part of the send buffer that must be acknowledged before
// the writer is told, unless there is something else to tell.
const reportPart = 8

// tcpShard is the shard's half of a connection; its thread's alone, but for
// sndBuf and err, which are set once before the event that says so.
type tcpShard struct {
	pcb     *stack.TCP // nil: not open yet, or gone
	rx      pbuf.Queue // received, not told yet
	pending pbuf.Queue // written, but the stack had no buffer for it
	index   int        // in side.all
	acked   int        // bytes acknowledged, not told yet
	unacked int        // bytes written and not acknowledged
	unread  int        // bytes received that the application has not taken
	sndBuf  int        // the stack's send buffer
	mark    int        // unacked at the last look of the linger timer
	until   int64      // when lingering ends, whatever was acknowledged; 0: see mark
	err     error

	held        bool // in side.all
	dirty       bool // in side.dirty
	stalled     bool // in side.stalled
	established bool
	opening     bool // evOpened or evAccept is to be told
	fin         bool // evFin is to be told
	failing     bool // evErr is to be told
	asked       bool // the writer waits for any acknowledgement
	discard     bool // drop what is received
	shutdown    bool // FIN behind what is pending
	accepted    bool // it is not in a listener's queue any more
	closed      bool // the application has let go
}

// The callbacks of the stack. arg is the connection.
func tcpConnected(arg any, _ *stack.TCP, _ error) error {
	c := arg.(*TCPConn)
	c.opened()
	return nil
}

func tcpRecv(arg any, _ *stack.TCP, p *pbuf.Pbuf, _ error) error {
	arg.(*TCPConn).received(p)
	return nil
}

func tcpSent(arg any, _ *stack.TCP, n int) error {
	arg.(*TCPConn).sent(n)
	return nil
}

func tcpErr(arg any, err error) { arg.(*TCPConn).failed(err) }

func tcpLinger(arg any, pcb *stack.TCP) error {
	c := arg.(*TCPConn)
	h := &c.sh
	if h.until != 0 || h.unacked == h.mark {
		pcb.Abort()
		return nil
	}
	h.mark = h.unacked
	return nil
}

// adopt takes charge of a PCB.
func (c *TCPConn) adopt(pcb *stack.TCP) {
	s := c.lane.side
	c.sh.pcb = pcb
	c.sh.held = true
	s.hold(c)
	pcb.SetArg(c)
	pcb.SetRecv(tcpRecv)
	pcb.SetSent(tcpSent)
	pcb.SetErr(tcpErr)
	pcb.SetNoDelay(true) // as package net does
}

// release lets go of the PCB, which is closed or gone.
func (c *TCPConn) release() {
	h := &c.sh
	h.pcb = nil
	h.rx.FreeAll()
	h.pending.FreeAll()
	if h.held {
		h.held = false
		c.lane.side.drop(c)
	}
}

// soon has flush called at the end of the round.
func (c *TCPConn) soon() {
	if !c.sh.dirty {
		c.sh.dirty = true
		c.lane.side.mark(c)
	}
}

// opened: the connection is established. What the application asks of it is
// noted where it finds it after the event.
func (c *TCPConn) opened() {
	h, a := &c.sh, &c.app
	pcb := h.pcb
	c.local, c.remote = pcb.LocalAddr(), pcb.RemoteAddr()
	h.sndBuf = pcb.SndBuf() + h.unacked // what went with the SYN, or waits behind it
	a.snd, a.mss, a.window = h.sndBuf-h.unacked, pcb.MSS(), int(pcb.Info().RcvWnd)
	h.established, h.opening = true, true
	c.soon()
}

func (c *TCPConn) received(p *pbuf.Pbuf) {
	h := &c.sh
	switch {
	case p == nil:
		h.fin = true
		c.soon()
	case h.closed:
		// RFC 1122 4.2.2.13: data for a user who is gone is answered by RST.
		p.Free()
		h.pcb.Abort()
	case h.discard:
		n := p.TotLen()
		p.Free()
		h.pcb.Recved(n)
	default:
		h.unread += p.TotLen()
		h.rx.Push(p)
		c.soon()
	}
}

func (c *TCPConn) sent(n int) {
	h := &c.sh
	h.acked += n
	h.unacked -= n
	if h.asked && !h.closed { // the writer waits: is it the buffer that holds it back?
		h.acked += h.pcb.TuneSndBuf()
	}
	if h.closed {
		c.closeWhenSent()
	} else if h.reportable() {
		c.soon()
	}
}

// reportable says whether the writer is to be told what was acknowledged.
func (h *tcpShard) reportable() bool {
	return h.acked > 0 && (h.asked || h.acked*reportPart >= h.sndBuf)
}

// failed: the PCB is gone. ErrClosed is the orderly end, of which both sides
// have heard.
func (c *TCPConn) failed(err error) {
	h := &c.sh
	h.pcb = nil
	switch {
	case h.closed:
		c.release()
		return
	case c.lane.side.stop:
		h.err = net.ErrClosed
	case errors.Is(err, stack.ErrClosed):
		h.err = os.NewSyscallError("write", syscall.EPIPE)
	case !h.established:
		h.err = sysError("connect", err)
	default:
		h.err = sysError("read", err)
	}
	h.failing = true
	c.soon()
}

// flush tells the application what has happened, as far as there is room.
func (c *TCPConn) flush(s *side) bool {
	h := &c.sh
	if h.closed {
		h.dirty = false
		return true
	}
	if s.room == 0 {
		return false
	}
	if h.opening {
		h.opening = false
		ev := evOpened
		if c.part != nil {
			ev = evAccept
		}
		s.emit(message{to: c, op: ev})
	}
	for p := h.rx.Pop(); p != nil; p = h.rx.Pop() {
		if s.room == 0 {
			h.rx.PushFront(p)
			return false
		}
		q := s.export(p)
		if q == nil {
			h.rx.PushFront(p)
			return false
		}
		s.emit(message{to: c, p: q, n: uint32(h.acked), op: evData})
		h.asked = h.asked && h.acked == 0
		h.acked = 0
	}
	if h.reportable() {
		if s.room == 0 {
			return false
		}
		s.emit(message{to: c, n: uint32(h.acked), op: evSent})
		h.acked, h.asked = 0, false
	}
	if h.fin {
		if s.room == 0 {
			return false
		}
		s.emit(message{to: c, op: evFin})
		h.fin = false
	}
	if h.failing {
		if s.room == 0 {
			return false
		}
		s.emit(message{to: c, op: evErr})
		h.failing = false
		c.release()
	}
	h.dirty = false
	return true
}
