package stack

// The stack's own controllers, by name. CUBIC and NewReno are called directly;
// the others, and the application's, through the interface.

// ccKind is a controller of the stack's.
type ccKind uint8

const (
	ccCubic ccKind = iota
	ccReno
	ccBBR
	ccDCTCP
	numCCKinds
)

var ccNames = [numCCKinds]string{ccCubic: "cubic", ccReno: "reno", ccBBR: "bbr", ccDCTCP: "dctcp"}

// kindL is the largest step of slow start, in segments (RFC 3465 2.2, RFC 9406
// 4.3).
var kindL = [numCCKinds]uint32{ccCubic: hystartL, ccReno: renoL}

// ccMakers make what is called through the interface.
var ccMakers = [numCCKinds]func(s *Stack) CongestionControl{
	ccBBR:   func(s *Stack) CongestionControl { return &bbr{rng: &s.rng} },
	ccDCTCP: func(*Stack) CongestionControl { return new(dctcp) },
}

// ccKindOf finds a controller by name; the empty one is the default.
func ccKindOf(name string) (ccKind, bool) {
	if name == "" {
		return ccCubic, true
	}
	for k, n := range ccNames {
		if n == name {
			return ccKind(k), true
		}
	}
	return 0, false
}

// SetCongestionControl chooses one of the stack's controllers by its name, as
// TCPConfig.Congestion: for a listener's connections, for a connection that will
// be opened, or for one that runs. ErrVal: there is none of that name.
func (t *TCP) SetCongestionControl(name string) error {
	k, ok := ccKindOf(name)
	if !ok || t.s == nil {
		return ErrVal
	}
	t.dropController()
	t.ccKind = k
	if t.state != StateClosed && t.state != StateListen {
		t.makeController()
	}
	return nil
}

// UseCongestionControl puts a controller of the application's to the
// connection, at any time. It must be the connection's alone.
func (t *TCP) UseCongestionControl(ctl CongestionControl) {
	if t.s == nil {
		return
	}
	t.dropController()
	t.attach(ctl)
}

// CongestionControl is the name of the connection's controller.
func (t *TCP) CongestionControl() string {
	if t.flags&tfOwnCC != 0 && t.cold.own.ctl != nil {
		return t.cold.own.ctl.Name()
	}
	return ccNames[t.ccKind]
}

// makeController makes the controller that ccKind says, if it is called through
// the interface: a used one, or a new one.
func (t *TCP) makeController() {
	k := t.ccKind
	if ccMakers[k] == nil {
		return
	}
	free := &t.s.tcp.ctls[k]
	var ctl CongestionControl
	if n := len(*free); n > 0 {
		ctl = (*free)[n-1]
		*free = (*free)[:n-1]
	} else {
		ctl = ccMakers[k](t.s)
	}
	t.attach(ctl)
	t.cold.own.stacks = true
}

// attach puts a controller to the connection, which has none.
func (t *TCP) attach(ctl CongestionControl) {
	o := t.own()
	o.ctl, o.traits = ctl, ctl.Traits()
	o.traits.Rate = o.traits.Rate || t.flags&tfMeter != 0
	o.paces, _ = ctl.(CongestionPacer)
	o.losses, _ = ctl.(CongestionLosses)
	o.rate = rateSampler{}
	for p := t.sndq.Head(); p != nil; p = p.QNext() {
		seg(p).rate = segRate{} // of an earlier sampler
	}
	if o.traits.PreciseECN {
		t.cold.ecn |= ecnPrecise
	}
	ctl.Init(&t.cc, t.s.now)
	o.setPace()
}

// dropController takes the controller off the connection; the stack's go to
// their free list.
func (t *TCP) dropController() {
	if t.flags&tfOwnCC == 0 {
		return
	}
	o := t.cold.own
	if o.stacks {
		free := &t.s.tcp.ctls[t.ccKind]
		*free = append(*free, o.ctl)
	}
	t.cold.ecn &^= ecnPrecise
	*o = ownCC{pace: pacer{cap: o.pace.cap, free: o.pace.free, at: o.pace.at}}
	o.traits.Rate = t.flags&tfMeter != 0
	o.setPace()
}

// ccInherit gives a new connection what its listener was set to.
func (t *TCP) ccInherit(l *TCP) {
	t.ccKind = l.ccKind
	if m := l.cold.ecn & ecnModeMask; m != 0 {
		t.coldPart().ecn |= m
	}
	if l.flags&tfOwnCC != 0 {
		t.own().pace.cap = l.cold.own.pace.cap
		t.cold.own.setPace()
	}
}

// ccOpen begins congestion control of a connection that is about to send its
// SYN: who it is, and a window for the data that may go with it.
func (t *TCP) ccOpen() {
	t.cc.MSS = uint32(min(int(t.mss), 536))
	t.cc.Cwnd, t.cc.Ssthresh = initialWindow(t.cc.MSS, t.initialSegments()), ssthreshNone
	if h := t.s.hooks.CongestionControl; h != nil {
		if ctl := h(t); ctl != nil {
			t.UseCongestionControl(ctl)
			return
		}
	}
	if t.flags&tfOwnCC == 0 || t.cold.own.ctl == nil {
		t.makeController()
	}
}

// ccInit begins anew, now that the peer's MSS is known.
func (t *TCP) ccInit() {
	t.cc.MSS, t.cc.Cwnd, t.cc.Ssthresh = uint32(t.mss), t.initialWindow(), ssthreshNone
	if t.flags&tfOwnCC != 0 && t.cold.own.ctl != nil {
		t.cold.own.ctl.Init(&t.cc, t.s.now)
		t.cold.own.setPace()
	}
}

// ccOpened is called when the handshake is over. If the SYN or SYN-ACK had to be
// sent more than twice, the path can't be trusted with more than a segment
// (RFC 5681 3.1, RFC 6928 2). If it had to be at all, and no timestamp tells the
// round trip, the first data has three times the initial timeout, 3 s (RFC 6298 5.7).
func (t *TCP) ccOpened() {
	if t.nrtx != 0 {
		t.noteOpening()
		t.rtt.opened()
		if t.nrtx > 1 {
			t.cc.Cwnd = t.cc.MSS
		}
	}
}

// initialWindow is the initial window in bytes.
func (t *TCP) initialWindow() uint32 { return initialWindow(uint32(t.mss), t.initialSegments()) }
