package netconn

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/stack"
)

// Listener is a TCP listener on all shards: a net.Listener.
type Listener struct {
	inbox
	addr  netip.AddrPort
	parts []*listenPart // by lane
	queue []*TCPConn    // to be accepted: from head on
	head  int
}

// listenPart is a listener on one shard.
type listenPart struct {
	ln   *Listener
	lane *lane
	want netip.AddrPort
	opts *TCPOptions // for its connections; nil: none

	word   atomic.Uint32 // somebody waits for opening
	open   waiter
	opened bool
	err    error

	// The shard's half.
	pcb     *stack.TCP
	addr    netip.AddrPort // as it was bound; with the event
	fail    error          // likewise
	waiting int            // connections that nobody has accepted or closed yet
}

// Listen listens on an address, on every shard. network is "tcp", "tcp4" or
// "tcp6"; an empty host, or "[::]" with "tcp", is all addresses of the network's
// families, "0.0.0.0" those of IPv4, port 0 one that is free on all shards. The
// Addr of a listener on all addresses of both families is 0.0.0.0 and its port.
func (n *Net) Listen(network, address string) (net.Listener, error) {
	return n.listenWith(network, address, nil)
}

// listenWith is Listen with options, if there are any.
func (n *Net) listenWith(network, address string, opts *TCPOptions) (net.Listener, error) {
	fail := func(addr net.Addr, err error) (net.Listener, error) {
		return nil, opError("listen", network, nil, addr, err)
	}
	if err := checkNetwork(network, "tcp"); err != nil {
		return fail(nil, err)
	}
	list, err := n.resolve(context.Background(), network, address)
	if err != nil {
		return fail(nil, err)
	}
	at := list[0]
	for try := 0; ; try++ {
		ln, err := n.listen(at, opts)
		if err == nil {
			return ln, nil
		}
		// A port that one shard found free may be taken on another.
		if at.Port() != 0 || try == 10 {
			return fail(net.TCPAddrFromAddrPort(shown(at)), err)
		}
	}
}

func (n *Net) listen(at netip.AddrPort, opts *TCPOptions) (*Listener, error) {
	ln := &Listener{}
	ln.init(n, n.lanes)
	if !n.register(ln) {
		return nil, net.ErrClosed
	}
	for _, l := range n.lanes {
		p := &listenPart{ln: ln, lane: l, want: at, opts: opts}
		p.open.init(l, &p.word, 1)
		if err := p.start(opListen); err != nil {
			_ = ln.Close() // it is not closed
			return nil, err
		}
		ln.mu.Lock()
		ln.parts = append(ln.parts, p)
		ln.mu.Unlock()
		at = withPort(at, p.addr) // the others take the same port
	}
	ln.addr = shown(at)
	return ln, nil
}

// start asks the shard to open the part and waits until it has.
func (p *listenPart) start(o op) error {
	l := p.lane
	l.lock()
	defer l.unlock()
	if err := l.usable(); err != nil {
		return err
	}
	l.push(message{to: p, op: o})
	l.kick()
	for !p.opened && p.err == nil {
		if err := l.usable(); err != nil {
			return err
		}
		if !l.drain() {
			l.block(&p.open)
		}
	}
	return p.err
}

// event: see endpoint.
func (p *listenPart) event(l *lane, m *message) {
	switch m.op {
	case evOpened:
		p.opened = true
	case evErr:
		p.err = p.fail
	}
	l.ready(&p.open)
}

func (p *listenPart) wants(*message) bool { return p.word.Load() != 0 }

// request: see endpoint.
func (p *listenPart) request(s *side, m *message) {
	switch m.op {
	case opListen:
		p.fail = p.listen(s)
		s.mark(p)
	case opClose:
		if p.pcb != nil {
			p.shut(s)
		}
		// Somebody is to drain evAccept, and find the listener closed.
		s.help = s.help || p.waiting > 0
	}
}

// listen opens the part on the shard's thread.
func (p *listenPart) listen(s *side) error {
	if s.stop {
		return net.ErrClosed
	}
	pcb := s.st.NewTCP()
	if pcb == nil {
		return os.NewSyscallError("listen", syscall.ENOBUFS)
	}
	pcb.SetArg(p)
	pcb.SetAccept(tcpAccept)
	if err := p.opts.apply(pcb); err != nil {
		_ = pcb.Close()
		return sysError("setsockopt", err)
	}
	err := pcb.Bind(p.want)
	if err == nil {
		err = pcb.Listen(s.l.net.cfg.Backlog)
	}
	if err != nil {
		_ = pcb.Close() // CLOSED: it is freed
		return bindError("bind", err)
	}
	p.pcb, p.addr = pcb, pcb.LocalAddr()
	s.parts = append(s.parts, p)
	return nil
}

// flush tells how opening went.
func (p *listenPart) flush(s *side) bool {
	if s.room == 0 {
		return false
	}
	ev := evOpened
	if p.fail != nil {
		ev = evErr
	}
	s.emit(message{to: p, op: ev})
	return true
}

// shut closes the part on the shard's thread.
func (p *listenPart) shut(s *side) {
	_ = p.pcb.Close() // a listener's can't fail
	p.pcb = nil
	s.dropPart(p)
}

// tcpAccept is the stack's callback: a connection is established. It counts
// against the backlog until Accept has taken it.
func tcpAccept(arg any, pcb *stack.TCP, _ error) error {
	p := arg.(*listenPart)
	if p.pcb == nil {
		return stack.ErrAborted
	}
	c := newTCPConn(p.lane)
	c.part = p
	c.adopt(pcb)
	pcb.BacklogDelayed(p.pcb)
	p.waiting++
	c.opened()
	return nil
}

// accept queues a connection. The lane's lock is held.
func (p *listenPart) accept(l *lane, c *TCPConn) {
	ln := p.ln
	ln.mu.Lock()
	closed := ln.closed
	if !closed {
		ln.queue = append(ln.queue, c)
		ln.added()
	}
	ln.mu.Unlock()
	if closed {
		c.closeLocked(true)
	}
}

// Accept waits for a connection and returns it, a *TCPConn.
func (ln *Listener) Accept() (net.Conn, error) {
	c, err := ln.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptTCP is Accept with the type.
func (ln *Listener) AcceptTCP() (*TCPConn, error) {
	err := ln.await() // takes mu
	if err != nil {
		ln.mu.Unlock()
		return nil, opError("accept", "tcp", nil, ln.Addr(), err)
	}
	c := ln.queue[ln.head]
	ln.queue[ln.head] = nil
	ln.head++
	ln.n--
	if ln.head*2 >= len(ln.queue) { // half of it is empty
		n := copy(ln.queue, ln.queue[ln.head:])
		clear(ln.queue[n:])
		ln.queue, ln.head = ln.queue[:n], 0
	}
	ln.mu.Unlock()
	l := c.lane
	l.lock()
	l.push(message{to: c, op: opAccepted})
	l.unlock()
	l.kick()
	return c, nil
}

// Addr is the listener's address, a *net.TCPAddr.
func (ln *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(ln.addr) }

// SetDeadline makes Accept fail with os.ErrDeadlineExceeded after t.
func (ln *Listener) SetDeadline(t time.Time) error {
	if err := ln.setDeadline(t); err != nil {
		return opError("set", "tcp", nil, ln.Addr(), err)
	}
	return nil
}

// Close stops listening. Connections that nobody has accepted are reset; those
// that were accepted go on.
func (ln *Listener) Close() error {
	if !ln.shut() {
		return opError("close", "tcp", nil, ln.Addr(), net.ErrClosed)
	}
	ln.net.unregister(ln)
	ln.mu.Lock()
	queue, parts := ln.queue[ln.head:], ln.parts
	ln.queue, ln.head, ln.n = nil, 0, 0
	ln.mu.Unlock()
	for _, c := range queue {
		c.lane.lock()
		c.closeLocked(true)
		c.lane.unlock()
		c.lane.kick()
	}
	for _, p := range parts {
		p.lane.lock()
		if !p.lane.done.Load() {
			p.lane.push(message{to: p, op: opClose})
		}
		p.lane.unlock()
		p.lane.kick()
	}
	return nil
}

func (ln *Listener) wake()  { ln.interrupt() }
func (ln *Listener) sweep() {} // connections hold buffers, listeners don't

func (p *listenPart) free() {}
