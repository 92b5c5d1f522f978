package stack

import (
	"github.com/shardstack/shardstack/header"
)

// The checks that every synchronized state makes before it looks at what a
// segment brings: is it ours at all, or old, or forged?

// checkSynchronized makes the first four checks of RFC 9293 3.10.7.4:
// sequence number (with PAWS before it, RFC 7323 5.3), RST, SYN, ACK bit.
// False: the segment is dealt with.
func (t *TCP) checkSynchronized(in *inSegment) bool {
	s := t.s
	rst := in.flags&header.TCPRst != 0
	if t.flags&tfTimestamps != 0 {
		if !in.opts.HasTS && !rst {
			// RFC 7323 3.2: a segment without the option SHOULD be dropped.
			in.reject(s, DropTCPPAWS)
			return false
		}
		if in.opts.HasTS && !rst && t.pawsOld(in) {
			s.stats.TCP.DupSegsIn++
			if in.seqLen() == 0 {
				t.challengeAck()
			} else {
				t.flags |= tfAckNow
			}
			in.reject(s, DropTCPPAWS)
			return false
		}
	}
	if !t.acceptable(in) {
		switch {
		case rst:
		case in.flags&header.TCPSyn != 0: // RFC 5961 4.2: whatever its number
			if !t.fastRepeated(in) {
				t.challengeAck()
			}
		case in.seqLen() == 0:
			t.challengeAck() // limited, so that two confused ends make no storm
		default:
			t.flags |= tfAckNow
			if in.seq.Less(t.rcvNxt) {
				t.sackOld(in.seq, in.seq.Add(in.n))
				s.stats.TCP.DupSegsIn++
			}
		}
		in.reject(s, DropTCPSeq)
		return false
	}
	if rst {
		t.inReset(in)
		return false
	}
	if in.flags&header.TCPSyn != 0 { // RFC 5961 4: challenge ACK
		t.challengeAck()
		in.reject(s, DropTCPState)
		return false
	}
	if in.flags&header.TCPAck == 0 {
		in.reject(s, DropTCPState)
		return false
	}
	t.heard()
	if in.opts.HasUserTimeout {
		t.takeUserTimeout(&in.opts)
	}
	// RFC 7323 4.3 (2). A segment that acknowledges what was never sent will be
	// dropped (RFC 5961 5.2): its timestamp would lock the peer out.
	if t.flags&tfTimestamps != 0 && in.seq.LessEq(t.lastAck) && in.ack.LessEq(t.sndMax) && int32(in.opts.TSVal-t.tsRecent) >= 0 {
		t.tsRecent, t.tsRecentAt = in.opts.TSVal, s.tsNow
	}
	return true
}

// pawsOld reports whether the segment's timestamp is older than the last
// valid one (RFC 7323 5.3), which counts for 24 days (5.5).
func (t *TCP) pawsOld(in *inSegment) bool {
	const days24 = 24 * 24 * 3600 * 1_000_000_000 >> 20
	if int32(in.opts.TSVal-t.tsRecent) >= 0 {
		return false
	}
	if t.s.tsNow-t.tsRecentAt > days24 {
		t.tsRecent, t.tsRecentAt = in.opts.TSVal, t.s.tsNow
		return false
	}
	return true
}

// acceptable is the sequence number test of RFC 9293 3.10.7.4 (table 6).
func (t *TCP) acceptable(in *inSegment) bool {
	wnd := t.rcvAnnEdge.Sub(t.rcvNxt)
	if int32(wnd) < 0 {
		wnd = 0
	}
	n := in.seqLen()
	switch {
	case n == 0 && wnd == 0:
		return in.seq == t.rcvNxt
	case n == 0:
		return in.seq.InWindow(t.rcvNxt, wnd)
	case wnd == 0:
		// Data can't be taken, but its ACK, RST or URG may (3.10.7.4): keep
		// the header of a segment that starts where we are.
		return in.seq == t.rcvNxt
	}
	return in.seq.InWindow(t.rcvNxt, wnd) || in.seq.Add(n-1).InWindow(t.rcvNxt, wnd) ||
		in.seq.Less(t.rcvNxt) && in.seq.Add(n).Greater(t.rcvNxt)
}

// inReset is an RST in the window (RFC 5961 3.2): exactly at rcvNxt it ends
// the connection, elsewhere it is answered with a challenge ACK.
func (t *TCP) inReset(in *inSegment) {
	if in.seq != t.rcvNxt {
		t.challengeAck()
		in.reject(t.s, DropTCPSeq)
		return
	}
	err := ErrReset
	switch t.state {
	case StateSynRcvd: // an active opener's only: a listener's user never saw it
		err = ErrRefused
	case StateClosing, StateLastAck, StateTimeWait:
		err = ErrClosed
	}
	if t.early() {
		err = t.fastReset(err)
	}
	t.abandon(err, false)
}
