package stack

import "github.com/shardstack/shardstack/header"

// A connection with a controller behind the interface, or a pacing rate, has a
// part for that, from a free list of the stack; tfOwnCC says so. All others pay
// a test of that flag.

// ownCC is that part.
type ownCC struct {
	ctl    CongestionControl // nil: the stack's own
	paces  CongestionPacer   // ctl, if it is one
	losses CongestionLosses  // ctl, if it is one
	traits CongestionTraits
	stacks bool // ctl is of the stack's ccKind
	// With traits.Rate: the window was full when limitedAt was the end of what
	// was sent.
	limited   bool
	limitedAt header.Seq
	rate      rateSampler
	pace      pacer
}

// CongestionPacer is a controller that has the connection's segments paced.
type CongestionPacer interface {
	// PacingRate is asked after each call of the controller: bytes/s, 0 for no
	// pacing.
	PacingRate() uint64
}

// CongestionLosses is a controller that wants to hear of each segment that is
// marked lost. OnLost comes before the OnEvent and OnAck of the same ACK.
type CongestionLosses interface {
	OnLost(c *Congestion, l *LostSegment)
}

// LostSegment is what is known of a segment that was marked lost, wholly or in
// part. All but Now and Bytes need CongestionTraits.Rate.
type LostSegment struct {
	Now        int64
	Seq        header.Seq // of the segment
	Bytes      uint32     // marked lost now
	InFlight   uint32     // bytes in flight when it had been sent, itself included
	Lost       uint32     // bytes lost since it was sent, itself included
	Prior      uint32     // bytes that the connection had delivered then (RateSample.Prior)
	AppLimited bool
}

// own returns the part, making it at first use.
func (t *TCP) own() *ownCC {
	c := t.coldPart()
	if c.own == nil {
		c.own = t.s.tcp.owns.get()
		t.flags |= tfOwnCC
	}
	return c.own
}

// dropOwn takes the part off a connection.
func (t *TCP) dropOwn() {
	if t.flags&tfOwnCC == 0 {
		return
	}
	t.dropController()
	t.s.tcp.owns.put(t.cold.own)
	t.cold.own = nil
	t.flags &^= tfOwnCC
}

// SetMaxPacingRate bounds the rate at which the connection sends, in bytes of
// payload a second, whatever its controller (SO_MAX_PACING_RATE); 0: no bound.
func (t *TCP) SetMaxPacingRate(rate uint64) {
	if t.s == nil || rate == 0 && t.flags&tfOwnCC == 0 {
		return
	}
	o := t.own()
	o.pace.cap = rate
	o.setPace()
	_ = t.Output()
}

func (o *ownCC) setPace() {
	rate := uint64(0)
	if o.paces != nil {
		rate = o.paces.PacingRate()
	}
	o.pace.set(rate)
}

// inFlight is how many bytes are in flight (RFC 6675 calls it pipe).
func (t *TCP) inFlight() uint32 {
	n := t.sndMax.Sub(t.sndUna)
	if t.flags&tfLoss != 0 {
		n = t.cold.loss.pipe(n)
	}
	return n
}

// segSent is told that g goes out, before it counts as in flight.
func (t *TCP) segSent(g *tcpSeg) {
	if t.flags&tfOwnCC != 0 {
		t.ownSent(g)
	}
}

func (t *TCP) ownSent(g *tcpSeg) {
	o := t.cold.own
	if o.traits.Rate {
		o.rate.sent(g, t.inFlight(), t.s.now)
	}
	o.pace.spend(g.n, t.s.now)
}

// segDelivered is told that n bytes of g arrived: acknowledged in order now, or
// selectively, but only once.
func (t *TCP) segDelivered(g *tcpSeg, n uint32) {
	if t.flags&tfOwnCC != 0 && t.cold.own.traits.Rate && g.tx != 0 {
		t.cold.own.rate.take(g, n, t.s.now)
		if t.flags&tfMeter != 0 {
			t.cold.meter.deliver(t, g, n, n == g.seqLen())
		}
	}
}

// segAcked is segDelivered for what ack, beyond sndUna, covers of g.
func (t *TCP) segAcked(g *tcpSeg, ack header.Seq) {
	if t.flags&tfOwnCC != 0 {
		t.ownAcked(g, ack)
	}
}

func (t *TCP) ownAcked(g *tcpSeg, ack header.Seq) {
	from, to := g.seq, g.end()
	if from.Less(t.sndUna) {
		from = t.sndUna
	}
	if to.Greater(ack) {
		to = ack
	}
	t.segDelivered(g, to.Sub(from))
}

// segLost is told that n bytes of g were marked lost.
func (t *TCP) segLost(g *tcpSeg, n uint32) {
	if t.flags&tfOwnCC == 0 {
		return
	}
	o := t.cold.own
	o.rate.lost += n
	if o.losses == nil {
		return
	}
	l := LostSegment{Now: t.s.now, Seq: g.seq, Bytes: n}
	if o.traits.Rate {
		l.InFlight, l.Lost = g.rate.inFlight, o.rate.lost-g.rate.lost
		l.Prior, l.AppLimited = g.rate.delivered, g.appLimited
	}
	o.losses.OnLost(&t.cc, &l)
	o.setPace()
}

// ownAck is ccAck for connections with tfOwnCC. False: the stack's own
// controller is to be told.
func (t *TCP) ownAck(a *AckSample) bool {
	o := t.cold.own
	if t.flags&tfMeter != 0 {
		t.cold.meter.ack(t, a, o.rate.sample(int64(t.rtt.minRTT)*1000))
	}
	if o.ctl == nil {
		if o.traits.Rate {
			o.rate.next()
		}
		return false
	}
	if o.traits.Rate {
		a.Rate = o.rate.sample(int64(t.rtt.minRTT) * 1000)
		a.CwndLimited = o.limited && t.sndUna.LessEq(o.limitedAt)
	}
	o.ctl.OnAck(&t.cc, a)
	if a.MarkAppLimited {
		o.rate.limit(a.Flight)
	}
	o.setPace()
	if o.traits.Rate {
		o.rate.next()
		a.Rate = nil
	}
	return true
}

// ownEvent is ccEvent likewise.
func (t *TCP) ownEvent(e CongestionEvent, a *AckSample) bool {
	o := t.cold.own
	if o.ctl == nil {
		return false
	}
	o.ctl.OnEvent(&t.cc, e, a)
	o.setPace()
	return true
}

// paceHolds reports whether nothing may go now; then the timer will call Output.
func (t *TCP) paceHolds() bool { return t.flags&tfOwnCC != 0 && t.ownHolds() }

func (t *TCP) ownHolds() bool {
	if t.paceRoom() != 0 {
		return false
	}
	p := &t.cold.own.pace
	p.at = t.s.now + p.delay(t.s.now)
	t.arm(p.at)
	return true
}

// paceRoom is how many bytes may go now, for a sender that cuts big segments.
func (t *TCP) paceRoom() uint32 {
	if t.flags&tfOwnCC == 0 {
		return 1 << 30
	}
	return t.cold.own.pace.room(t.s.now, t.cc.MSS)
}

// paceTimeout: something may go again.
func (t *TCP) paceTimeout() {
	t.cold.own.pace.at = 0
	_ = t.Output()
}

// noteLimit is called when what the windows allow was sent: either the window is
// full, or the application has no more.
func (t *TCP) noteLimit() {
	o := t.cold.own
	if !o.traits.Rate {
		return
	}
	flight := t.inFlight()
	switch room := t.cc.Cwnd - min(t.cc.Cwnd, flight); {
	case t.unsent != nil && room < t.cc.MSS:
		o.limited, o.limitedAt = true, t.sndMax
	case t.unsent == nil && room > 0:
		o.rate.limit(flight)
	}
	if t.flags&tfMeter != 0 {
		t.cold.meter.look(t)
	}
}
