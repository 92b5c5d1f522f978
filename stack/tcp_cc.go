package stack

import "github.com/shardstack/shardstack/header"

// Congestion is the window of a connection in bytes (RFC 5681 2), which its
// controller steers.
type Congestion struct {
	Cwnd     uint32 // congestion window
	Ssthresh uint32 // slow start threshold
	MSS      uint32 // SMSS
	state    uint32 // number of the built-in controller's ccState, 0: none yet
}

// AckSample is what an acknowledgement says of the path. Bytes are sequence
// space; a segment that the peer has selectively acknowledged is delivered.
type AckSample struct {
	Now          int64      // the clock, ns
	RTT          int64      // round trip of a segment acknowledged now, ns; 0: no sample
	SRTT         int64      // smoothed round trip (RFC 6298), ns; 0: none yet
	Una, Nxt     header.Seq // SND.UNA now, and the highest sequence number sent
	Acked        uint32     // bytes newly acknowledged in order
	Delivered    uint32     // bytes that newly arrived: in order or not, each once
	Lost         uint32     // bytes newly marked lost
	ECE          uint32     // of Delivered, bytes that the peer reports as marked CE
	FlightSize   uint32     // sent and not acknowledged in order before (RFC 5681 2)
	FlightBefore uint32     // bytes in flight before: sent, neither delivered nor lost
	Flight       uint32     // and after this acknowledgement
	Recovery     bool       // fast recovery was under way when it came
	Reduced      bool       // CongestionECN has reduced the window less than a round trip ago
	Repaired     uint32     // with CongestionRecovered: bytes that recovery had to send again, each once
	AfterTimeout bool       // what a timeout has sent again was being acknowledged
	CwndLimited  bool       // with CongestionTraits.Rate: the window has held data back within a round trip
	// MarkAppLimited is for the controller to set: rate samples of what is sent
	// until this flight is delivered count as limited by the application.
	MarkAppLimited bool
	// Rate is the delivery rate sample; nil without CongestionTraits.Rate. It is
	// valid during the call only.
	Rate *RateSample
}

// CongestionEvent is something that happened to a connection besides an ACK.
type CongestionEvent uint8

// The events.
const (
	// CongestionLoss: loss was detected, recovery begins. The controller sets
	// Ssthresh (RFC 5681 eq. 4); unless it OwnsRecovery, the stack sets Cwnd.
	CongestionLoss CongestionEvent = iota
	// CongestionTimeout: the retransmission timer ran out, for the first time
	// for this segment. The controller sets Cwnd and Ssthresh.
	CongestionTimeout
	// CongestionBackoff: the timer ran out again for the same segment.
	CongestionBackoff
	// CongestionSpurious: what the latest CongestionLoss or CongestionTimeout
	// reported was none; the controller takes its answer back (RFC 4015).
	CongestionSpurious
	// CongestionECN: the peer reports that a packet was marked CE (RFC 3168
	// 6.1.2), at most once a round trip, and there is no recovery: the
	// controller sets Cwnd and Ssthresh.
	CongestionECN
	// CongestionIdle: something is about to be sent while nothing is in flight.
	CongestionIdle
	// CongestionRecovered: recovery has ended; Cwnd is Ssthresh or below.
	CongestionRecovered
	numCongestionEvents
)

// CongestionTraits say what a controller needs of the stack.
type CongestionTraits struct {
	// OwnsRecovery: the controller sets Cwnd during loss recovery too, so the
	// stack leaves it alone.
	OwnsRecovery bool
	// Rate: AckSample.Rate is wanted.
	Rate bool
	// PreciseECN: connections ask for ECN, and echo each mark (RFC 8257 3.2).
	PreciseECN bool
}

// CongestionControl decides how much may be in flight. The stack calls it on
// its thread, with the connection's window and the acknowledgement in work; it
// keeps neither pointer.
type CongestionControl interface {
	// Name is the controller's name, as in TCPConfig.Congestion.
	Name() string
	// Traits is asked once, when the controller is put to a connection.
	Traits() CongestionTraits
	// Init begins a connection, or takes over one that runs: c is valid.
	Init(c *Congestion, now int64)
	// OnAck takes an acknowledgement of something new, in recovery as well.
	OnAck(c *Congestion, a *AckSample)
	// OnEvent takes an event; of a, Now and the flights are valid outside of an
	// acknowledgement.
	OnEvent(c *Congestion, e CongestionEvent, a *AckSample)
}

// initialWindow is that of RFC 6928, by the formula there, for an MSS and a
// number of segments.
func initialWindow(mss uint32, iw int) uint32 {
	return min(uint32(iw)*mss, max(2*mss, uint32(iw)*1460))
}

// ssthreshNone is a threshold beyond every window: no loss was seen yet.
const ssthreshNone = 1 << 30

// The sender calls segSent for each segment that goes out. It begins an ACK with
// ackSample, calls segDelivered and segLost for each segment concerned, ccEvent
// for what that means, and last ccAck, for an ACK that delivers something, in
// order or not; then it sends what ccAck, paceHolds and paceRoom allow. The stack's
// own controllers are called without an interface, so that the common case is a
// direct call.

// ackSample is the sample of the ACK in work, for the sender to fill in. It has
// the clock, and what is in flight as far as in-order acknowledgements say.
func (t *TCP) ackSample() *AckSample {
	a := &t.s.tcp.ack
	flight := t.sndMax.Sub(t.sndUna)
	// One by one, as a literal would be made elsewhere and copied; what only
	// ccAckSlow sets is left to it.
	a.Now, a.RTT = t.s.now, 0
	a.Acked, a.Delivered, a.Lost = 0, 0, 0
	a.FlightSize, a.FlightBefore, a.Flight = flight, flight, flight
	a.Recovery, a.AfterTimeout = t.flags&tfRecovery != 0, t.flags&tfRTO != 0
	return a
}

// ccUnused reports whether an acknowledgement of all before ack says nothing to
// the controller, which is so for nearly all: less than half of the window is
// used, and there is no state for it, or none that is concerned.
func (t *TCP) ccUnused(ack header.Seq) bool {
	c := &t.cc
	if t.flags&(tfOwnCC|tfECN|tfRecovery) != 0 || t.sndMax.Sub(t.sndUna) >= c.Cwnd/2 {
		return false
	}
	if c.state == 0 {
		return true
	}
	st := t.ccState()
	return st.cubic.epoch == 0 && st.use.inRound(c, ack, ack.Sub(t.sndUna))
}

// ccAck tells the controller of an acknowledgement of something new.
func (t *TCP) ccAck(a *AckSample) {
	c := &t.cc
	if c.state|uint32(t.flags&(tfOwnCC|tfECN)) == 0 && !a.Recovery { // nearly all connections
		if a.FlightSize < c.Cwnd/2 || a.Acked == 0 { // RFC 3042 2: duplicates leave the window alone
			return
		}
		if c.Cwnd < min(stateFrom*c.MSS, c.Ssthresh) {
			slowStart(c, a, kindL[t.ccKind])
			return
		}
	}
	t.ccAckSlow(a)
}

// ccAckSlow is ccAck for a connection that has a part or a state for it, or
// needs one now.
func (t *TCP) ccAckSlow(a *AckSample) {
	a.Una, a.Nxt, a.SRTT = t.sndUna, t.sndMax, int64(t.rtt.srtt8)*125
	a.ECE, a.CwndLimited, a.MarkAppLimited = 0, false, false
	a.Reduced = t.flags&tfECN != 0 && t.ecnAck(a)
	if t.flags&tfOwnCC != 0 && t.ownAck(a) || a.Recovery || a.Reduced {
		return // in recovery the sender sets the window
	}
	c, st := &t.cc, t.ccState()
	used := st.use.ack(c, a)
	switch {
	case a.Acked == 0: // RFC 5681 3.1, RFC 3042 2: only what is acknowledged in order opens the window
	case !used || c.Cwnd >= cwndMax:
		st.cubic.skip(a.Now)
		st.use.expire(c, a.Now, t.initialWindow())
	case c.Cwnd < c.Ssthresh:
		if t.ccKind == ccCubic && c.Ssthresh == ssthreshNone {
			hystartAck(c, st, a)
			return
		}
		slowStart(c, a, kindL[t.ccKind])
	case t.ccKind == ccReno:
		renoAvoid(c, st, a)
	default:
		cubicAvoid(c, &st.cubic, a)
	}
}

// ccEvent tells the controller of an event; a is the sample of the ACK in work
// or, outside of one, a new ackSample.
func (t *TCP) ccEvent(e CongestionEvent, a *AckSample) {
	if t.state < StateEstablished { // no state for those who may never come
		return
	}
	fresh := t.flags&tfECN == 0 || t.ecnEvent(e)
	if t.flags&tfOwnCC != 0 && t.ownEvent(e, a) || !fresh {
		return
	}
	if t.ccKind == ccReno {
		renoEvent(&t.cc, t.ccState(), e, a)
	} else {
		cubicEvent(&t.cc, t.ccState(), e, a)
	}
}

// ccStart is called before something is sent while nothing is in flight, if there
// is a controller's part or a state.
func (t *TCP) ccStart() {
	a := t.ackSample()
	if t.flags&tfOwnCC != 0 && t.ownEvent(CongestionIdle, a) || t.cc.state == 0 {
		return
	}
	st := t.ccState()
	st.cubic.skip(a.Now)
	st.use.expire(&t.cc, a.Now, t.initialWindow())
}

// ccOwnsRecovery reports whether the controller sets the window in recovery.
func (t *TCP) ccOwnsRecovery() bool {
	return t.flags&tfOwnCC != 0 && t.cold.own.traits.OwnsRecovery
}
