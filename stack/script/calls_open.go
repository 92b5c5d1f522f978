package script

import (
	"errors"
	"net/netip"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

func errorIsConn(err error) bool { return errors.Is(err, stack.ErrConn) }

// newFD gives a socket its number: what the script says that the call returns,
// which is a name to it and no more, or the lowest that is free.
func (r *runner) newFD(c *Call, s *sock) int64 {
	fd := int64(3)
	if want, err := c.Result.num(); err == nil && want > fd {
		fd = want
	}
	for r.fds[fd] != nil {
		fd++
	}
	r.fds[fd] = s
	return fd
}

// callSocket is socket(domain, type, protocol).
func callSocket(r *runner, c *Call) (attempt, error) {
	if err := c.want(3); err != nil {
		return nil, err
	}
	family := int64(afINET)
	if r.cfg.v6 || r.cfg.mapped {
		family = afINET6
	}
	domain, err := c.num(0, family)
	if err != nil {
		return nil, err
	}
	kind, err := c.num(1, sockStream)
	if err != nil {
		return nil, err
	}
	proto, err := c.num(2, 0)
	if err != nil {
		return nil, err
	}
	flags := kind & oNonblock
	kind &= 0xf
	switch {
	case domain != afINET && domain != afINET6:
		return func() outcome { return fail(errAFNOSUPPORT) }, nil
	case kind < sockStream || kind > 10:
		return func() outcome { return fail(errINVAL) }, nil
	case kind == sockStream && proto != 0 && proto != protoTCP, kind == sockDgram && proto == protoTCP:
		return func() outcome { return fail(errPROTONOSUPPORT) }, nil
	}
	if kind == sockRaw || kind == sockDgram && proto != 0 && proto != protoUDP {
		return nil, unsupported(c.Line, "sockets of this type and protocol")
	}
	return func() outcome {
		s := &sock{r: r, family: domain, kind: kind, flags: oRDWR | flags, opts: map[optKey]int64{}, stream: &stream{}}
		if kind == sockDgram {
			s.udp = r.w.stack.NewUDP()
			s.udp.SetRecv(func(_ any, _ *stack.UDP, p *pbuf.Pbuf, from netip.AddrPort) {
				b := make([]byte, p.TotLen())
				p.CopyPartial(b, 0)
				p.Free()
				s.dgrams = append(s.dgrams, dgram{b, from})
			})
			s.udp.SetErr(func(_ any, _ *stack.UDP, _ netip.AddrPort, err error) { s.err = errnoOf(err) })
			s.conn = r.newConn(protoUDP)
		} else {
			if s.tcp = r.w.stack.NewTCP(); s.tcp == nil {
				return fail(errNOMEM)
			}
			s.attach(s.tcp)
			s.conn = r.newConn(protoTCP)
			s.conn.stream = s.stream
		}
		s.conn.sock = s
		return ok(r.newFD(c, s))
	}, nil
}

// address reads a sockaddr; ... is def.
func (r *runner) address(e *Expr, def netip.AddrPort) (netip.AddrPort, error) {
	switch e.kind {
	case exprDots:
		return def, nil
	case exprStruct:
	default:
		return def, unsupported(0, "an address that is neither ... nor {sa_family = …}")
	}
	port := int64(0)
	ip := netip.IPv4Unspecified()
	var err error
	for _, name := range []string{"sin_port", "sin6_port"} {
		if p := e.member(name); p != nil {
			if port, err = p.num(); err != nil {
				return def, err
			}
		}
	}
	for _, name := range []string{"sin_addr", "sin6_addr"} {
		a := e.member(name)
		if a == nil {
			continue
		}
		if a.kind != exprCall || len(a.Args) != 1 || a.Args[0].kind != exprString {
			return def, unsupported(0, "an address that is not inet_addr(\"…\")")
		}
		if ip, err = netip.ParseAddr(a.Args[0].Str); err != nil {
			return def, syntax(0, "address %q", a.Args[0].Str)
		}
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
}

// callBind is bind(fd, address, length).
func callBind(r *runner, c *Call) (attempt, error) {
	if err := c.want(3); err != nil {
		return nil, err
	}
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	at, err := r.address(c.arg(1), netip.AddrPortFrom(r.cfg.local, r.cfg.bindPort))
	if err != nil {
		return nil, err
	}
	return func() outcome {
		var err error
		if s.udp != nil {
			err = s.udp.Bind(at)
		} else if s.tcp == nil || s.opened || s.listen {
			return fail(errINVAL)
		} else {
			err = s.tcp.Bind(at)
		}
		if err != nil {
			if errors.Is(err, stack.ErrVal) {
				return fail(errADDRNOTAVAIL)
			}
			return fail(errnoOf(err))
		}
		s.bound = at
		if s.conn.local.Port() == 0 {
			s.conn.local = netip.AddrPortFrom(r.cfg.local, at.Port())
		}
		return ok(0)
	}, nil
}

// callListen is listen(fd, backlog).
func callListen(r *runner, c *Call) (attempt, error) {
	if err := c.want(2); err != nil {
		return nil, err
	}
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	n, err := c.num(1, 1)
	if err != nil {
		return nil, err
	}
	return func() outcome {
		switch {
		case s.tcp == nil:
			return fail(errOPNOTSUPP)
		case s.listen:
			if err := s.tcp.SetBacklog(int(max(n, 1))); err != nil {
				return fail(errnoOf(err))
			}
			return ok(0)
		}
		s.tcp.SetAccept(s.onAccept)
		if err := s.tcp.Listen(int(max(n, 1))); err != nil {
			if errors.Is(err, stack.ErrIsConn) {
				return fail(errINVAL)
			}
			return fail(errnoOf(err))
		}
		s.listen = true
		s.applyFastOpen()
		s.conn.state = connListening
		return ok(0)
	}, nil
}

// callAccept is accept(fd, address, length).
func callAccept(r *runner, c *Call) (attempt, error) {
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	flags := int64(0)
	if c.Name == "accept4" {
		if flags, err = c.num(3, 0); err != nil {
			return nil, err
		}
	}
	return func() outcome {
		if !s.listen {
			return fail(errINVAL)
		}
		if len(s.accept) == 0 {
			return wouldBlock(s.nonblock())
		}
		n := s.accept[0]
		s.accept = s.accept[1:]
		n.flags |= flags & oNonblock
		if n.tcp != nil {
			n.tcp.BacklogAccepted()
		}
		return ok(r.newFD(c, n))
	}, nil
}

// wouldBlock is EAGAIN, or waiting.
func wouldBlock(nonblock bool) outcome {
	if nonblock {
		return fail(errAGAIN)
	}
	return outcome{}
}

// callConnect is connect(fd, address, length).
func callConnect(r *runner, c *Call) (attempt, error) {
	if err := c.want(3); err != nil {
		return nil, err
	}
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	to, err := r.address(c.arg(1), netip.AddrPortFrom(r.cfg.remote, r.cfg.connectPort))
	if err != nil {
		return nil, err
	}
	waiting := false
	return func() outcome {
		if s.later.IsValid() {
			return fail(errISCONN)
		}
		switch {
		case s.udp != nil:
			if err := s.udp.Connect(to); err != nil {
				return fail(errnoOf(err))
			}
			s.conn.remote, s.conn.local, s.conn.state = to, netip.AddrPortFrom(r.cfg.local, s.udp.LocalAddr().Port()), connConnecting
			return ok(0)
		case waiting || s.opened:
			return s.connecting(waiting)
		case s.tcp == nil || s.listen:
			return fail(errISCONN)
		}
		if got, done := s.connectLater(to); done {
			return got
		}
		if e := s.connect(to); e != errNone {
			return fail(e)
		}
		waiting = !s.nonblock()
		if s.nonblock() && !s.connected {
			return fail(errINPROGRESS)
		}
		return s.connecting(waiting)
	}, nil
}

// connect begins to open a connection.
func (s *sock) connect(to netip.AddrPort) errno {
	if s.opts[optKey{solTCP, tcpFastOpenConnect}] != 0 {
		_, e := s.fastOpen(to, nil)
		return e
	}
	return s.open(to, func(done stack.ConnectedFunc) error { return s.tcp.Connect(to, done) })
}

// open has fn begin to open a connection.
func (s *sock) open(to netip.AddrPort, fn func(stack.ConnectedFunc) error) errno {
	r := s.r
	r.cur = s.conn
	s.conn.remote, s.conn.state = to, connConnecting
	s.opened = true
	err := fn(func(_ any, _ *stack.TCP, err error) error {
		s.connected = err == nil
		return nil
	})
	if err != nil {
		s.opened = false
		return errnoOf(err)
	}
	return errNone
}

// connecting is how far a connect() has come.
func (s *sock) connecting(waiting bool) outcome {
	switch {
	case s.err != errNone:
		return fail(s.takeErr())
	case s.tcp == nil:
		return fail(errCONNABORTED)
	case s.connected && waiting:
		return ok(0)
	case s.connected:
		return fail(errISCONN)
	case waiting:
		return outcome{}
	}
	return fail(errALREADY)
}

// callClose is close(fd).
func callClose(r *runner, c *Call) (attempt, error) {
	if err := c.want(1); err != nil {
		return nil, err
	}
	s, fd, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	return func() outcome {
		delete(r.fds, fd)
		r.closeSock(s)
		return ok(0)
	}, nil
}

func (r *runner) closeSock(s *sock) {
	s.uncork()
	for _, a := range s.accept {
		r.closeSock(a)
	}
	s.accept = nil
	if s.udp != nil {
		s.udp.Close()
		s.udp = nil
	}
	if t := s.tcp; t != nil {
		s.tcp = nil
		_ = t.Close()
	}
}

// callShutdown is shutdown(fd, how).
func callShutdown(r *runner, c *Call) (attempt, error) {
	if err := c.want(2); err != nil {
		return nil, err
	}
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	how, err := c.num(1, 2)
	if err != nil {
		return nil, err
	}
	return func() outcome {
		if how < 0 || how > 2 {
			return fail(errINVAL)
		}
		if s.udp == nil && (s.tcp == nil || !s.connected) {
			return fail(errNOTCONN)
		}
		rx, tx := how != 1, how != 0
		s.uncork()
		if s.tcp != nil && tx && !s.wrShut {
			if err := s.tcp.Shutdown(false, true); err != nil {
				return fail(errnoOf(err))
			}
		}
		s.rdShut = s.rdShut || rx
		s.wrShut = s.wrShut || tx
		return ok(0)
	}, nil
}
