package netconn

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// copyLimit is up to how many bytes written are copied into the stack's last
// segment, if that has not left yet, rather than becoming a segment of their
// own.
const copyLimit = 256

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
	if h.unacked == h.mark {
		pcb.Abort()
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
	h.sndBuf = pcb.SndBuf()
	a.snd, a.mss, a.window = h.sndBuf, pcb.MSS(), int(pcb.Info().RcvWnd)
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

// request does what the application asks for.
func (c *TCPConn) request(s *side, m *message) {
	h := &c.sh
	switch m.op {
	case opWrite:
		c.write1(s, m.p, m.last)
	case opRecved:
		s.taken(m.p)
		h.unread -= int(m.n)
		if h.pcb != nil && m.n != 0 {
			h.pcb.Recved(int(m.n))
		}
	case opConnect:
		c.connect(s)
	case opAccepted:
		c.leaveQueue()
	case opCredit:
		h.asked = true
		if h.reportable() {
			c.soon()
		}
	case opShutdown:
		h.shutdown = true
		if h.pcb != nil && h.pending.Empty() {
			_ = h.pcb.Shutdown(false, true) // ErrConn: it is closing anyway
		}
	case opDiscard:
		h.discard = true
		for p := h.rx.Pop(); p != nil; p = h.rx.Pop() {
			n := p.TotLen()
			p.Free()
			h.unread -= n
			if h.pcb != nil {
				h.pcb.Recved(n)
			}
		}
	case opClose:
		c.close(s, m.last)
	}
}

// leaveQueue: a connection from a listener has been accepted or closed.
func (c *TCPConn) leaveQueue() {
	h := &c.sh
	if c.part == nil || h.accepted {
		return
	}
	h.accepted = true
	c.part.waiting--
	if h.pcb != nil {
		h.pcb.BacklogAccepted()
	}
}

// write1 queues a packet for sending. It owns p.
func (c *TCPConn) write1(s *side, p *pbuf.Pbuf, last bool) {
	h := &c.sh
	if h.pcb == nil || h.closed || h.shutdown {
		p.Free()
		return
	}
	if !h.pending.Empty() {
		h.pending.Push(p)
		return
	}
	if !c.queue(p, last) {
		h.pending.Push(p)
		c.stall(s)
		return
	}
	if last {
		_ = h.pcb.Output() // what can't leave now leaves by a timer
	}
}

// queue gives p to the stack; false: it has no buffer for that.
func (c *TCPConn) queue(p *pbuf.Pbuf, last bool) bool {
	h := &c.sh
	n := p.TotLen()
	flags := stack.WriteMore
	if last {
		flags = 0
	}
	var err error
	if n <= copyLimit && p.Next() == nil {
		if err = h.pcb.Write(p.Payload(), flags); err == nil {
			p.Free()
		}
	} else {
		err = h.pcb.WritePbuf(p, flags)
	}
	switch {
	case err == nil:
		h.unacked += n
	case errors.Is(err, stack.ErrMem):
		return false
	default: // it sends no more
		p.Free()
	}
	return true
}

func (c *TCPConn) stall(s *side) {
	if !c.sh.stalled {
		c.sh.stalled = true
		s.stalled = append(s.stalled, c)
	}
}

// sendPending tries again to queue what the stack had no buffers for.
func (c *TCPConn) sendPending(s *side) {
	h := &c.sh
	if h.pcb == nil {
		h.pending.FreeAll()
		return
	}
	for p := h.pending.Pop(); p != nil; p = h.pending.Pop() {
		if !c.queue(p, h.pending.Empty()) {
			h.pending.PushFront(p)
			c.stall(s)
			break
		}
	}
	if h.pcb == nil {
		return
	}
	_ = h.pcb.Output()
	switch {
	case h.pcb == nil || !h.pending.Empty():
	case h.closed:
		c.lingerOrClose()
	case h.shutdown:
		_ = h.pcb.Shutdown(false, true)
	}
}

// close ends the connection for the application. As long as there is something
// to send we keep the PCB, so that Net.Close finds it.
func (c *TCPConn) close(s *side, reset bool) {
	h := &c.sh
	unread := h.unread > 0
	h.closed = true
	c.leaveQueue()
	h.rx.FreeAll()
	if h.pcb == nil {
		c.release()
		return
	}
	if (reset || unread || s.stop) && h.pcb.State() != stack.StateTimeWait {
		h.pcb.Abort()
		return
	}
	if h.pending.Empty() {
		c.lingerOrClose()
	}
}

// lingerOrClose sends FIN, and closes the PCB as soon as all data is
// acknowledged.
func (c *TCPConn) lingerOrClose() {
	h := &c.sh
	if h.unacked == 0 {
		c.closeWhenSent()
		return
	}
	h.mark = h.unacked
	h.pcb.SetPoll(tcpLinger, time.Duration(c.lane.side.linger))
	_ = h.pcb.Shutdown(false, true)
}

func (c *TCPConn) closeWhenSent() {
	h := &c.sh
	if h.unacked > 0 || !h.pending.Empty() || h.pcb == nil {
		return
	}
	pcb := h.pcb
	c.release()
	_ = pcb.Close() // it can't fail
}
