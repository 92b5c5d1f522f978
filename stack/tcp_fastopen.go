package stack

import (
	"time"

	"github.com/shardstack/shardstack/header"
)

// TCP Fast Open (RFC 7413): data in the SYN, answered before the handshake is
// through. A server gives each client a cookie, a keyed hash of their addresses,
// and takes data of a SYN that brings it back.
//
//	client  ConnectWrite ─┬ cookie known: fastSyn       SYN, data and cookie in one
//	                      └ none: a SYN that asks       the data follows the handshake
//	        inSynSent ──── fastAcked                    cache, or send the data again
//	server  listenSyn ─ fastListen ─┬ good: fastAccept  AcceptFunc, RecvFunc, SYN-ACK, answer
//	                                └ no or bad cookie: a SYN-ACK that brings one
//	        inSynRcvd ──── fastOpened                   the handshake is through
//
// Cookies are in tcp_fastopen_cookie.go, what clients remember of servers in
// tcp_fastopen_cache.go. A connection has a tcpFast as long as its SYN is not
// acknowledged (tfFast); what is to be known of it later is a byte of its cold part.
// All others pay nothing.

// FastOpen says how a listener or a connection uses TCP Fast Open (RFC 7413). The
// zero FastOpen does not.
type FastOpen struct {
	// Pending, of a listener, is how many of its connections AcceptFunc may have got
	// whose handshake is not through (RFC 7413 4.2, PendingFastOpenRequests).
	// Beyond, SYNs are answered as without Fast Open (5.1). Negative: as many as
	// the backlog. Default 0: none; at most 2^20.
	Pending int
	// Connect, of a connection, has ConnectWrite use it.
	Connect bool
	// NoCookie has a listener take data of SYNs that bring no good cookie, and a
	// connection send data without one. Who forges addresses is not kept out then:
	// for networks where nobody does (RFC 7413 7.3).
	NoCookie bool
	// Keys of a listener's cookies: the first makes them, and both are good. At most
	// two. Default: the stack's.
	Keys []FastOpenKey
}

// FastOpenKey is the secret of cookies, in the bytes of Linux's TCP_FASTOPEN_KEY.
// Stacks and hosts with the same key take each other's cookies.
type FastOpenKey [16]byte

// FastOpenConfig sets up TCP Fast Open (RFC 7413) of a stack.
type FastOpenConfig struct {
	// FastOpen is that of listeners and connections for which SetFastOpen was not
	// called. Default: off. Without Keys, they are derived from Config.FlowSecret and
	// change every hour, which shards of a group do alike.
	FastOpen
	// Servers is of how many pairs of own address and server the cookie is remembered.
	// Default 1024, at most 2^20.
	Servers int
	// Pause is how long a server is left alone, after a second attempt in a row of
	// which no data came through; it doubles with each further one, up to 64 times
	// (RFC 7413 4.1.3.1). Default 2 min; negative: not at all.
	Pause time.Duration
	// BlackHole is how long nothing is tried at all after a connection that began
	// with data in its SYN has timed out three times in a row, as it would on a path
	// that drops all of it; it doubles as Pause does. Default 0: off, as in Linux.
	BlackHole time.Duration
}

// fastPending is the most that FastOpen.Pending can be.
const fastPending = 1 << 20

// valid reports whether the fields are in their ranges.
func (o *FastOpen) valid() bool { return o.Pending <= fastPending && len(o.Keys) <= 2 }

func (c *FastOpenConfig) setDefaults() {
	def(&c.Servers, 1024)
	def(&c.Pause, 2*time.Minute)
}

func (c *FastOpenConfig) valid() bool {
	return c.FastOpen.valid() && c.Servers >= 1 && c.Servers <= 1<<20 && c.BlackHole >= 0
}

// SetFastOpen sets how the PCB uses TCP Fast Open, before Connect, or of a listener
// at any time (TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE,
// TCP_FASTOPEN_KEY). Keys are copied. ErrIsConn: it is a connection; ErrVal: more
// than 2^20 pending, or more than two keys.
func (t *TCP) SetFastOpen(o FastOpen) error {
	if t.s == nil || t.state != StateClosed && t.state != StateListen {
		return ErrIsConn
	}
	if !o.valid() {
		return ErrVal
	}
	f := t.fastPart()
	f.own, f.pendingMost, f.connect, f.noCookie = true, o.Pending, o.Connect, o.NoCookie
	f.keys.set(o.Keys)
	return nil
}

// FastOpen is how the PCB uses TCP Fast Open: as SetFastOpen has set it, or the stack's
// configuration. Keys are its own only.
func (t *TCP) FastOpen() (o FastOpen) {
	if t.s == nil {
		return o
	}
	o.Pending, o.Connect, o.NoCookie = t.fastOptions()
	if t.cold != nil && t.cold.fast != nil {
		o.Keys = t.cold.fast.keys.list()
	}
	return o
}

// tcpFast is what a listener or a connection that opens has for Fast Open.
type tcpFast struct {
	own         bool // SetFastOpen was called
	connect     bool
	noCookie    bool
	server      bool // of a listener's connection
	early       bool // which the user had before its handshake was through
	held        bool // and holds back from its listener's backlog
	reset       bool // and which the peer has reset before
	exp         bool // the experimental option
	cookieLen   int8 // of the option in SYN or SYN-ACK; 0: asks for a cookie; -1: there is none
	cookie      [header.TCPFastOpenMost]byte
	pendingMost int
	keys        fastKeys
	data        uint32 // bytes that went with our SYN

	// Of a listener.
	pending int     // connections whose handshake is not through, or was reset
	resets  []int64 // until when those that were reset count, in order
	// Of an early connection: where it counts, nil: that is gone.
	listener *TCP
}

// fastState is the stack's.
type fastState struct {
	parts       freeList[tcpFast]
	keys        fastKeys
	hourly      epochKeys
	servers     []fastSet
	pausedUntil int64
	pauses      uint8 // black holes in a row
}

func (s *Stack) fastInit() {
	f := &s.tcp.fast
	f.keys.set(s.cfg.TCP.FastOpen.Keys)
	f.hourly.label = labelFastOpen
}

// fastPart returns the part, making it at first use.
func (t *TCP) fastPart() *tcpFast {
	c := t.coldPart()
	if c.fast == nil {
		c.fast = t.s.tcp.fast.parts.get()
		c.fast.cookieLen = -1
	}
	return c.fast
}

// fastBegin is fastPart of a connection that opens now.
func (t *TCP) fastBegin() *tcpFast {
	t.flags |= tfFast
	return t.fastPart()
}

// fastDone gives the part of a connection back: its SYN is acknowledged, or it is
// gone.
func (t *TCP) fastDone() {
	f := t.cold.fast
	if l := f.listener; l != nil && l.cold != nil && l.cold.fast != nil {
		l.cold.fast.left(f.reset, t.s.now)
	}
	t.flags &^= tfFast
	t.cold.fast = nil
	t.s.tcp.fast.parts.put(f)
}

// early reports whether the user has a connection whose handshake is not through.
func (t *TCP) early() bool { return t.flags&tfFast != 0 && t.cold.fast.early }

// fastFree is fastDone for a PCB that is freed, whatever it was.
func (t *TCP) fastFree() {
	c := t.cold
	if t.flags&tfFast != 0 {
		if f := c.fast; !f.server && f.data != 0 && t.nrtx != 0 { // nobody has answered
			t.s.fastServer(t.local, t.remote).failed(t.s)
		}
		t.fastDone()
		return
	}
	if c.fast != nil {
		t.s.tcp.fast.parts.put(c.fast)
	}
	const done = fastSynData | fastTried
	if c.fastInfo&done == done && t.nrtx == 0 { // it lived and died in peace
		t.s.tcp.fast.pauses = 0
	}
}

// fastInfo is what is known of a connection's Fast Open when it is through; the low
// bits are a FastOpenFail.
type fastInfo uint8

const (
	fastFailMask fastInfo = 3
	fastSynData  fastInfo = 4 // data of the SYN was acknowledged, or taken
	fastTried    fastInfo = 8 // our SYN had data
)

// FastOpenFail says why no data of our SYN was acknowledged, as Linux's
// tcpi_fastopen_client_fail does.
type FastOpenFail uint8

// The reasons.
const (
	FastOpenUnspecified      FastOpenFail = iota // it was, or there was no attempt
	FastOpenNoCookie                             // there was no cookie yet
	FastOpenNotAcked                             // the server did not take it
	FastOpenSynRetransmitted                     // the SYN timed out
)

// putFastOpen writes the option to b and returns its length.
func (t *TCP) putFastOpen(b []byte) int {
	if t.fastOptionLen() == 0 {
		return 0
	}
	f := t.cold.fast
	return header.PutFastOpen(b, f.cookie[:f.cookieLen], f.exp)
}

// fastOptionLen is what the option takes in the SYN or SYN-ACK that is sent now. It
// is left out when the first has timed out: some middlebox may not like it (RFC 7413
// 4.1.3.1, 7.1).
func (t *TCP) fastOptionLen() int {
	if t.flags&tfFast == 0 {
		return 0
	}
	f := t.cold.fast
	if f.cookieLen < 0 || t.nrtx != 0 || !f.server && t.state != StateSynSent {
		return 0
	}
	return header.FastOpenLen(int(f.cookieLen), f.exp)
}

// fastNagle reports whether nothing but our SYN is in flight, for which data that
// may go does not wait.
func (t *TCP) fastNagle() bool { return t.sndUna == t.iss && t.sndNxt == t.iss.Add(1) }
