package stack

import (
	"github.com/shardstack/shardstack/header"
)

// Buffers that fit the path. A connection begins with Config.TCP.RecvBuf and
// SendBuf; where they hold it back they grow, up to RecvBufMax and SendBufMax,
// and as long as the stack's budget, TuneMem, lasts.
//
// Receiving is dynamic right-sizing (Fisk and Feng, as Linux does it): the
// window is to be twice what the application takes in a round trip, since the
// sender may double its rate in the next. Sending likewise wants twice what may
// be in flight: a window on the way, and one to follow.
//
// None of it is on the path of a packet: it is done once for some 64 KiB that the
// application takes, and when it finds the send buffer nearly full.

// tcpTune is the state of a connection whose receive window may grow.
type tcpTune struct {
	start   int64      // of the present measurement
	taken   header.Seq // what the application had taken by then
	edge    header.Seq // right edge of the window at edgeAt
	edgeAt  int64
	rtt     int64  // least time that a window took to arrive, ns; 0: none yet
	granted uint32 // bytes of the budget that the connection has
	space   uint32 // the most that was taken in a round trip
}

// tunePart returns the connection's state, making it if need be.
func (t *TCP) tunePart() *tcpTune {
	c := t.coldPart()
	if c.tune == nil {
		c.tune = t.s.tcp.tunes.get()
	}
	return c.tune
}

// putTune takes the state back, and what it holds of the budget.
func (ts *tcpState) putTune(u *tcpTune) {
	if u != nil {
		ts.tuned -= int64(u.granted)
		ts.tunes.put(u)
	}
}

// grant takes up to n bytes from the budget, and returns how many.
func (t *TCP) grant(n uint32) uint32 {
	s := t.s
	left := int64(s.cfg.TCP.TuneMem) - s.tcp.tuned
	if left <= 0 || s.short() {
		return 0
	}
	n = uint32(min(int64(n), left))
	s.tcp.tuned += int64(n)
	t.tunePart().granted += n
	return n
}

// recvFixed reports whether the user or the configuration has set the receive
// buffer's size for good.
func (t *TCP) recvFixed() bool {
	return t.s.cfg.TCP.RecvBufMax <= t.s.cfg.TCP.RecvBuf || t.cold != nil && t.cold.recvFixed
}

// tuneStep is how many bytes the application takes between two looks at the
// receive window: a power of two.
const tuneStep = 1 << 16

// tuneRecv looks whether the receive window is what holds the sender back.
func (t *TCP) tuneRecv() {
	if t.flags&tfWScale == 0 || t.recvFixed() {
		return
	}
	full := t.recvBuf()
	most := uint32(t.s.cfg.TCP.RecvBufMax)
	if full >= most {
		return
	}
	now := t.s.now
	taken := t.rcvNxt.Add(-(full - t.rcvWnd))
	u := t.tunePart()
	if u.start == 0 {
		*u = tcpTune{start: now, taken: taken, edge: t.rcvAnnEdge, edgeAt: now, granted: u.granted, space: u.space}
		return
	}
	u.sampleRTT(t.rcvNxt, t.rcvAnnEdge, now)
	rtt := t.recvRTT(u)
	elapsed := now - u.start
	if rtt == 0 || elapsed < rtt {
		return
	}
	// What arrived in the time, as of one round trip.
	perRTT := uint64(taken.Sub(u.taken)) * uint64(rtt) / uint64(elapsed)
	u.start, u.taken = now, taken
	u.space = max(u.space, uint32(min(perRTT, uint64(most))))
	if 2*perRTT <= uint64(full) {
		return
	}
	want := uint32(min(max(2*perRTT, 2*uint64(full)), uint64(most)))
	if n := t.grant(want - full); n > 0 {
		t.s.stats.TCP.RecvBufGrown++
		t.cold.recvBuf = full + n
		t.rcvWnd += n
	}
}

// sampleRTT measures a round trip at the receiver: what lies beyond the edge
// that was announced at edgeAt can't have been sent before that was heard, so
// that the time until it arrives is a round trip or more.
func (u *tcpTune) sampleRTT(rcvNxt, edge header.Seq, now int64) {
	if rcvNxt.LessEq(u.edge) {
		return
	}
	if d := now - u.edgeAt; u.rtt == 0 || d < u.rtt {
		u.rtt = max(d, 1)
	}
	u.edge, u.edgeAt = edge, now
}

// recvRTT is the round trip by which the receive window is measured, in ns: what
// our own segments took, the handshake's at least; else what a window took.
func (t *TCP) recvRTT(u *tcpTune) int64 {
	if t.rtt.srtt8 != 0 {
		return int64(t.rtt.srtt8) / 8 * 1000
	}
	return u.rtt
}

// sendBufSize is the size of the send buffer.
func (t *TCP) sendBufSize() uint32 {
	if t.cold != nil && t.cold.sendBuf != 0 {
		return t.cold.sendBuf
	}
	return uint32(t.s.cfg.TCP.SendBuf)
}

// TuneSndBuf makes the send buffer larger if it holds the connection back, and
// returns by how many bytes. SndBuf and Write do so themselves; it is for those
// who keep their own count of SndBuf.
func (t *TCP) TuneSndBuf() int {
	if t.s == nil || t.state != StateEstablished && t.state != StateCloseWait {
		return 0
	}
	cfg := &t.s.cfg.TCP
	if cfg.SendBufMax <= cfg.SendBuf || t.cold != nil && t.cold.sendFixed {
		return 0
	}
	size := t.sendBufSize()
	want := min(2*uint64(min(t.cc.Cwnd, t.sndWnd)), uint64(cfg.SendBufMax))
	if want <= uint64(size) || t.s.scarce(int(t.mss)) {
		return 0
	}
	n := t.grant(uint32(want) - size)
	if n == 0 {
		return 0
	}
	t.s.stats.TCP.SendBufGrown++
	t.cold.sendBuf = size + n
	t.sndBuf += n
	return int(n)
}

// SetRecvBuf sets the receive window in bytes, and ends its adaptation to the path
// (SO_RCVBUF); of a connection that is open it may only grow, as far as its window
// scale carries. ErrVal outside 536 … 1 GiB, or when it would shrink.
func (t *TCP) SetRecvBuf(n int) error {
	if t.s == nil || n < 536 || n > 1<<30 {
		return ErrVal
	}
	if t.state == StateClosed || t.state == StateListen {
		c := t.coldPart()
		c.recvBuf, c.recvFixed = uint32(n), true
		return nil
	}
	size := t.recvBuf()
	if n < int(size) {
		return ErrVal
	}
	most := uint32(0xffff)
	if t.flags&tfWScale != 0 {
		most <<= t.rcvScale
	}
	c := t.coldPart()
	c.recvFixed = true
	if grown := min(uint32(n), most); grown > size {
		c.recvBuf = grown
		t.rcvWnd += grown - size
	}
	return nil
}

// SetSendBuf sets how many bytes may be queued for sending, and ends its
// adaptation to the path (SO_SNDBUF); of a connection that is open it may only
// grow. ErrVal outside 536 … 1 GiB, or when it would shrink.
func (t *TCP) SetSendBuf(n int) error {
	if t.s == nil || n < 536 || n > 1<<30 {
		return ErrVal
	}
	size := int(t.sendBufSize())
	if t.state != StateClosed && t.state != StateListen && n < size {
		return ErrVal
	}
	c := t.coldPart()
	c.sendBuf, c.sendFixed = uint32(n), true
	t.sndBuf = uint32(int(int32(t.sndBuf)) + n - size)
	return nil
}

// inheritBuffers gives a connection the buffer sizes of its listener.
func (t *TCP) inheritBuffers(l *TCP) {
	if l.cold.recvBuf == 0 && l.cold.sendBuf == 0 {
		return
	}
	c := t.coldPart()
	c.recvBuf, c.recvFixed = l.cold.recvBuf, l.cold.recvFixed
	c.sendBuf, c.sendFixed = l.cold.sendBuf, l.cold.sendFixed
	t.sndBuf = t.sendBufSize()
}
