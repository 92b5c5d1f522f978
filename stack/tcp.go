package stack

import (
	"net/netip"
	"time"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// TCPState is a connection state of RFC 9293 3.3.2.
type TCPState uint8

// The states.
const (
	StateClosed TCPState = iota
	StateListen
	StateSynSent
	StateSynRcvd
	StateEstablished
	StateFinWait1
	StateFinWait2
	StateCloseWait
	StateClosing
	StateLastAck
	StateTimeWait
	numTCPStates
)

var stateNames = [numTCPStates]string{"CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED",
	"FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"}

// String is the RFC's name of the state.
func (s TCPState) String() string {
	if s < numTCPStates {
		return stateNames[s]
	}
	return "?"
}

// The callbacks of lwIP's raw API. arg is what SetArg set. They run on the
// stack's thread from Input or Poll and may call any function of the stack but
// Input, Poll and Close; they may close or abort the PCB they are called for.
type (
	// ConnectedFunc is called when a connection that Connect began is
	// established (tcp_connected_fn). An error result aborts it.
	ConnectedFunc = func(arg any, pcb *TCP, err error) error
	// AcceptFunc is called when a listener has a new connection
	// (tcp_accept_fn). arg is the listener's, which the connection inherits.
	// An error result aborts it.
	AcceptFunc = func(arg any, pcb *TCP, err error) error
	// RecvFunc is given data in order (tcp_recv_fn). It owns p and must free
	// it, and call Recved when the application has taken the bytes. p nil:
	// the peer has closed its side. An error result refuses the data: the
	// stack keeps p and offers it again later.
	RecvFunc func(arg any, pcb *TCP, p *pbuf.Pbuf, err error) error
	// SentFunc is told how many bytes of data were acknowledged (tcp_sent_fn).
	SentFunc func(arg any, pcb *TCP, n int) error
	// PollFunc is called at the interval set with SetPoll (tcp_poll_fn).
	PollFunc func(arg any, pcb *TCP) error
	// ErrFunc is told that the connection is gone (tcp_err_fn): reset, timed
	// out, aborted. The PCB must not be used any more.
	ErrFunc func(arg any, err error)
)

// tcpFlags are a connection's conditions.
type tcpFlags uint32

const (
	tfAckNow     tcpFlags = 1 << iota // send an ACK at the next chance
	tfNoDelay                         // no Nagle
	tfTimestamps                      // RFC 7323 timestamps agreed on
	tfWScale                          // RFC 7323 window scaling agreed on
	tfRecovery                        // in fast recovery
	tfPersist                         // rtxAt is the persist timer
	tfKeepAlive                       // keepalive on
	tfFinQueued                       // our FIN is in the send queue
	tfRxClosed                        // the user has shut down receiving
	tfClosePend                       // FIN could not be queued: no buffer
	tfInInput                         // Output waits until the input is done
	tfDetached                        // the user has closed it
	tfPeerFin                         // recv(nil) was delivered
	tfAwaitsPort                      // in its interface's waiting list
	tfSoftError                       // ICMP said that the peer can't be reached
	tfRTO                             // between a timeout and the ACK of all that was sent
	tfHeld                            // data is or was held back: out of order, or refused
	tfOwnCC                           // cold.own has a congestion controller or a pacing rate
	tfBig                             // segments longer than the MSS are queued and sent
	tfSack                            // RFC 2018 selective acknowledgements agreed on
	tfECN                             // RFC 3168 agreed on, or asked for
	tfPull                            // cold.pull has more to send
	tfPulls                           // or will have
	tfLoss                            // cold.loss: something is or was missing
	tfReordered                       // the path was seen to reorder (RFC 8985)
	tfTLP                             // rtxAt is the time of a tail loss probe
	tfReoTimer                        // rtxAt is RACK's reordering timer
	tfSackOut                         // cold.sack: there may be blocks to tell the peer
	tfProbe                           // cold.search: the path MTU is searched for
	tfFast                            // cold.fast: our SYN is not acknowledged, and has to do with Fast Open
	tfMeter                           // cold.meter, and cold.own: everything is counted
)

// tfSlow are the conditions in which header prediction must not be used.
const tfSlow = tfRecovery | tfRxClosed | tfPersist | tfRTO | tfHeld | tfLoss | tfMeter

// TCP is a connection or a listener (struct tcp_pcb). It belongs to its
// stack's thread. A PCB that was closed, aborted or reported to ErrFunc must
// not be used again; the stack will.
type TCP struct {
	// Cache lines in the order in which a segment needs them; the first five are
	// all that the traffic of an open connection touches (see hotLines). The
	// first finds the connection and predicts the header.
	local, remote  header.Addr
	lport, rport   uint16
	hash           uint32
	rcvNxt         header.Seq
	sndUna, sndNxt header.Seq
	rcvWnd         uint32 // free receive buffer
	tsRecent       uint32
	flags          tcpFlags

	// Second: what every segment needs.
	s          *Stack
	recv       RecvFunc
	arg        any
	sent       SentFunc
	sndMax     header.Seq // highest sequence number sent, plus one
	sndWnd     uint32
	rcvAnnEdge header.Seq // right edge of the announced window
	lastAck    header.Seq // last ACK sent
	mss        uint16     // payload of a full segment
	sndScale   uint8
	rcvScale   uint8
	dupAcks    uint8
	state      TCPState
	ackPending uint8 // segments received since the last ACK went out
	nrtx       uint8 // retransmissions in a row

	// Third: sending.
	sndq   pbuf.Queue // sent and unsent segments, in order
	unsent *pbuf.Pbuf // first of sndq not sent yet; nil: all sent
	cc     Congestion
	sndLbb header.Seq // sequence number of the next byte Write takes
	sndBuf uint32     // free send buffer
	sndWl1 header.Seq // segment of the last window update: sequence number
	sndWl2 header.Seq // and acknowledgement

	// Fourth: the path, and timers as absolute times, 0 being off. The wheel
	// holds one entry for all of them, at timerAt or earlier than it needs to be.
	nif      *Netif
	neigh    *neighbor
	cold     *tcpCold
	timerAt  int64
	rtxAt    int64 // retransmission or persist
	delack   int64
	ctlAt    int64 // keepalive, FIN-WAIT-2, TIME-WAIT
	ttl, tos uint8
	ccKind   ccKind
	ackEvery uint8  // segments that one ACK is for
	quick    uint8  // segments that are acknowledged at once, before that
	mssMax   uint16 // mss as far as the ends are concerned: the path may have less

	// Fifth: the round trip.
	rtt        rttEstimator
	id         uint32
	sndWndMax  uint32
	tsRecentAt uint32
	recover    header.Seq // RFC 6582
	iss, irs   header.Seq
	ooBytes    uint32
	pathGen    uint32
	tsOffset   uint32

	ooseq    pbuf.Queue // out-of-order segments, sorted, disjoint
	refused  *pbuf.Pbuf // data that RecvFunc refused
	errFn    ErrFunc
	opened   AcceptFunc // a listener's AcceptFunc, a client's ConnectedFunc
	listener *TCP       // while the connection counts against its backlog
	next     *TCP       // port bucket (listeners and bound PCBs), or free list
}

// tcpCold is what few connections have.
type tcpCold struct {
	poll      PollFunc
	pollEvery int64
	pollAt    int64
	refusedAt int64  // when refused data is offered again
	own       *ownCC // with tfOwnCC
	ecn       ecnBits
	ecnSeq    header.Seq // with ecnReduced
	ext       []any
	keep      KeepAlive
	keepSent  int
	lastRecv  int64
	backlog   int
	pending   int // connections that count against the backlog
	halfOpen  int // those of them in SYN-RECEIVED
	knobs     *tcpKnobs
	bound     bool
	family    family // what a listener that is bound to any address takes
	prev      *TCP   // in the port bucket
	tune      *tcpTune
	recvBuf   uint32 // 0: the stack's
	sendBuf   uint32
	recvFixed bool // the user has set it
	sendFixed bool
	sack      *sackOut // with tfSackOut
	loss      *tcpLoss // with tfLoss
	pull      *tcpPull
	search    *mtuSearch // with tfProbe
	claim     mtuClaim
	hist      tcpHistory
	meter     *tcpMeter // with tfMeter
	// challengeAt is when the next segment that may be forged is answered.
	challengeAt int64
	fast        *tcpFast // with tfFast, or of a PCB that SetFastOpen was called for
	fastInfo    fastInfo
	// RACK's reordering window is 1 + reoMult quarters of the least round trip, for
	// reoPersist more recoveries.
	reoMult, reoPersist uint8
}

// KeepAlive sets up keepalive probes (RFC 1122 4.2.3.6). Zero fields are the
// stack's configuration.
type KeepAlive struct {
	Idle, Interval time.Duration
	Count          int
}

// coldPart returns the cold part, making it at first use.
func (t *TCP) coldPart() *tcpCold {
	if t.cold == nil {
		t.cold = t.s.tcp.colds.get()
	}
	return t.cold
}

// SetArg sets what the callbacks get as arg (tcp_arg); Arg returns it.
func (t *TCP) SetArg(arg any) { t.arg = arg }
func (t *TCP) Arg() any       { return t.arg }

// SetRecv, SetSent, SetErr, SetAccept set the callbacks (tcp_recv, tcp_sent,
// tcp_err, tcp_accept). Nil restores the default: received data is freed and
// acknowledged, and a peer that closes is answered with Close.
func (t *TCP) SetRecv(fn RecvFunc)     { t.recv = fn }
func (t *TCP) SetSent(fn SentFunc)     { t.sent = fn }
func (t *TCP) SetErr(fn ErrFunc)       { t.errFn = fn }
func (t *TCP) SetAccept(fn AcceptFunc) { t.opened = fn }

// SetPoll has fn called every so often while the connection lives (tcp_poll);
// nil or a period that is not positive ends that.
func (t *TCP) SetPoll(fn PollFunc, every time.Duration) {
	if fn == nil || every <= 0 {
		if t.cold != nil {
			t.cold.poll, t.cold.pollAt = nil, 0
		}
		return
	}
	c := t.coldPart()
	c.poll, c.pollEvery = fn, int64(every)
	c.pollAt = t.s.now + c.pollEvery
	t.arm(c.pollAt)
}

// SetExtArg keeps a value under a small id that the user chose, 0 … 15
// (tcp_ext_arg_set); ExtArg returns it.
func (t *TCP) SetExtArg(id int, v any) {
	if id < 0 || id > 15 {
		return
	}
	c := t.coldPart()
	for len(c.ext) <= id {
		c.ext = append(c.ext, nil)
	}
	c.ext[id] = v
}

// ExtArg returns what SetExtArg kept under id, or nil.
func (t *TCP) ExtArg(id int) any {
	if t.cold == nil || id < 0 || id >= len(t.cold.ext) {
		return nil
	}
	return t.cold.ext[id]
}

// SetNoDelay turns the Nagle algorithm off or on (TCP_NODELAY).
func (t *TCP) SetNoDelay(on bool) { t.setFlag(tfNoDelay, on) }

// SetKeepAlive turns keepalive probes on, or off with nil (SO_KEEPALIVE).
func (t *TCP) SetKeepAlive(k *KeepAlive) {
	t.setFlag(tfKeepAlive, k != nil)
	if k == nil {
		return
	}
	c := t.coldPart()
	c.keep = *k
	cfg := &t.s.cfg.TCP
	def(&c.keep.Idle, cfg.KeepIdle)
	def(&c.keep.Interval, cfg.KeepInterval)
	def(&c.keep.Count, cfg.KeepCount)
	c.keepSent, c.lastRecv = 0, t.s.now
	t.armKeepalive() // or setState does, when the connection is established
}

// SetTTL and SetTOS set those fields of outgoing packets; TTL 0 is the
// stack's default.
func (t *TCP) SetTTL(ttl uint8) {
	def(&ttl, t.s.cfg.TTL)
	t.ttl = ttl
}
func (t *TCP) SetTOS(tos uint8) { t.tos = tos }

// State is the connection's state.
func (t *TCP) State() TCPState { return t.state }

// Stack is the stack that the PCB belongs to.
func (t *TCP) Stack() *Stack { return t.s }

// LocalAddr and RemoteAddr are the ends of the connection. The unspecified address
// stands for "any": 0.0.0.0 for all of IPv4 or of both families, :: for all of
// IPv6.
func (t *TCP) LocalAddr() netip.AddrPort {
	if t.local.IsZero() && t.family() == family6 {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), t.lport)
	}
	return t.s.addrPort(t.local, t.lport)
}

// RemoteAddr: see LocalAddr.
func (t *TCP) RemoteAddr() netip.AddrPort { return t.s.addrPort(t.remote, t.rport) }

// SndBuf is how many bytes Write takes now (tcp_sndbuf).
func (t *TCP) SndBuf() int {
	if t.s != nil && t.sndBuf < t.s.tcp.tuneBelow {
		t.TuneSndBuf()
	}
	return max(0, int(int32(t.sndBuf)))
}

// MSS is the payload of a full segment (tcp_mss).
func (t *TCP) MSS() int { return int(t.mss) }

// QueueLen is how many segments are queued or unacknowledged
// (tcp_sndqueuelen).
func (t *TCP) QueueLen() int { return t.sndq.Len() }

func (t *TCP) setFlag(f tcpFlags, on bool) {
	if on {
		t.flags |= f
	} else {
		t.flags &^= f
	}
}
