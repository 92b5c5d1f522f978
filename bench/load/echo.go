package load

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// echoConn is an echo connection whose send buffer was full at some time.
type echoConn struct {
	wait *pbuf.Pbuf // received, to be sent back
	eof  bool       // the peer has closed
}

func (sv *Server) acceptEcho(_ any, pcb *stack.TCP, _ error) error {
	sv.n.Opened++
	pcb.SetRecv(sv.cb.recvEcho)
	pcb.SetErr(sv.cb.errEcho)
	return nil
}

// recvEcho sends back what it gets, the same buffers. What does not fit the
// send buffer waits, and counts against the window until it went.
func (sv *Server) recvEcho(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	e, _ := arg.(*echoConn)
	if p == nil {
		if e != nil && e.wait != nil {
			e.eof = true
			return nil
		}
		sv.endEcho(e, pcb)
		return nil
	}
	if e == nil || e.wait == nil {
		if sv.sendEcho(pcb, p) {
			return nil
		}
	}
	if e == nil {
		e = sv.newEcho()
		pcb.SetArg(e)
		pcb.SetSent(sv.cb.sentEcho)
	}
	if e.wait == nil {
		e.wait = p
		pcb.SetPoll(sv.cb.pollEcho, retryPoll) // for want of buffers, not of window
	} else {
		e.wait.Cat(p)
	}
	return nil
}

// sendEcho queues p; false: it does not fit.
func (sv *Server) sendEcho(pcb *stack.TCP, p *pbuf.Pbuf) bool {
	n := p.TotLen()
	if pcb.WritePbuf(p, 0) != nil {
		return false
	}
	pcb.Recved(n)
	sv.n.Ops++
	sv.n.BytesIn += uint64(n)
	sv.n.BytesOut += uint64(n)
	return true
}

// sentEcho sends what waits, as far as it fits.
func (sv *Server) sentEcho(arg any, pcb *stack.TCP, _ int) error {
	e := arg.(*echoConn)
	if e.wait == nil {
		return nil
	}
	for p := e.wait; p != nil; p = e.wait {
		n := min(p.TotLen(), pcb.SndBuf())
		if n == 0 || n < p.TotLen() && n < pcb.MSS() {
			return nil
		}
		rest := (*pbuf.Pbuf)(nil)
		if n < p.TotLen() {
			if rest = p.Split(n); rest == nil {
				return nil // no buffer; the next acknowledgement tries again
			}
		}
		if !sv.sendEcho(pcb, p) {
			if rest != nil {
				p.Cat(rest)
			}
			return nil
		}
		e.wait = rest
	}
	pcb.SetPoll(nil, 0)
	if e.eof {
		sv.endEcho(e, pcb)
	}
	return nil
}

func (sv *Server) pollEcho(arg any, pcb *stack.TCP) error { return sv.sentEcho(arg, pcb, 0) }

func (sv *Server) endEcho(e *echoConn, pcb *stack.TCP) {
	sv.n.Closed++
	sv.putEcho(e)
	pcb.SetErr(nil)
	_ = pcb.Close()
}

func (sv *Server) onErrEcho(arg any, err error) {
	e, _ := arg.(*echoConn)
	sv.putEcho(e)
	sv.onErr(nil, err)
}

func (sv *Server) newEcho() *echoConn {
	if k := len(sv.freeEcho); k > 0 {
		e := sv.freeEcho[k-1]
		sv.freeEcho = sv.freeEcho[:k-1]
		return e
	}
	return new(echoConn)
}

func (sv *Server) putEcho(e *echoConn) {
	if e == nil {
		return
	}
	if e.wait != nil {
		e.wait.Free()
	}
	*e = echoConn{}
	sv.freeEcho = append(sv.freeEcho, e)
}
