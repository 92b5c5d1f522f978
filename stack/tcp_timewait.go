package stack

import (
	"github.com/shardstack/shardstack/header"
)

// TIME-WAIT, and how a new connection may take its place.

// inTimeWait: RFC 9293 3.10.7.4 and 3.6.1. A SYN that is certainly new opens the
// connection again; a repeated FIN restarts the 2 MSL; RST is ignored
// (RFC 1337).
func (t *TCP) inTimeWait(in *inSegment) {
	s := t.s
	if in.flags&header.TCPRst != 0 {
		in.reject(s, DropTCPState)
		return
	}
	if in.flags&(header.TCPSyn|header.TCPAck) == header.TCPSyn && t.newIncarnation(in) {
		if l := s.listenerFor(in.dst, in.dport); l != nil {
			s.stats.TCP.TimeWaitReused++
			s.tcp.reopen = reopen{t.sndMax, true}
			t.abandon(ErrClosed, false)
			l.inListen(in)
			s.tcp.reopen = reopen{}
			return
		}
	}
	if in.flags&header.TCPFin != 0 {
		t.enterTimeWait()
		if t.s == nil {
			return
		}
	}
	if in.seqLen() > 0 || in.seq != t.rcvNxt {
		t.flags |= tfAckNow
	}
	in.reject(s, DropTCPState)
}

// newIncarnation says whether a SYN can't be an old duplicate, by the rules of
// RFC 6191 2: a later timestamp, or with the same one or without a later
// sequence number. A connection without timestamps is followed by any with
// them.
func (t *TCP) newIncarnation(in *inSegment) bool {
	had := t.flags&tfTimestamps != 0
	has := in.opts.HasTS && !t.s.cfg.TCP.NoTimestamps
	later := in.seq.Greater(t.rcvNxt)
	switch {
	case had && has:
		d := int32(in.opts.TSVal - t.tsRecent)
		return d > 0 || d == 0 && later
	case has:
		return true
	}
	return later
}

// reopen is from where on a connection is to be numbered that takes the place
// of one in TIME-WAIT: beyond all that its predecessor used (RFC 9293 3.6.1,
// RFC 6191 3).
type reopen struct {
	sndMax header.Seq
	valid  bool
}

// after moves an initial sequence number beyond the predecessor's.
func (r *reopen) after(iss header.Seq) header.Seq {
	if r.valid && iss.LessEq(r.sndMax.Add(1<<16)) {
		return r.sndMax.Add(1 << 16)
	}
	return iss
}

// twReuseTicks is how long ago the peer must have been heard of for Connect to
// take over a connection in TIME-WAIT: over a second, as its timestamp clock
// may tick so slowly (RFC 6191 3, RFC 7323 5.4).
const twReuseTicks = 1_000_000_000>>20 + 1

// reusable reports whether Connect may take the place of a connection: it is in
// TIME-WAIT, nobody holds it, and timestamps tell old segments of it from new
// ones (RFC 1122 4.2.2.13, RFC 6191 3).
func (t *TCP) reusable() bool {
	cfg := &t.s.cfg.TCP
	return cfg.TimeWaitReuse && !cfg.NoTimestamps && t.state == StateTimeWait &&
		t.flags&(tfDetached|tfTimestamps) == tfDetached|tfTimestamps &&
		t.s.tsNow-t.tsRecentAt >= twReuseTicks
}

// takeOver ends a connection in TIME-WAIT whose ends a new one is to have.
func (s *Stack) takeOver(old *TCP) {
	s.stats.TCP.TimeWaitReused++
	s.tcp.reopen = reopen{old.sndMax, true}
	old.free()
}

// enterTimeWait starts or restarts TIME-WAIT (RFC 9293 3.10.7.4). A user who
// has not closed the PCB yet may still do so; when TIME-WAIT ends before that,
// ErrFunc says ErrClosed. Without TIME-WAIT that is at once, but not before the
// user has heard of the peer's FIN and taken the data before it.
func (t *TCP) enterTimeWait() {
	wait := t.timeWait()
	if t.state != StateTimeWait {
		t.dropLoss()
		t.freeQueue()
		t.purgeOOSeq() // what the user refused stays for the user
		t.setState(StateTimeWait)
		t.rtxAt, t.delack = 0, 0
		if wait < 0 && t.refused == nil {
			t.flushAck()
			t.tellFin()
			t.abandon(ErrClosed, false)
			return
		}
	}
	if wait < 0 { // the user has refused data: as in FIN-WAIT-2, not for ever
		wait = int64(t.s.cfg.TCP.FinWait2)
	}
	t.ctlAt = t.s.now + wait
	t.arm(t.ctlAt)
}
