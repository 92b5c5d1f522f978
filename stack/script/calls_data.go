package script

import (
	"fmt"
	"net/netip"
)

// callRead is read(fd, buffer, n), recv(fd, buffer, n, flags) and recvfrom.
func callRead(r *runner, c *Call) (attempt, error) {
	if err := c.want(3, 4, 6); err != nil {
		return nil, err
	}
	n, err := c.count(2)
	if err != nil {
		return nil, err
	}
	return readAttempt(r, c, n, 3)
}

// callReadv is readv(fd, [{..., n}, …], count).
func callReadv(r *runner, c *Call) (attempt, error) {
	if err := c.want(3); err != nil {
		return nil, err
	}
	n, _, err := iovec(c.arg(1))
	if err != nil {
		return nil, err
	}
	return readAttempt(r, c, n, 99)
}

// callRecvmsg is recvmsg(fd, {…}, flags).
func callRecvmsg(r *runner, c *Call) (attempt, error) {
	if err := c.want(3); err != nil {
		return nil, err
	}
	m, err := message(c)
	if err != nil {
		return nil, err
	}
	try, err := readAttempt(r, c, m.n, 2)
	if err != nil || m.inq == nil {
		return try, err
	}
	s, _, _ := r.sock(c)
	want, err := m.inq.num()
	if err != nil {
		return nil, err
	}
	return func() outcome {
		got := try()
		if have := s.unread(); got.done && have != want {
			got.wrong = fmt.Sprintf("TCP_CM_INQ is %d, expected %d", have, want)
		}
		return got
	}, nil
}

// unread is how many bytes wait to be read, a FIN counting as one when nothing
// else does, as Linux counts.
func (s *sock) unread() int64 {
	if len(s.rx) == 0 && s.eof {
		return 1
	}
	return int64(len(s.rx))
}

// readAttempt reads n bytes; flags is the argument that has flags.
func readAttempt(r *runner, c *Call, n, flagsArg int) (attempt, error) {
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	flags, err := c.num(flagsArg, 0)
	if err != nil {
		return nil, err
	}
	if bad := flags &^ (msgPeek | msgDontWait | msgWaitAll | msgTrunc | msgNoSignal); bad != 0 {
		return nil, unsupported(c.Line, "flags %#x of %s", bad, c.Name)
	}
	return func() outcome {
		ret, e, done := s.read(n, flags)
		return block(s, flags, ret, e, done)
	}, nil
}

// block turns EAGAIN into waiting, for who waits.
func block(s *sock, flags, ret int64, e errno, done bool) outcome {
	if !done {
		return wouldBlock(s.nonblock() || flags&msgDontWait != 0)
	}
	return outcome{ret: ret, err: e, done: true}
}

// callWrite is write(fd, buffer, n) and send(fd, buffer, n, flags).
func callWrite(r *runner, c *Call) (attempt, error) {
	if err := c.want(3, 4); err != nil {
		return nil, err
	}
	n, err := c.count(2)
	if err != nil {
		return nil, err
	}
	return writeAttempt(r, c, spelled(c.arg(1), n), 3)
}

// spelled is the payload of a call: what the script spells out, else a pattern
// that depends on the place in the stream.
func spelled(e *Expr, n int) payload {
	if e.kind == exprString && len(e.Str) >= n {
		return payload{b: []byte(e.Str[:n]), n: n}
	}
	return payload{n: n}
}

// payload is what a call sends.
type payload struct {
	b []byte // nil: a pattern
	n int
}

func (p payload) bytes(off int) []byte {
	if p.b != nil {
		return p.b
	}
	return fill(off, p.n)
}

// callWritev is writev(fd, [{..., n}, …], count).
func callWritev(r *runner, c *Call) (attempt, error) {
	if err := c.want(3); err != nil {
		return nil, err
	}
	n, b, err := iovec(c.arg(1))
	if err != nil {
		return nil, err
	}
	return writeAttempt(r, c, payload{b: b, n: n}, 99)
}

// callSendmsg is sendmsg(fd, {…}, flags).
func callSendmsg(r *runner, c *Call) (attempt, error) {
	if err := c.want(3); err != nil {
		return nil, err
	}
	m, err := message(c)
	if err != nil {
		return nil, err
	}
	return writeAttempt(r, c, payload{b: m.b, n: m.n}, 2)
}

// writeAttempt sends data. A call that blocks goes on until all of it is
// queued; one that does not takes what fits.
func writeAttempt(r *runner, c *Call, data payload, flagsArg int) (attempt, error) {
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	flags, err := c.num(flagsArg, 0)
	if err != nil {
		return nil, err
	}
	if bad := flags &^ (msgDontWait | msgNoSignal | msgMore | msgFastOpen); bad != 0 {
		return nil, unsupported(c.Line, "flags %#x of %s", bad, c.Name)
	}
	if s.fastOpens(flags) {
		return fastOpenAttempt(s, netip.AddrPortFrom(r.cfg.remote, r.cfg.connectPort), data, flags), nil
	}
	wait := !s.nonblock() && flags&msgDontWait == 0
	var b []byte
	sent := int64(0)
	return func() outcome {
		if b == nil {
			b = data.bytes(len(s.stream.b) + len(s.corked))
		}
		for {
			ret, e, done := s.write(b[sent:], flags)
			switch {
			case done && e == errNone:
				sent += ret
				if sent == int64(len(b)) || !wait || s.udp != nil {
					return ok(sent)
				}
			case sent > 0 && (done || !wait):
				return ok(sent)
			default:
				return block(s, flags, ret, e, done)
			}
		}
	}, nil
}

// callSendto is sendto(fd, buffer, n, flags, address, length).
func callSendto(r *runner, c *Call) (attempt, error) {
	if err := c.want(6); err != nil {
		return nil, err
	}
	n, err := c.count(2)
	if err != nil {
		return nil, err
	}
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	flags, err := c.num(3, 0)
	if err != nil {
		return nil, err
	}
	if e := c.arg(4); flags&msgFastOpen != 0 && e.kind == exprWord && e.Str == "AF_UNSPEC" {
		return func() outcome { return fail(errOPNOTSUPP) }, nil
	}
	to, err := r.address(c.arg(4), netip.AddrPortFrom(r.cfg.remote, r.cfg.connectPort))
	if err != nil {
		return nil, err
	}
	data := spelled(c.arg(1), n)
	switch {
	case s.fastOpens(flags):
		return fastOpenAttempt(s, to, data, flags), nil
	case s.udp == nil:
		return writeAttempt(r, c, data, 3)
	}
	return func() outcome {
		if s.conn.remote.Port() == 0 {
			s.conn.remote, s.conn.state = to, connConnecting
		}
		return block(s, flags, 0, errNone, true).with(s.writeDgram(data.bytes(0), to))
	}, nil
}

// with is the outcome of a call that is over.
func (o outcome) with(ret int64, e errno, done bool) outcome {
	o.ret, o.err, o.done = ret, e, done
	return o
}

// iovec adds up [{..., n}, {"…", n}]. b is nil unless all of it is spelled out.
func iovec(e *Expr) (n int, b []byte, err error) {
	if e.kind != exprList {
		return 0, nil, unsupported(0, "an iovec that is not a list")
	}
	open := false
	for _, v := range e.Args {
		if v.kind != exprStruct || len(v.Args) != 2 {
			return 0, nil, unsupported(0, "an iovec that is not {..., n}")
		}
		k, err := v.Args[1].num()
		if err != nil {
			return 0, nil, err
		}
		if k < 0 || k > maxBytes || n+int(k) > maxBytes {
			return 0, nil, syntax(0, "an iovec of %d bytes", k)
		}
		p := spelled(v.Args[0], int(k))
		open = open || p.b == nil
		n, b = n+int(k), append(b, p.b...)
	}
	if open {
		b = nil
	}
	return n, b, nil
}

// msg is a msghdr.
type msg struct {
	n   int
	b   []byte
	inq *Expr // the TCP_CM_INQ message that recvmsg is to give
}

func message(c *Call) (m msg, err error) {
	e := c.arg(1)
	if e.kind != exprStruct {
		return m, unsupported(0, "a msghdr that is not {msg_name(...)=…, …}")
	}
	for _, a := range e.Args {
		if a.kind != exprAssign {
			continue
		}
		switch a.Str {
		case "msg_iov":
			if m.n, m.b, err = iovec(a.Args[0]); err != nil {
				return m, err
			}
		case "msg_control":
			for _, cm := range a.Args[0].Args {
				if t := cm.member("cmsg_type"); t == nil || t.Str != "TCP_CM_INQ" {
					return m, unsupported(0, "control messages but TCP_CM_INQ")
				}
				m.inq = cm.member("cmsg_data")
			}
		}
	}
	return m, nil
}
