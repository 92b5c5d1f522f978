package netconn

import (
	"errors"
	"time"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// copyLimit is up to how many bytes written are copied into the stack's last
// segment, if that has not left yet, rather than becoming a segment of their
// own.
const copyLimit = 256

// request does what the application asks for.
func (c *TCPConn) request(s *side, m *message) {
	h := &c.sh
	switch m.op {
	case opWrite:
		c.enqueue(s, m.p, m.last)
	case opRecved:
		s.taken(m.p)
		h.unread -= int(m.n)
		if h.pcb != nil && m.n != 0 {
			h.pcb.Recved(int(m.n))
		}
	case opConnect:
		c.connect(s, m.p)
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
		c.close(s, m.last, m.n)
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

// enqueue queues a packet for sending. It owns p.
func (c *TCPConn) enqueue(s *side, p *pbuf.Pbuf, last bool) {
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
// to send we keep the PCB, so that Net.Close finds it. linger is the time for that
// in seconds, 0: Config.Linger without progress.
func (c *TCPConn) close(s *side, reset bool, linger uint32) {
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
	if linger != 0 {
		h.until = s.st.Now() + int64(linger)*int64(time.Second)
		h.pcb.SetLinger(time.Duration(linger) * time.Second)
		h.pcb.SetPoll(tcpLinger, time.Duration(linger)*time.Second)
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
	if h.mark = h.unacked; h.until == 0 {
		h.pcb.SetPoll(tcpLinger, time.Duration(c.lane.side.linger))
	}
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
