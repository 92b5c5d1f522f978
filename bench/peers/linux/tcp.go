package linux

import (
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// serve opens the loop's port and gives each connection to accepted.
func (l *loop) serve(accepted func(fd int) error) error {
	var fd int
	if err := l.asServer(func() (err error) { fd, err = newListener(l.port); return err }); err != nil {
		return err
	}
	return l.add(fd, unix.EPOLLIN, func() {
		for {
			c, e := accept(fd)
			if e != 0 {
				return
			}
			if accepted(c) != nil {
				l.drop(c)
			}
		}
	})
}

// echo has every connection answered in kind. Those that the peer closes are
// closed.
func (l *loop) echo(s *work.Spec) error {
	buf := make([]byte, s.Size)
	return l.serve(func(fd int) error {
		got := 0
		ready := func() {
			n, e := recv(fd, buf[got:], 0)
			switch {
			case e == unix.EAGAIN:
			case n == 0 || e != 0:
				l.drop(fd)
			default:
				if got += n; got == len(buf) {
					got = 0
					_, _ = send(fd, buf) // the socket has room: one message a connection
				}
			}
		}
		noDelay(fd)
		err := l.add(fd, unix.EPOLLIN, ready)
		if err == nil {
			ready() // a request is mostly there already
		}
		return err
	})
}

// client begins to connect from address i, and has done called for each answer
// of s.Size bytes, and when the connection ends without.
func (l *loop) client(i int, s *work.Spec, buf []byte, done func(fd int, ok bool)) (int, error) {
	fd, err := newConn(i, l.port)
	if err != nil {
		return 0, err
	}
	noDelay(fd)
	got := 0
	return fd, l.add(fd, unix.EPOLLIN, func() {
		n, e := recv(fd, buf[got:], 0)
		switch {
		case e == unix.EAGAIN:
		case n == 0 || e != 0:
			done(fd, false)
		default:
			if got += n; got == s.Size {
				got = 0
				done(fd, true)
			}
		}
	})
}

// request sends a message once the handshake is over, which it is at once
// unless packets were deferred.
func (l *loop) request(fd int, buf []byte) error {
	for {
		_, e := send(fd, buf)
		switch e {
		case 0:
			return nil
		case unix.EAGAIN:
			l.step()
		default:
			return e
		}
	}
}

// rr keeps one message under way on each connection, or on as many as
// work.InFlight lets it; each core serves both ends of its share.
func rr(s *work.Spec, loops []*loop) error {
	for i, l := range loops {
		buf := make([]byte, s.Size)
		var turns work.Turns[int]
		answered := func(fd int, ok bool) {
			if !ok {
				l.drop(fd)
				return
			}
			l.count.Add(1)
			_, _ = send(turns.Next(fd), buf) // as above
		}
		begin := func() error {
			if err := l.echo(s); err != nil {
				return err
			}
			var fds []int
			for k := i; k < s.Conns; k += len(loops) {
				fd, err := l.client(k/32768, s, buf, answered)
				if err != nil {
					return err
				}
				fds = append(fds, fd)
				if len(fds)%64 == 0 {
					l.step() // lets the server accept
				}
			}
			for _, fd := range turns.Begin(fds, max(1, work.InFlight*len(s.Cores)/len(loops))) {
				if err := l.request(fd, buf); err != nil {
					return err
				}
			}
			return nil
		}
		if err := l.start(begin, l.step); err != nil {
			return err
		}
	}
	return nil
}

// cps keeps s.Conns connections under way, each of which connects, sends a
// message, gets one, and closes.
func cps(s *work.Spec, loops []*loop) error {
	for i, l := range loops {
		buf := make([]byte, s.Size)
		free, turn := 0, 0
		done := func(fd int, ok bool) {
			l.drop(fd)
			if ok {
				l.count.Add(1)
			}
			free++
		}
		round := func() {
			for ; free > 0; free-- {
				turn++
				fd, err := l.client(turn, s, buf, done)
				if err != nil {
					break // no port just now: the next round
				}
				if l.request(fd, buf) != nil {
					l.drop(fd)
				}
			}
			l.step()
		}
		free = (s.Conns + len(loops) - 1 - i) / len(loops)
		if err := l.start(func() error { return l.echo(s) }, round); err != nil {
			return err
		}
	}
	return nil
}
