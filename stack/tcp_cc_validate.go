package stack

import "github.com/shardstack/shardstack/header"

// Congestion window validation (RFC 7661): a window that the application does not
// use says nothing about the path. It neither grows nor, for some minutes,
// shrinks; so there is no slow start after idling (RFC 5681 4.1 is replaced).

// nonValidated is how long an unused window is kept (RFC 7661 4.4, the NVP), ns.
const nonValidated = 5 * 60 * 1_000_000_000

// pipePeriod is the least sampling period of pipeACK (4.2), ns.
const pipePeriod = 1_000_000_000

// windowUse measures how much of the window is used.
type windowUse struct {
	roundEnd header.Seq // the sample in work ends when this is acknowledged
	acked    uint32     // bytes acknowledged in it
	pipe     uint32     // largest sample of this half of the sampling period
	pipeOld  uint32     // and of the half before
	halfAt   int64      // when this half began
	usedAt   int64      // when the window was last used; 0: never looked
	begun    bool       // roundEnd is valid
	unknown  bool       // pipeACK is undefined (4.4.1): the window counts as used
	loss     uint32     // what a reduction in the non-validated phase started from, 0: it was none
}

// pipeACK is how many bytes a round trip carries (4.2).
func (u *windowUse) pipeACK() uint32 { return max(u.pipe, u.pipeOld) }

// ack takes an acknowledgement and reports whether the window is in use: at
// least half of it (4.3, the validated phase).
func (u *windowUse) ack(c *Congestion, a *AckSample) bool {
	if !u.begun {
		*u = windowUse{roundEnd: a.Nxt, halfAt: a.Now, usedAt: a.Now, begun: true, unknown: u.unknown, loss: u.loss}
	} else {
		u.acked += a.Acked
	}
	if a.Una.GreaterEq(u.roundEnd) {
		if half := max(3*a.SRTT, pipePeriod) / 2; a.Now-u.halfAt > half {
			u.pipeOld, u.pipe, u.halfAt = u.pipe, 0, a.Now
		}
		u.pipe = max(u.pipe, u.acked)
		u.roundEnd, u.acked, u.unknown = a.Nxt, 0, u.unknown && u.acked == 0
	}
	if !u.unknown && a.FlightSize < c.Cwnd/2 && u.pipeACK() < c.Cwnd/2 {
		return false
	}
	u.usedAt = a.Now
	return true
}

// inRound does what ack would, if that is no more than to count: no round ends
// with una, and less than half of the window is in flight, as it was.
func (u *windowUse) inRound(c *Congestion, una header.Seq, acked uint32) bool {
	if !u.begun || u.unknown || una.GreaterEq(u.roundEnd) || u.pipeACK() >= c.Cwnd/2 {
		return false
	}
	u.acked += acked
	return true
}

// base is the window that a reduction starts from: what is used of it (4.4.1).
func (u *windowUse) base(c *Congestion, a *AckSample) uint32 {
	n := min(c.Cwnd, max(a.FlightSize, u.pipeACK()))
	if u.loss = 0; n < c.Cwnd/2 && !u.unknown {
		u.loss = n
	}
	return n
}

// recovered ends a recovery that began in the non-validated phase: what had to be
// sent again is what the path could not take, and goes before the window is reduced
// (4.4.1). The result is what the reduction starts from, 0: it stays as it is.
func (u *windowUse) recovered(a *AckSample) uint32 {
	if u.loss == 0 {
		return 0
	}
	n := u.loss - min(u.loss, a.Repaired)
	*u = windowUse{usedAt: a.Now, unknown: true}
	return max(n, 1)
}

// expire ends the preservation of a window that was not used for five minutes
// (4.4.2): half of it goes, never below the initial window iw.
func (u *windowUse) expire(c *Congestion, now int64, iw uint32) {
	if u.usedAt == 0 || now-u.usedAt < nonValidated {
		return
	}
	u.usedAt = now
	c.Ssthresh = max(c.Ssthresh, c.Cwnd/4*3)
	c.Cwnd = max(c.Cwnd/2, min(c.Cwnd, iw))
}
