package stack

import (
	"time"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// What TCP_INFO tells of single connections comes from three places. Most follows
// from their state. What happens when something is lost is counted as it happens
// (tcpHistory), in a part that such connections have anyway. The rest would cost
// each packet a store or two: it is counted for connections that have a meter
// (TCPConfig.Meter, SetMeter), which do without header prediction for it.

// tcpHistory counts what few connections see.
type tcpHistory struct {
	retrans      uint32 // segments sent again, SYN included
	retransBytes uint64
	reordSeen    uint32
	dsackDups    uint32
	ooPackets    uint32
	rtos         uint32 // timeouts, and how many did not follow another
	rtoEpisodes  uint32
	rtoTime      int64 // ns between the first timeout of an episode and its end
	rtoSince     int64 // when the present one began, 0: there is none
	reordering   uint32
}

// noteRetrans counts n bytes that go out again.
func (t *TCP) noteRetrans(n uint32) {
	k := t.segments(n)
	t.s.stats.TCP.RetransSegs += k
	if t.state < StateEstablished { // nrtx says it, and there may be many of them
		return
	}
	h := &t.coldPart().hist
	h.retrans += uint32(k)
	h.retransBytes += uint64(n)
}

// noteTimeout counts a timeout of the retransmission timer.
func (t *TCP) noteTimeout() {
	t.s.stats.TCP.Timeouts++
	if t.state < StateEstablished {
		return
	}
	h := &t.coldPart().hist
	h.rtos++
	if h.rtoSince == 0 {
		h.rtoEpisodes++
		h.rtoSince = t.s.now
	}
}

// noteProgress ends an episode of timeouts.
func (h *tcpHistory) noteProgress(now int64) {
	if h.rtoSince != 0 {
		h.rtoTime += now - h.rtoSince
		h.rtoSince = 0
	}
}

// noteOpening takes over what it took to open the connection: its SYN, or SYN-ACK,
// was sent again, the last time when the segment in front says.
func (t *TCP) noteOpening() {
	h := &t.coldPart().hist
	h.retrans += uint32(t.nrtx)
	h.rtos += uint32(t.nrtx)
	h.rtoEpisodes++
	if p := t.sndq.Head(); p != nil {
		h.rtoTime += t.s.now - seg(p).sentAt
	}
	r := t.rtt
	for r.backoff = 1; r.backoff < t.rtt.backoff; r.backoff++ { // from the first to the last
		h.rtoTime += r.rto()
	}
}

// noteReordering counts an ACK of data from seq on that has arrived after what lies
// up to high.
func (t *TCP) noteReordering(seq, high header.Seq) {
	h := &t.cold.hist
	h.reordSeen++
	h.reordering = min(max(h.reordering, (high.Sub(seq)+uint32(t.mss)-1)/uint32(t.mss)), 300)
}

// chrono is what a connection spends its time with.
type chrono uint8

const (
	chronoIdle   chrono = iota // nothing to send, nor in flight
	chronoBusy                 // the network is what it waits for
	chronoRwnd                 // the peer's window
	chronoSndbuf               // the application, as the send buffer is too small
	numChronos
)

// tcpMeter counts everything that happens to a connection.
type tcpMeter struct {
	segsIn, segsOut, dataIn, dataOut uint32
	delivered, deliveredCE, seen     uint32 // segments; seen: delivered before the ACK in work
	rcvMSS                           uint32

	una, rcvNxt        header.Seq // of acked and received
	acked, received    uint64     // sequence space from the beginning
	sent               uint64     // data, retransmissions included
	lastSent, lastRecv int64
	lastAck            int64
	rate               RateSample // the newest that says something
	chrono             chrono
	noSpace            bool // the application waits for the send buffer
	open               bool // the numbers of both ends are known
	since              int64
	spent              [numChronos]int64
}

// SetMeter has everything counted that Info tells of a connection: which fields
// need it is said there. Of a listener it is for its connections. What was before
// counts for nothing, so that it is best done before Connect or Listen. What it
// costs is in docs/congestion.md, "TCP_INFO".
func (t *TCP) SetMeter(on bool) {
	switch {
	case t.s == nil || on == (t.flags&tfMeter != 0):
	case on:
		t.meter()
	default:
		t.flags &^= tfMeter
		t.s.tcp.meters.put(t.cold.meter)
		t.cold.meter = nil
		if o := t.cold.own; o.ctl == nil || !o.ctl.Traits().Rate {
			o.traits.Rate = false
		}
	}
}

// meter returns the connection's meter, making it if need be.
func (t *TCP) meter() *tcpMeter {
	c := t.coldPart()
	if c.meter == nil {
		c.meter = t.s.tcp.meters.get()
		t.flags |= tfMeter
		t.own().traits.Rate = true
		t.startMeter()
	}
	return c.meter
}

// startMeter begins at what the connection is now.
func (t *TCP) startMeter() {
	m, now := t.cold.meter, t.s.now
	m.open = false
	m.lastSent, m.lastRecv, m.lastAck, m.since = now, now, now, now
	m.rcvMSS = min(uint32(t.mss), 536)
}

// dropMeter gives the meter back.
func (t *TCP) dropMeter() {
	if t.flags&tfMeter != 0 {
		t.s.tcp.meters.put(t.cold.meter)
		t.cold.meter = nil
		t.flags &^= tfMeter
	}
}

// in counts the segment in work.
func (m *tcpMeter) in(t *TCP, in *inSegment) {
	n, mss := uint32(1), in.n
	if p := in.p; p != nil && p.Flags&pbuf.RxLRO != 0 && p.SegSize != 0 { // several in one
		mss = min(uint32(p.SegSize), in.n)
		n = (in.n + mss - 1) / max(mss, 1)
	}
	m.segsIn += max(n, 1)
	if in.flags&header.TCPAck != 0 {
		m.lastAck = t.s.now
	}
	if in.flags&header.TCPSyn != 0 {
		m.lastRecv = t.s.now
	}
	if in.n != 0 {
		m.dataIn += n
		m.lastRecv = t.s.now
		if mss > m.rcvMSS {
			m.rcvMSS = min(mss, uint32(t.maxMSS()))
		}
	}
}

// out counts a segment of n bytes of data that goes out, as so many on the wire.
func (m *tcpMeter) out(t *TCP, n uint32) {
	k := uint32(t.segments(n))
	m.segsOut += k
	if n != 0 {
		m.dataOut += k
		m.sent += uint64(n)
		m.lastSent = t.s.now
	}
}

// deliver counts n bytes of g that have arrived.
func (m *tcpMeter) deliver(t *TCP, g *tcpSeg, n uint32, whole bool) {
	if whole {
		m.delivered += uint32(t.segments(n))
	} else {
		m.delivered += n / uint32(t.mss)
	}
}

// ack takes the rate sample of an ACK. One that the application has limited counts
// only if it shows more.
func (m *tcpMeter) ack(t *TCP, a *AckSample, r *RateSample) {
	if a.ECE != 0 {
		m.deliveredCE += m.delivered - m.seen
	}
	m.seen = m.delivered
	if m.open && r.DeliveryRate != 0 && (!r.AppLimited || r.DeliveryRate >= m.rate.DeliveryRate) {
		m.rate = *r
	}
	m.look(t)
}

// look books the time since it looked last under what the connection was doing, and
// sees what it does now.
func (m *tcpMeter) look(t *TCP) {
	now := t.s.now
	m.spent[m.chrono] += now - m.since
	m.since = now
	if !m.open && t.state >= StateEstablished {
		m.open = true
		m.una, m.rcvNxt = t.iss.Add(1), t.irs.Add(1)
	}
	if m.open {
		m.acked += uint64(t.sndUna.Sub(m.una))
		m.received += uint64(t.rcvNxt.Sub(m.rcvNxt))
		m.una, m.rcvNxt = t.sndUna, t.rcvNxt
	}
	if m.noSpace && t.sndBuf >= t.sendBufSize()/3 {
		m.noSpace = false
	} else if int32(t.sndBuf) < int32(t.mss) {
		m.noSpace = true
	}
	flight := t.inFlight()
	switch {
	case t.state < StateEstablished || t.sndMax == t.sndUna && t.unsent == nil && t.flags&tfPull == 0:
		m.chrono = chronoIdle
	case flight < t.cc.Cwnd && t.unsent != nil && !t.windowHas(seg(t.unsent)):
		m.chrono = chronoRwnd
	case t.unsent == nil && flight < t.cc.Cwnd && m.noSpace:
		m.chrono = chronoSndbuf
	default:
		m.chrono = chronoBusy
	}
}

// historyInfo fills in what is counted without a meter.
func (t *TCP) historyInfo(i *TCPInfo) {
	if t.state < StateEstablished {
		i.TotalRetrans, i.TotalRTO = uint32(t.nrtx), uint32(t.nrtx)
	} else {
		n := t.sndMax.Sub(t.iss) - 1
		if t.flags&tfFinQueued != 0 && t.sndMax == t.sndLbb && n != 0 {
			n--
		}
		i.BytesSent = uint64(n)
	}
	i.Reorder = dupThresh
	c := t.cold
	if c == nil {
		return
	}
	h := &c.hist
	i.TotalRetrans += h.retrans
	i.BytesRetrans = h.retransBytes
	i.BytesSent += h.retransBytes
	i.ReordSeen, i.DSACKDups, i.OutOfOrderPackets = h.reordSeen, h.dsackDups, h.ooPackets
	i.TotalRTO += h.rtos
	i.TotalRTORecoveries = h.rtoEpisodes
	i.TotalRTOTime = time.Duration(h.rtoTime)
	i.Reorder = max(i.Reorder, int(h.reordering))
}

// info fills in what is counted with a meter.
func (m *tcpMeter) info(t *TCP, i *TCPInfo) {
	m.look(t)
	ago := func(at int64) time.Duration { return time.Duration(t.s.now - at) }
	i.SegsIn, i.SegsOut, i.DataSegsIn, i.DataSegsOut = m.segsIn, m.segsOut, m.dataIn, m.dataOut
	i.Delivered, i.DeliveredCE, i.RcvMSS = m.delivered, m.deliveredCE, int(m.rcvMSS)
	i.DeliveryRate, i.DeliveryRateAppLimited = m.rate.DeliveryRate, m.rate.AppLimited
	i.BytesSent = m.sent
	if t.state >= StateEstablished { // the low halves are right already: without FIN
		i.BytesAcked += (m.acked - i.BytesAcked) &^ 0xffffffff
		i.BytesReceived += (m.received - i.BytesReceived) &^ 0xffffffff
	}
	i.LastDataSentAgo, i.LastDataRecvAgo, i.LastAckRecvAgo = ago(m.lastSent), ago(m.lastRecv), ago(m.lastAck)
	i.RwndLimited = time.Duration(m.spent[chronoRwnd])
	i.SndbufLimited = time.Duration(m.spent[chronoSndbuf])
	i.BusyTime = time.Duration(m.spent[chronoBusy]) + i.RwndLimited + i.SndbufLimited
}
