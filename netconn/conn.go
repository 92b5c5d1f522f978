package netconn

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// What a goroutine that sleeps on a connection waits for, in tcpApp.waits.
const (
	waitRead  = 1
	waitWrite = 2
)

// TCPConn is a TCP connection: a net.Conn with the methods of net.TCPConn that
// make sense. Its methods may be called by any goroutine.
type TCPConn struct {
	lane          *lane
	local, remote netip.AddrPort
	part          *listenPart // that it came from; nil: dialled
	opts          *TCPOptions // to set before it is opened; nil: none

	rmu, wmu sync.Mutex // one Read and one Write at a time
	app      tcpApp
	_        ring.Pad
	sh       tcpShard
}

// tcpApp is the goroutines' half of a connection, guarded by the lane's lock.
type tcpApp struct {
	waits    atomic.Uint32 // waitRead, waitWrite: read by the shard
	rd, wr   waiter
	rdl, wdl deadline

	rx      pbuf.Queue // received, not read
	rxOff   int        // bytes of the first that are
	unread  int        // bytes
	heap    []byte     // unread bytes in front of rx, see toHeap
	reading bool       // rx is in use without the lock
	owed    int        // bytes read since the shard was woken for it

	snd    int // bytes that may be written
	mss    int
	window int // receive window when all is read

	early   int // bytes that the connection was opened with; see DialFastOpen
	opened  bool
	fin     bool // the peer has closed its side
	rclosed bool // CloseRead
	wclosed bool // CloseWrite
	closed  bool
	reset   bool   // Close resets (SetLinger(0))
	linger  uint32 // or after so many seconds; 0: see Config.Linger
	listed  bool   // in lane.conns
	err     error  // of the connection, final

	next, prev *TCPConn // in lane.conns
}

func newTCPConn(l *lane) *TCPConn {
	c := &TCPConn{lane: l}
	c.app.rd.init(l, &c.app.waits, waitRead)
	c.app.wr.init(l, &c.app.waits, waitWrite)
	return c
}

// event takes in what the shard says.
func (c *TCPConn) event(l *lane, m *message) {
	a := &c.app
	if m.n != 0 {
		a.snd += int(m.n)
		l.ready(&a.wr)
	}
	switch m.op {
	case evOpened:
		a.opened = true
		l.ready(&a.rd)
	case evAccept:
		a.opened = true
		c.part.accept(l, c)
	case evData:
		if a.closed || a.rclosed || l.closed {
			l.pushBack(c, m.p, m.p.TotLen())
			return
		}
		if !a.listed {
			c.list()
		}
		a.unread += m.p.TotLen()
		a.rx.Push(m.p)
		l.ready(&a.rd)
	case evFin:
		a.fin = true
		l.ready(&a.rd)
	case evErr:
		a.err = c.sh.err // written before the event was pushed
		l.ready(&a.rd)
		l.ready(&a.wr)
	}
}

// wants: see endpoint.
func (c *TCPConn) wants(m *message) bool {
	switch m.op {
	case evAccept:
		return c.part.ln.waits.Load() != 0
	case evSent:
		return c.app.waits.Load()&waitWrite != 0
	case evData:
		if m.n == 0 {
			return c.app.waits.Load()&waitRead != 0
		}
	}
	return c.app.waits.Load() != 0
}

// list and unlist keep lane.conns.
func (c *TCPConn) list() {
	a, l := &c.app, c.lane
	a.listed = true
	a.next, a.prev = l.conns, nil
	if a.next != nil {
		a.next.app.prev = c
	}
	l.conns = c
}

func (c *TCPConn) unlist() {
	a := &c.app
	if !a.listed {
		return
	}
	a.listed = false
	if a.prev != nil {
		a.prev.app.next = a.next
	} else {
		c.lane.conns = a.next
	}
	if a.next != nil {
		a.next.app.prev = a.prev
	}
	a.next, a.prev = nil, nil
}

// Close closes the connection (RFC 9293 3.10.4): what was written is still sent
// in the background. If data was received that nobody has read, the peer gets a
// reset instead (RFC 1122 4.2.2.13). Blocked operations return net.ErrClosed.
func (c *TCPConn) Close() error {
	l := c.lane
	l.lock()
	ok := c.closeLocked(false)
	l.unlock()
	if !ok {
		return c.opError("close", net.ErrClosed)
	}
	l.kick()
	return nil
}

// closeLocked is Close, or a reset; false: it was closed before.
func (c *TCPConn) closeLocked(reset bool) bool {
	a, l := &c.app, c.lane
	if a.closed {
		return false
	}
	a.closed = true
	reset = reset || a.reset || a.unread > 0
	a.rdl.stop()
	a.wdl.stop()
	c.discard(false)
	c.unlist()
	l.ready(&a.rd)
	l.ready(&a.wr)
	if !l.done.Load() {
		l.push(message{to: c, op: opClose, last: reset, n: a.linger})
	}
	return true
}

// discard drops what was received, opening the window by that much if the
// connection goes on.
func (c *TCPConn) discard(credit bool) {
	a, l := &c.app, c.lane
	n := len(a.heap)
	a.heap, a.unread = nil, 0
	if a.reading {
		return // the reader has the rest, and sees what we are about
	}
	a.rxOff = 0
	for p := a.rx.Pop(); p != nil; p = a.rx.Pop() {
		if credit {
			n += p.TotLen()
		}
		l.pushBack(c, p, 0)
	}
	if credit && n > 0 {
		l.pushBack(c, nil, n)
	}
}

// CloseRead makes reads return io.EOF from now on. What the peer still sends is
// taken and dropped.
func (c *TCPConn) CloseRead() error {
	a, l := &c.app, c.lane
	l.lock()
	err := c.usable()
	if err == nil && !a.rclosed {
		a.rclosed = true
		c.discard(true)
		l.push(message{to: c, op: opDiscard})
		l.ready(&a.rd)
	}
	l.unlock()
	l.kick()
	return c.opError("close", err)
}

// CloseWrite sends FIN behind what was written: the peer reads io.EOF. Writes
// fail with EPIPE from now on, reads go on.
func (c *TCPConn) CloseWrite() error {
	a, l := &c.app, c.lane
	l.lock()
	err := c.usable()
	if err == nil && !a.wclosed {
		a.wclosed = true
		l.push(message{to: c, op: opShutdown})
		l.ready(&a.wr)
	}
	l.unlock()
	l.kick()
	return c.opError("close", err)
}

// usable is nil as long as the connection is open on our side.
func (c *TCPConn) usable() error {
	if c.app.closed {
		return net.ErrClosed
	}
	return c.lane.usable()
}

// LocalAddr is our end of the connection, a *net.TCPAddr.
func (c *TCPConn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr is the peer's end of the connection, a *net.TCPAddr.
func (c *TCPConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// Shard is the ID of the shard that the connection lives on.
func (c *TCPConn) Shard() int { return c.lane.sh.ID() }

func (c *TCPConn) opError(op string, err error) error {
	if err == nil {
		return nil
	}
	return opError(op, "tcp", c.LocalAddr(), c.RemoteAddr(), err)
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *TCPConn) SetDeadline(t time.Time) error { return c.setDeadline(t, true, true) }

// SetReadDeadline makes reads fail with os.ErrDeadlineExceeded after t, those
// that are blocked, too. The zero time is no deadline.
func (c *TCPConn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, true, false) }

// SetWriteDeadline is the same for writes.
func (c *TCPConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, false, true) }

func (c *TCPConn) setDeadline(t time.Time, rd, wr bool) error {
	a, l := &c.app, c.lane
	l.lock()
	err := c.usable()
	if err == nil {
		if rd && a.rdl.set(t, c.readDeadline) {
			l.ready(&a.rd)
		}
		if wr && a.wdl.set(t, c.writeDeadline) {
			l.ready(&a.wr)
		}
	}
	l.unlock()
	return c.opError("set", err)
}

func (c *TCPConn) readDeadline() {
	c.lane.lock()
	if c.app.rdl.fired() {
		c.lane.ready(&c.app.rd)
	}
	c.lane.unlock()
}

func (c *TCPConn) writeDeadline() {
	c.lane.lock()
	if c.app.wdl.fired() {
		c.lane.ready(&c.app.wr)
	}
	c.lane.unlock()
}

// SetLinger with 0 makes Close reset the connection. Else Close returns at once, and
// what was written is sent in the background: for so many seconds, after which the
// connection is reset and the rest discarded; with a negative value, the default, as
// long as the peer acknowledges any of it (Config.Linger).
func (c *TCPConn) SetLinger(sec int) error {
	c.lane.lock()
	err := c.usable()
	if err == nil {
		c.app.reset, c.app.linger = sec == 0, uint32(min(max(sec, 0), 1<<20))
	}
	c.lane.unlock()
	return c.opError("set", err)
}

// SetNoDelay turns the Nagle algorithm off (true, the default) or on.
func (c *TCPConn) SetNoDelay(on bool) error {
	return c.option(func(pcb *stack.TCP) { pcb.SetNoDelay(on) })
}

// SetKeepAlive turns keepalive probes on or off, with the stack's times.
func (c *TCPConn) SetKeepAlive(on bool) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: on})
}

// SetKeepAlivePeriod sets how long the connection may be idle before the first
// probe, and the time between probes, and turns probes on.
func (c *TCPConn) SetKeepAlivePeriod(d time.Duration) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d, Interval: d})
}

// SetKeepAliveConfig sets up keepalive probes (RFC 1122 4.2.3.6). Fields that
// are not positive are the stack's configuration.
func (c *TCPConn) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	return c.option(func(pcb *stack.TCP) { setKeepAlive(pcb, k) })
}

// option has fn run on the shard's thread, unless the connection is gone there.
func (c *TCPConn) option(fn func(*stack.TCP)) error {
	c.lane.lock()
	err := c.usable()
	c.lane.unlock()
	if err == nil {
		err = c.lane.sh.Do(func(*shard.Shard) {
			if c.sh.pcb != nil {
				fn(c.sh.pcb)
			}
		})
	}
	return c.opError("set", err)
}

// Info describes the connection as the stack sees it. It waits for the shard.
func (c *TCPConn) Info() (info stack.TCPInfo, err error) {
	c.lane.lock()
	err = c.usable()
	c.lane.unlock()
	if err == nil {
		err = c.lane.sh.Call(func(*shard.Shard) error {
			if c.sh.pcb == nil {
				return os.NewSyscallError("getsockopt", syscall.ENOTCONN)
			}
			info = c.sh.pcb.Info()
			return nil
		})
	}
	return info, c.opError("get", err)
}
