package script

import "fmt"

// callFcntl is fcntl(fd, F_GETFL) and fcntl(fd, F_SETFL, flags).
func callFcntl(r *runner, c *Call) (attempt, error) {
	if err := c.want(3, 2); err != nil {
		return nil, err
	}
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	cmd, err := c.num(1, 0)
	if err != nil {
		return nil, err
	}
	flags, err := c.num(2, 0)
	if err != nil {
		return nil, err
	}
	return func() outcome {
		switch cmd {
		case symbols["F_GETFL"]:
			return ok(s.flags)
		case symbols["F_SETFL"]:
			s.flags = flags | oRDWR
			return ok(0)
		}
		return fail(errINVAL)
	}, nil
}

// callIoctl is ioctl(fd, request, [value]).
func callIoctl(r *runner, c *Call) (attempt, error) {
	if err := c.want(3); err != nil {
		return nil, err
	}
	s, _, err := r.sock(c)
	if err != nil || s == nil {
		return badFD, err
	}
	req, err := c.num(1, 0)
	if err != nil {
		return nil, err
	}
	want, err := c.num(2, -1)
	if err != nil {
		return nil, err
	}
	return func() outcome {
		have := int64(0)
		switch req {
		case siocINQ:
			switch {
			case s.listen:
				return fail(errINVAL)
			case s.udp != nil && len(s.dgrams) > 0:
				have = int64(len(s.dgrams[0].b))
			case s.udp == nil:
				have = int64(len(s.rx))
			}
		case siocOUTQ, siocOUTQNSD:
			if s.listen {
				return fail(errINVAL)
			}
			if s.tcp != nil && s.connected {
				i := s.tcp.Info()
				have = int64(i.Unsent) + int64(len(s.corked))
				if req == siocOUTQ {
					have = s.unacked()
				}
			}
		case symbols["FIONBIO"]:
			s.flags &^= oNonblock
			if want != 0 {
				s.flags |= oNonblock
			}
			return ok(0)
		default:
			return fail(errINVAL)
		}
		got := ok(0)
		if want >= 0 && want != have {
			got.wrong = fmt.Sprintf("the value is %d, expected %d", have, want)
		}
		return got
	}, nil
}

// unacked is how many bytes the user has written that are not acknowledged.
func (s *sock) unacked() int64 {
	i := s.tcp.Info()
	n := int64(i.Unacked) + int64(i.Unsent)
	if s.wrShut && n > 0 {
		n-- // FIN
	}
	return n + int64(len(s.corked))
}

// callPoll is poll([{fd=3, events=POLLIN, revents=POLLIN}, …], n, timeout).
func callPoll(r *runner, c *Call) (attempt, error) {
	if err := c.want(3); err != nil {
		return nil, err
	}
	list := c.arg(0)
	if list.kind != exprList {
		return nil, unsupported(c.Line, "a pollfd that is not a list")
	}
	timeout, err := c.num(2, -1)
	if err != nil {
		return nil, err
	}
	type pollfd struct {
		fd, events, want int64
		check            bool
	}
	var fds []pollfd
	for _, e := range list.Args {
		var p pollfd
		for _, f := range []struct {
			name string
			to   *int64
		}{{"fd", &p.fd}, {"events", &p.events}, {"revents", &p.want}} {
			m := e.member(f.name)
			if m == nil || m.kind == exprDots {
				continue
			}
			p.check = p.check || f.name == "revents"
			if *f.to, err = m.num(); err != nil {
				return nil, err
			}
		}
		fds = append(fds, p)
	}
	deadline := r.now + min(max(timeout, -1), 1e9)*1e6
	r.wake = deadline
	return func() outcome {
		n := int64(0)
		wrong := ""
		for _, p := range fds {
			have := int64(pollNval)
			if s := r.fds[p.fd]; s != nil {
				have = s.events() & (p.events | pollErr | pollHup)
			}
			if have != 0 {
				n++
			}
			if p.check && have != p.want && wrong == "" {
				wrong = fmt.Sprintf("revents of %d is %#x, expected %#x", p.fd, have, p.want)
			}
		}
		if n == 0 && timeout != 0 && (timeout < 0 || r.now < deadline) {
			return outcome{}
		}
		return outcome{ret: n, done: true, wrong: wrong}
	}, nil
}
