package stack

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
)

// tcpState is TCP's part of a Stack.
type tcpState struct {
	flows  flowTable
	wheel  wheel
	chunks []*[pcbChunk]TCP
	used   uint32 // PCBs that were ever given out
	free   *TCP   // linked by next
	grave  *TCP   // freed during this Input or Poll; free afterwards
	ports  [256]*TCP
	colds  freeList[tcpCold]
	knobs  freeList[tcpKnobs]
	tunes  freeList[tcpTune]

	in         inSegment // the segment in work (lwIP's tcp_in.c globals)
	ack        AckSample // of its acknowledgement
	ccs        ccStates
	owns       freeList[ownCC]
	ctls       [numCCKinds][]CongestionControl // likewise
	ccKind     ccKind                          // of new connections
	sackOuts   freeList[sackOut]
	losses     freeList[tcpLoss]
	pulls      freeList[tcpPull]
	searches   freeList[mtuSearch]
	meters     freeList[tcpMeter]
	isnKey     [4]uint64
	lastOffset portOffset
	full       fullPorts
	fullUntil  int64
	freed      uint64 // PCBs that were freed
	rcvScale   uint8
	synAll     bool // TCPConfig.synAll
	ackEvery   uint8
	rtt        rttEstimator // of new connections

	limits       tcpLimits
	tuned        int64  // bytes of TuneMem that are granted
	tuneBelow    uint32 // free send buffer at which more may help
	dests        destCache
	mtuTimer     int // of ageMTUs
	halfOpen     int // connections in SYN-RECEIVED that a listener has
	oooBufs      int // buffers that wait out of order
	cookies      epochKeys
	cookiesUntil int64 // until when an ACK may bring a cookie
	reopen       reopen
	reuse        *TCP // in TIME-WAIT, whose port choosePort gave away
	fast         fastState
	nextPorts    [portCounters]uint32
}

func (s *Stack) tcpInit() {
	ts := &s.tcp
	ts.flows.init(s.hasher == nil)
	ts.wheel.init()
	for i := range ts.isnKey {
		ts.isnKey[i] = binary.LittleEndian.Uint64(s.cfg.FlowSecret[i*8:])
	}
	// RFC 7323 2.3: the least shift that lets 16 bits carry the whole buffer.
	if !s.cfg.TCP.NoWindowScale {
		for s.cfg.TCP.RecvBufMax>>ts.rcvScale > 0xffff && ts.rcvScale < 14 {
			ts.rcvScale++
		}
	}
	ts.synAll = s.cfg.TCP.synAll()
	ts.ccKind, _ = ccKindOf(s.cfg.TCP.Congestion) // Validate knows it
	s.flowKey = makeFlowKey(ts.isnKey[0], ts.isnKey[1])
	ts.rtt.setBounds(&s.cfg.TCP)
	first := s.rng.uint32()
	if s.cfg.TCP.Ports == PortsSequential {
		first = 0
	}
	for i := range ts.nextPorts { // the offsets tell them apart
		ts.nextPorts[i] = first
	}
	ts.ackEvery = uint8(s.cfg.TCP.AckEvery)
	if s.cfg.TCP.DelayedAck < 0 {
		ts.ackEvery = 1
	}
	ts.cookies.label = labelCookie
	s.fastInit()
	if s.cfg.TCP.SendBufMax > s.cfg.TCP.SendBuf {
		ts.tuneBelow = uint32(s.cfg.TCP.SendBuf / 4)
	}
	if s.cfg.TCP.MTUProbing == MTUProbingAlways { // each connection looks there, to begin its search
		ts.dests.init(s.cfg.TCP.DestCache)
	}
	ts.mtuTimer = s.every(mtuSweep, (*Stack).ageMTUs)
}

// tcpClose frees every PCB without sending or calling anything.
func (s *Stack) tcpClose() {
	s.depth++
	for id := range s.tcp.used {
		t := s.pcb(id)
		if t.s != nil {
			t.errFn = nil
			t.free()
		}
	}
	s.leave()
}

// NewTCP makes a closed PCB (tcp_new). Nil: Config.TCP.MaxConns are in use,
// and none is in TIME-WAIT.
func (s *Stack) NewTCP() *TCP {
	ts := &s.tcp
	if s.closed {
		return nil
	}
	t := ts.free
	if t == nil && int(ts.used) >= s.cfg.TCP.MaxConns {
		if t = s.killTimeWait(); t == nil {
			return nil
		}
	}
	if t != nil {
		ts.free, t.next = t.next, nil
	} else {
		id := ts.used
		if int(id) == len(ts.chunks)*pcbChunk {
			s.growPCBs()
		}
		ts.used++
		t = s.pcb(id)
		t.id = id
	}
	s.stats.TCP.CurrPCBs++
	cfg := &s.cfg.TCP
	t.s, t.ttl, t.tos = s, s.cfg.TTL, cfg.DSCP<<2
	t.ackEvery, t.quick = ts.ackEvery, uint8(cfg.QuickAcks)
	t.sndBuf = uint32(cfg.SendBuf)
	t.rcvWnd = uint32(cfg.RecvBuf)
	t.mss = 536 // RFC 9293 3.7.1: until the peer says otherwise
	t.ccKind = ts.ccKind
	t.rtt = ts.rtt
	t.setFlag(tfNoDelay, cfg.NoDelay)
	return t
}

// killTimeWait frees some PCB in TIME-WAIT for a new one
// (tcp_kill_timewait): the one whose time is up first among a sample.
func (s *Stack) killTimeWait() *TCP {
	var old *TCP
	start := s.rng.below(s.tcp.used)
	for i := range min(s.tcp.used, 64) {
		t := s.pcb((start + i) % s.tcp.used)
		if t.state == StateTimeWait && (old == nil || t.ctlAt < old.ctlAt) {
			old = t
		}
	}
	if old == nil || s.depth != 0 && s.tcp.in.owner == old.id+1 {
		return nil
	}
	old.free()
	if s.depth != 0 { // freed PCBs are kept until the input is done: take this one out
		s.tcp.grave = old.next
		old.next = s.tcp.free
		s.tcp.free = old
	}
	return s.tcp.free
}

// free takes the PCB out of every table, frees its packets and keeps it for
// reuse (tcp_pcb_remove, tcp_free). It calls nobody.
func (t *TCP) free() {
	s := t.s
	ts := &s.tcp
	if s == nil {
		return
	}
	t.setState(StateClosed)
	t.leaveBacklog()
	ts.flows.remove(t.hash, t.id)
	t.purge()
	ts.ccs.put(t.cc.state)
	if t.cold != nil {
		t.freeCold()
	}
	*t = TCP{id: t.id, next: ts.grave, timerAt: t.timerAt} // the timer's entry stays, for whoever is next
	ts.grave = t
	s.stats.TCP.CurrPCBs--
	ts.freed++
	if s.depth == 0 {
		s.tcpRecycle()
	}
}

// freeCold frees the cold part.
func (t *TCP) freeCold() {
	ts, c := &t.s.tcp, t.cold
	t.unlinkPort()
	t.dropOwn()
	ts.knobs.put(c.knobs)
	ts.putTune(c.tune)
	t.fastFree()
	ext := c.ext
	clear(ext)
	*c = tcpCold{ext: ext[:0]}
	ts.colds = append(ts.colds, c)
}

// tcpRecycle makes the PCBs that were freed during an input free for reuse:
// until then a callback's stale pointer sees state CLOSED, not a stranger.
func (s *Stack) tcpRecycle() {
	for t := s.tcp.grave; t != nil; {
		next := t.next
		t.next = s.tcp.free
		s.tcp.free = t
		t = next
	}
	s.tcp.grave = nil
	if h := s.hooks.MemAvailable; h != nil {
		h("tcp_pcb")
	}
}

// purge frees the packets that a connection holds (tcp_pcb_purge).
func (t *TCP) purge() {
	t.freeQueue()
	if t.cold != nil {
		t.dropLoss()
		t.dropPull()
		t.dropSearch()
		t.dropMeter()
	}
	t.purgeOOSeq()
	if t.refused != nil {
		t.refused.Free()
		t.refused = nil
	}
}

// setState is the only place where a state changes; it keeps the gauges of
// RFC 4022.
func (t *TCP) setState(n TCPState) {
	st := &t.s.stats.TCP
	was := t.state
	t.state = n
	const open, opening = 1<<StateEstablished | 1<<StateCloseWait, 1<<StateSynSent | 1<<StateSynRcvd
	is, had := uint32(1)<<(n&31), uint32(1)<<(was&31)
	switch {
	case is&open != 0 && had&open == 0:
		st.CurrEstab++
	case had&open != 0 && is&open == 0:
		st.CurrEstab--
		if n == StateClosed {
			st.EstabResets++
		}
	case n == StateClosed && had&opening != 0:
		st.AttemptFails++
	}
	if was == StateSynRcvd {
		t.leaveHalfOpen()
	}
	switch {
	case n == StateTimeWait:
		st.TimeWaits++
	case n == StateEstablished && t.flags&tfKeepAlive != 0:
		t.heard()
		t.armKeepalive()
	}
}

// link puts a connection with both ends known into the flow table; hash is
// hashFlow of them.
func (t *TCP) link(hash uint32) {
	t.hash = hash
	t.s.tcp.flows.insert(hash, t.id)
}

// lookup finds the connection of a segment from remote:rport to local:lport.
func (s *Stack) lookup(local, remote header.Addr, lport, rport uint16, hash uint32) *TCP {
	f := &s.tcp.flows
	for tab := &f.cur; ; tab = &f.old {
		for i := tab.home(hash); ; i = tab.next(i) {
			slot := tab.slots[i]
			if slot.id == 0 {
				break
			}
			if slot.hash != hash || slot.id == tombstone {
				continue
			}
			t := s.pcb(slot.id - 1)
			if t.hasEnds(local, remote, lport, rport) {
				return t
			}
		}
		if tab == &f.old || f.old.slots == nil {
			return nil
		}
	}
}

// hasEnds reports whether the connection is the one from local:lport to remote:rport.
// One that was closed has no ends.
func (t *TCP) hasEnds(local, remote header.Addr, lport, rport uint16) bool {
	return t.remote == remote && t.lport == lport && t.rport == rport && t.local == local
}

// linkPort puts a listener or bound PCB into its port bucket.
func (t *TCP) linkPort() {
	b := &t.s.tcp.ports[t.lport%256]
	c := t.coldPart()
	t.next, c.prev = *b, nil
	if t.next != nil {
		t.next.cold.prev = t
	}
	*b = t
	c.bound = true
}

func (t *TCP) unlinkPort() {
	if t.cold == nil || !t.cold.bound {
		return
	}
	c := t.cold
	c.bound = false
	if c.prev != nil {
		c.prev.next = t.next
	} else {
		t.s.tcp.ports[t.lport%256] = t.next
	}
	if t.next != nil {
		t.next.cold.prev = c.prev
	}
	t.next, c.prev = nil, nil
}

// listenerFor finds the listener for a segment to local:port; one bound to the
// address is preferred to one bound to any.
func (s *Stack) listenerFor(local header.Addr, port uint16) *TCP {
	var any *TCP
	for t := s.tcp.ports[port%256]; t != nil; t = t.next {
		if t.state != StateListen || t.lport != port {
			continue
		}
		if t.local == local {
			return t
		}
		if t.local.IsZero() && t.cold.family.takes(local) {
			any = t
		}
	}
	return any
}

// portTaken reports whether a bound or listening PCB has that local end, or one
// that covers it; f is the family of local.
func (s *Stack) portTaken(local header.Addr, f family, port uint16) bool {
	for t := s.tcp.ports[port%256]; t != nil; t = t.next {
		if t.lport == port && (t.local == local || t.local.IsZero() || local.IsZero()) && t.family().clashes(f) {
			return true
		}
	}
	return false
}

// family is that of the PCB's local end.
func (t *TCP) family() family {
	switch {
	case t.local.IsZero() && t.cold != nil:
		return t.cold.family
	case t.local.IsZero():
		return familyAny
	case t.local.Is4():
		return family4
	}
	return family6
}

// tcpAddrGone aborts the connections that use an address that was taken away.
func (s *Stack) tcpAddrGone(a header.Addr) {
	for id := range s.tcp.used {
		if t := s.pcb(id); t.s != nil && t.local == a && t.state != StateListen {
			t.abandon(ErrAborted, false)
		}
	}
}
