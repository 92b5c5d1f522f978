package stack

// What a stranger can make TCP send is limited, so that a flood of forged
// segments is answered by a trickle, and what we send tells the forger little.

// rateLimit lets so many events through in each second.
type rateLimit struct {
	until int64 // end of the second
	left  int
}

// allow takes one of perSecond events. jitter adds a random share of up to as
// many again and takes half away: who counts our answers to somebody else's
// segments can't tell whether they have used up the limit (CVE-2016-5696).
func (l *rateLimit) allow(s *Stack, perSecond int, jitter bool) bool {
	if perSecond < 0 {
		return true
	}
	if s.now >= l.until {
		l.until, l.left = s.now+1e9, perSecond
		if jitter {
			l.left = perSecond/2 + int(s.rng.below(uint32(perSecond)+1))
		}
	}
	if l.left <= 0 {
		return false
	}
	l.left--
	return true
}

// tcpLimits are the limits of a stack's TCP.
type tcpLimits struct {
	challenge rateLimit // RFC 5961 7
	reset     rateLimit
}

// challengeAck answers a segment that may be forged, and that a peer who means
// it will repeat with the right numbers (RFC 5961 3.2, 4.2, 5.2): by an ACK of
// what we expect, as far as the limits allow: the connection's, so that one does
// not use up all of the stack's and two confused ends make no storm, and the
// stack's (RFC 5961 7, 10).
func (t *TCP) challengeAck() {
	s := t.s
	if every := int64(s.cfg.TCP.ChallengeInterval); every > 0 {
		c := t.coldPart()
		if s.now < c.challengeAt {
			s.stats.TCP.ChallengeAcksConn++
			return
		}
		c.challengeAt = s.now + every
	}
	if !s.tcp.limits.challenge.allow(s, s.cfg.TCP.ChallengeAcks, true) {
		s.stats.TCP.ChallengeAcksLimited++
		return
	}
	s.stats.TCP.ChallengeAcks++
	t.flags |= tfAckNow
}

// resetAllowed says whether a segment that belongs to nobody is answered with
// RST.
func (s *Stack) resetAllowed() bool {
	if s.tcp.limits.reset.allow(s, s.cfg.TCP.ResetRate, false) {
		return true
	}
	s.stats.TCP.RstsLimited++
	return false
}

// The budget for segments out of order counts buffers, not bytes: a forger, or
// an unlucky peer, can put one byte into each.

// oooRoom reports whether a segment of the given buffers may wait out of order:
// within the stack's budget, and within twice as many segments as the
// connection's bytes would fill if they were full.
func (t *TCP) oooRoom(buffers int) bool {
	s := t.s
	if (s.tcp.oooBufs+buffers)*oooUnit > s.cfg.TCP.OutOfOrderMem {
		s.stats.TCP.OutOfOrderMem++
		return false
	}
	if t.ooseq.Len() >= max(64, 2*min(s.cfg.TCP.MaxOutOfOrder, int(t.recvBuf()))/int(t.mss)) {
		s.stats.TCP.OutOfOrderMem++
		return false
	}
	return true
}

// oooUnit is what a buffer counts for in OutOfOrderMem: a standard one.
const oooUnit = 2048
