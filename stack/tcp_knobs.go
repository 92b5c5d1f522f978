package stack

import "time"

// Options of single connections. What a listener is given, its connections
// inherit. Each may be set at any time unless it says otherwise.

// tcpKnobs are the options in which a connection differs from its stack. Zero
// fields are the stack's configuration.
type tcpKnobs struct {
	timeWait    int64 // ns; negative: none
	linger      int64 // ns + 1; 0: not set
	delack      int64 // ns
	userTimeout int64 // ns; negative: none
	adopted     int64 // the peer's user timeout as we took it (RFC 5482 3.1)
	stalledAt   int64 // since when what the peer must acknowledge waits
	userAt      int64 // timer: the user's patience is at its end
	mss         uint16
	window      uint16 // initial window in segments
	retries     uint8
	synRetries  uint8
	advertise   int8 // the user timeout option: 1 yes, -1 no
}

// knobs returns the connection's options, making them at first use.
func (t *TCP) knobs() *tcpKnobs {
	c := t.coldPart()
	if c.knobs == nil {
		c.knobs = t.s.tcp.knobs.get()
	}
	return c.knobs
}

// ownKnobs returns the connection's options, or nil if it has none.
func (t *TCP) ownKnobs() *tcpKnobs {
	if t.cold == nil {
		return nil
	}
	return t.cold.knobs
}

// inheritKnobs gives a connection the options of its listener.
func (t *TCP) inheritKnobs(l *TCP) {
	t.ackEvery, t.quick = l.ackEvery, l.quick
	if k := l.cold.knobs; k != nil {
		*t.knobs() = *k
		t.rtt.minRTO, t.rtt.maxRTO, t.rtt.base = l.rtt.minRTO, l.rtt.maxRTO, l.rtt.base
	}
}

// SetTimeWait sets how long TIME-WAIT lasts; 0 is none at all, negative the
// stack's. It takes effect when TIME-WAIT begins.
func (t *TCP) SetTimeWait(d time.Duration) {
	switch k := t.knobs(); {
	case d < 0:
		k.timeWait = 0
	case d == 0:
		k.timeWait = -1
	default:
		k.timeWait = int64(d)
	}
}

// timeWait is how long TIME-WAIT lasts in ns; negative: it is left out.
func (t *TCP) timeWait() int64 {
	if k := t.ownKnobs(); k != nil && k.timeWait != 0 {
		return k.timeWait
	}
	return int64(t.s.cfg.TCP.TimeWait)
}

// SetLinger says what Close does about data that was not sent or acknowledged
// yet (SO_LINGER): 0 resets the connection at once and keeps nothing of it, a
// generator's way to use ports again; a positive time lets the close go on for
// so long and then resets; negative, the default, sets no bound but that of the
// retransmissions.
func (t *TCP) SetLinger(d time.Duration) {
	k := t.knobs()
	if k.linger = 0; d >= 0 {
		k.linger = int64(d) + 1
	}
}

// lingers reports whether SetLinger has set a bound, and which, in ns.
func (t *TCP) lingers() (ns int64, ok bool) {
	if k := t.ownKnobs(); k != nil && k.linger != 0 {
		return k.linger - 1, true
	}
	return 0, false
}

// AckPolicy says when received data is acknowledged. Zero fields are the
// stack's configuration.
type AckPolicy struct {
	// Every: an ACK at the latest after so many segments, 1 … 255. 1 is each at
	// once; RFC 9293 3.8.6.3 wants at most 2.
	Every int
	// Delay is the longest an ACK waits, up to 500 ms (RFC 1122 4.2.3.2).
	Delay time.Duration
	// Quick segments from now on are acknowledged at once, 0 … 255: a peer in
	// slow start grows faster for it.
	Quick int
}

// SetAckPolicy sets when the connection acknowledges. ErrVal: out of range.
func (t *TCP) SetAckPolicy(a AckPolicy) error {
	if a.Every < 0 || a.Every > 255 || a.Delay < 0 || a.Delay > 500*time.Millisecond || a.Quick < 0 || a.Quick > 255 {
		return ErrVal
	}
	t.ackEvery, t.quick = t.s.tcp.ackEvery, uint8(a.Quick)
	if a.Every != 0 {
		t.ackEvery = uint8(a.Every)
	}
	if a.Delay != 0 || t.ownKnobs() != nil {
		t.knobs().delack = int64(a.Delay)
	}
	return nil
}

// SetQuickAck acknowledges every segment at once, or goes back to delaying
// ACKs (TCP_QUICKACK). An ACK that waits is sent.
func (t *TCP) SetQuickAck(on bool) {
	t.quick = 0
	if !on {
		t.ackEvery = t.s.tcp.ackEvery
		return
	}
	t.ackEvery = 1
	if t.ackPending != 0 {
		t.flags |= tfAckNow
		_ = t.Output()
	}
}

// ackNow has the segment in work acknowledged at once.
func (t *TCP) ackNow() {
	t.flags |= tfAckNow
	if t.quick != 0 {
		t.quick--
	}
}

// delackTime is how long an ACK may wait, in ns.
func (t *TCP) delackTime() int64 {
	if k := t.ownKnobs(); k != nil && k.delack != 0 {
		return k.delack
	}
	return int64(t.s.cfg.TCP.DelayedAck)
}

// SetRTO sets the first retransmission timeout and its bounds (RFC 6298 2);
// zero is the stack's configuration. ErrVal unless 1 ms ≤ least ≤ first ≤ most.
func (t *TCP) SetRTO(first, least, most time.Duration) error {
	cfg := t.s.cfg.TCP
	for _, v := range [...]struct {
		at *time.Duration
		to time.Duration
	}{{&cfg.InitialRTO, first}, {&cfg.MinRTO, least}, {&cfg.MaxRTO, most}} {
		if v.to != 0 {
			*v.at = v.to
		}
	}
	if cfg.MinRTO < time.Millisecond || cfg.MinRTO > cfg.InitialRTO || cfg.InitialRTO > cfg.MaxRTO {
		return ErrVal
	}
	t.knobs() // so that connections of a listener look here
	t.rtt.setBounds(&cfg)
	return nil
}

// SetRetries sets how often data, and how often SYN or SYN-ACK is sent again
// before the connection fails; 0 is the stack's configuration. ErrVal outside
// 0 … 255.
func (t *TCP) SetRetries(data, syn int) error {
	if data < 0 || data > 255 || syn < 0 || syn > 255 {
		return ErrVal
	}
	k := t.knobs()
	k.retries, k.synRetries = uint8(data), uint8(syn)
	return nil
}

// retryLimit is how often the segment in front is sent again.
func (t *TCP) retryLimit() int {
	cfg, k := &t.s.cfg.TCP, t.ownKnobs()
	if t.state == StateSynSent || t.state == StateSynRcvd {
		if k != nil && k.synRetries != 0 {
			return int(k.synRetries)
		}
		return cfg.SYNRetries
	}
	if k != nil && k.retries != 0 {
		return int(k.retries)
	}
	return cfg.Retries
}

// SetMSS bounds the payload of a segment in both directions, before Connect or for
// a listener's connections (TCP_MAXSEG); 0 is the stack's configuration. ErrIsConn
// afterwards, ErrVal outside 88 … 65495.
func (t *TCP) SetMSS(n int) error {
	if t.state != StateClosed && t.state != StateListen {
		return ErrIsConn
	}
	if n != 0 && (n < 88 || n > 65495) {
		return ErrVal
	}
	t.knobs().mss = uint16(n)
	return nil
}

// SetInitialWindow sets the congestion window that the connection begins with,
// in segments (RFC 6928 has 10), before Connect or for a listener's connections; 0
// is the stack's configuration. ErrIsConn afterwards, ErrVal outside 0 … 1000.
func (t *TCP) SetInitialWindow(segments int) error {
	if t.state != StateClosed && t.state != StateListen {
		return ErrIsConn
	}
	if segments < 0 || segments > 1000 {
		return ErrVal
	}
	t.knobs().window = uint16(segments)
	return nil
}

// initialSegments is the congestion window to begin with, in segments.
func (t *TCP) initialSegments() int {
	if k := t.ownKnobs(); k != nil && k.window != 0 {
		return int(k.window)
	}
	return t.s.cfg.TCP.InitialWindow
}

// SetDSCP sets the differentiated services code point of outgoing packets
// (RFC 2474 3), 0 … 63; what ECN says beside it stays. ErrVal: out of range.
func (t *TCP) SetDSCP(d uint8) error {
	if d > 63 {
		return ErrVal
	}
	t.tos = d<<2 | t.tos&3
	return nil
}

// ISNPolicy says how initial sequence numbers are chosen.
type ISNPolicy uint8

const (
	// ISNHash: RFC 6528 with SipHash-2-4. The default.
	ISNHash ISNPolicy = iota
	// ISNClock: the bare clock of RFC 793, which anybody can guess: for tests
	// that must repeat themselves whatever the secret.
	ISNClock
	// ISNRandom: a random number; a connection that follows another with the
	// same ends is not numbered beyond it.
	ISNRandom
)

// PortPolicy says how the ports of outgoing connections are chosen. Hooks.TCPPort
// of a shard turns the choice into one of its own ports.
type PortPolicy uint8

const (
	// PortsHash: RFC 6056 algorithm 4, a keyed hash of the ends plus one of some
	// counters, chosen by the hash likewise. The default.
	PortsHash PortPolicy = iota
	// PortsSequential: one counter for all connections, from PortMin on.
	PortsSequential
	// PortsRandom: RFC 6056 algorithm 1.
	PortsRandom
)

// firstISN is the initial sequence number of a connection.
func (t *TCP) firstISN(hash uint32) uint32 {
	switch t.s.cfg.TCP.ISN {
	case ISNClock:
		return uint32(t.s.now >> 12)
	case ISNRandom:
		return t.s.rng.uint32()
	}
	return hash + uint32(t.s.now>>12)
}

// portCounters is how many counters there are (RFC 6056 3.3.4): each remote end's ports
// follow each other, though connections to others are opened in between.
const portCounters = 256

// firstPort is where the search for the local port of a connection begins, and the
// counter to move on by the steps it took.
func (s *Stack) firstPort(f flowEnds) (start uint32, next *uint32) {
	ts := &s.tcp
	switch s.cfg.TCP.Ports {
	case PortsSequential:
		return ts.nextPorts[0], &ts.nextPorts[0]
	case PortsRandom:
		return s.rng.uint32(), &ts.nextPorts[0]
	}
	offset, counter := s.portOffset(f.local, f.remote, f.rport)
	next = &ts.nextPorts[counter%portCounters]
	return offset + *next, next
}
