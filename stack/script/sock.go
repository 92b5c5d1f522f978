package script

import (
	"net/netip"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// sock is what a file descriptor of the script stands for: a BSD socket over
// the stack's raw API. Data that was received waits in rx until it is read, and
// keeps the window closed meanwhile.
type sock struct {
	r      *runner
	family int64
	kind   int64
	flags  int64 // O_…
	opts   map[optKey]int64

	tcp    *stack.TCP // nil: gone, or not a TCP socket
	udp    *stack.UDP
	conn   *conn
	bound  netip.AddrPort
	listen bool
	accept []*sock // connections that wait for accept()

	opened    bool // connect() was called
	connected bool
	rx        []byte
	rxAt      int // place of rx[0] in the stream
	eof       bool
	rdShut    bool
	wrShut    bool
	err       errno // SO_ERROR
	reported  bool  // its error was given out, later calls fail otherwise
	stream    *stream
	corked    []byte
	dgrams    []dgram
	sndLimit  int            // SO_SNDBUF; 0: the stack's
	optText   string         // the value of an option that is a string
	later     netip.AddrPort // what a connect() that was put off names
	tfoKeys   []stack.FastOpenKey
	last      stack.TCPInfo // before the packet that came last
}

// dgram is a datagram that was received.
type dgram struct {
	b    []byte
	from netip.AddrPort
}

type optKey struct{ level, opt int64 }

func (s *sock) nonblock() bool { return s.flags&oNonblock != 0 }

// attach makes the socket the user of a PCB.
func (s *sock) attach(t *stack.TCP) {
	s.tcp = t
	t.SetRecv(func(_ any, _ *stack.TCP, p *pbuf.Pbuf, _ error) error {
		if p == nil {
			s.eof = true
			return nil
		}
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		p.Free()
		s.rx = append(s.rx, b...)
		return nil
	})
	t.SetErr(func(_ any, err error) {
		s.tcp = nil
		s.err = errnoOf(err)
		if s.err == errCONNRESET && s.eof {
			s.err = errPIPE // the peer had closed before
		}
	})
}

// onAccept is a listener's AcceptFunc: the connection waits for accept().
func (s *sock) onAccept(_ any, t *stack.TCP, err error) error {
	if err != nil || t == nil {
		return nil
	}
	c := &sock{r: s.r, family: s.family, kind: s.kind, flags: oRDWR, opts: map[optKey]int64{}, connected: true, opened: true, stream: &stream{}}
	for k, v := range s.opts {
		c.opts[k] = v
	}
	c.attach(t)
	t.BacklogDelayed(s.tcp)
	s.accept = append(s.accept, c)
	s.r.join(c)
	return nil
}

// join finds the script's connection of a socket.
func (r *runner) join(s *sock) {
	for i := len(r.conns) - 1; i >= 0; i-- {
		c := r.conns[i]
		if c.proto == protoTCP && s.tcp != nil && c.remote == s.tcp.RemoteAddr() && c.local == s.tcp.LocalAddr() {
			c.sock, c.stream, s.conn = s, s.stream, c
			return
		}
	}
}

// adopt looks for the socket of a connection that was just set up anew.
func (r *runner) adopt(c *conn) {
	if c.sock != nil && c.sock.tcp == nil {
		c.sock, c.stream = nil, nil
	}
}

// takeErr gives the error out, once.
func (s *sock) takeErr() errno {
	e := s.err
	s.err = errNone
	if e != errNone {
		s.reported = true
	}
	return e
}

// readable and writable are what poll() says.
func (s *sock) readable() bool {
	return len(s.rx) > 0 || len(s.dgrams) > 0 || s.eof || s.rdShut || s.err != errNone || len(s.accept) > 0
}

func (s *sock) writable() bool {
	switch {
	case s.udp != nil, s.err != errNone, s.wrShut, s.later.IsValid():
		return true
	case s.tcp == nil:
		return s.opened
	}
	return s.connected && s.tcp.SndBuf() >= s.tcp.MSS()
}

// events is the poll mask of the socket.
func (s *sock) events() int64 {
	var m int64
	if s.readable() {
		m |= pollIn | 0x40
	}
	if s.writable() {
		m |= pollOut | 0x100
	}
	if s.eof || s.rdShut {
		m |= pollRdHup
	}
	dead := s.kind == sockStream && !s.listen && s.tcp == nil
	if dead && s.opened || (s.eof || s.rdShut) && s.wrShut || dead && !s.opened {
		m |= pollHup
	}
	if dead && s.opened {
		m |= pollIn | pollOut | pollRdHup
	}
	if s.err != errNone {
		m |= pollErr
	}
	return m
}

// read takes up to n bytes.
func (s *sock) read(n int, flags int64) (int64, errno, bool) {
	if s.udp != nil {
		return s.readDgram(n, flags)
	}
	switch {
	case s.listen || !s.opened && !s.connected && !s.later.IsValid():
		return -1, errNOTCONN, true
	case len(s.rx) > 0 && (flags&msgWaitAll == 0 || len(s.rx) >= n || s.eof):
		n = min(n, len(s.rx))
		if flags&msgPeek != 0 {
			return int64(n), errNone, true
		}
		if !s.intact(s.rx[:n]) {
			return -1, errFAULT, true
		}
		s.rx, s.rxAt = s.rx[n:], s.rxAt+n
		if s.tcp != nil {
			s.tcp.Recved(n)
		}
		return int64(n), errNone, true
	case s.err != errNone:
		return -1, s.takeErr(), true
	case s.eof || s.rdShut || s.tcp == nil || n == 0:
		return 0, errNone, true
	}
	return -1, errAGAIN, false
}

// intact reports whether bytes that are read are what the peer sent there.
func (s *sock) intact(b []byte) bool {
	for i, c := range b {
		if c != pattern(s.rxAt+i) {
			s.r.badWire = "or received byte " + itoa(s.rxAt+i) + " of the stream wrong"
			return false
		}
	}
	return true
}

func (s *sock) readDgram(n int, flags int64) (int64, errno, bool) {
	switch {
	case s.err != errNone:
		return -1, s.takeErr(), true
	case len(s.dgrams) > 0:
		have := len(s.dgrams[0].b)
		if flags&msgPeek == 0 {
			s.dgrams = s.dgrams[1:]
		}
		if flags&msgTrunc == 0 {
			have = min(have, n)
		}
		return int64(have), errNone, true
	case s.rdShut:
		return 0, errNone, true
	}
	return -1, errAGAIN, false
}

// write queues data, and returns how much the socket took.
func (s *sock) write(b []byte, flags int64) (int64, errno, bool) {
	if s.udp != nil {
		return s.writeDgram(b, netip.AddrPort{})
	}
	switch {
	case s.wrShut:
		return -1, errPIPE, true
	case s.err != errNone:
		return -1, s.takeErr(), true
	case s.tcp == nil && s.opened:
		return -1, errPIPE, true
	case s.listen || !s.opened:
		return -1, errPIPE, true
	case !s.connected:
		return -1, errAGAIN, false
	}
	more := flags&msgMore != 0 || s.opts[optKey{solTCP, tcpCork}] != 0
	b = append(s.corked, b...)
	held := len(s.corked)
	s.corked = nil
	n := min(len(b), s.tcp.SndBuf())
	if s.sndLimit > 0 {
		n = min(n, max(s.sndLimit-int(s.unacked()), 0))
	}
	if n == 0 && len(b) > 0 {
		return -1, errAGAIN, false
	}
	if more { // whole segments only; the rest waits for more
		whole := n - n%s.tcp.MSS()
		s.corked = append([]byte(nil), b[whole:n]...)
		if err := s.push(b[:whole], stack.WriteMore); err != errNone {
			return -1, err, true
		}
		return int64(n - held), errNone, true
	}
	if err := s.push(b[:n], 0); err != errNone {
		return -1, err, true
	}
	return int64(n - held), errNone, true
}

// push gives data to the stack.
func (s *sock) push(b []byte, flags stack.WriteFlags) errno {
	if len(b) == 0 {
		return errNone
	}
	if err := s.tcp.Write(b, flags); err != nil {
		if e := errnoOf(err); e != errNOTCONN {
			return e
		}
		return errPIPE
	}
	s.stream.b = append(s.stream.b, b...)
	_ = s.tcp.Output()
	return errNone
}

// uncork sends what was held back for more.
func (s *sock) uncork() {
	if len(s.corked) > 0 && s.tcp != nil {
		b := s.corked
		s.corked = nil
		s.push(b, 0)
	}
}

func (s *sock) writeDgram(b []byte, to netip.AddrPort) (int64, errno, bool) {
	if s.err != errNone {
		return -1, s.takeErr(), true
	}
	p := s.r.w.pool.Alloc(pbuf.LayerTransport, len(b), pbuf.KindPool)
	if p == nil {
		return -1, errNOBUFS, true
	}
	if len(b) > 0 {
		if err := p.Take(b); err != nil {
			return -1, errNOBUFS, true
		}
	}
	var err error
	if to.IsValid() {
		err = s.udp.SendTo(p, to)
	} else if err = s.udp.Send(p); errorIsConn(err) {
		return -1, errDESTADDRREQ, true
	}
	if err != nil {
		return -1, errnoOf(err), true
	}
	return int64(len(b)), errNone, true
}
