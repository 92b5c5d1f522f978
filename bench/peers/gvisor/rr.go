package gvisor

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// echo serves each connection by returning messages of s.Size bytes, and
// closes when the peer does.
func (p *pair) echo(s *work.Spec) error {
	l := newLoop(s.Conns)
	answer := newPayload(s.Size)
	serve := func(c *conn) {
		n, open := readAll(c.ep, &l.in)
		for c.got += n; c.got >= s.Size; c.got -= s.Size {
			_, _ = answer.write(c.ep) // the buffer has room: one message a connection
		}
		if !open {
			l.close(c)
		}
	}
	return p.listen(func(ep tcpip.Endpoint, wq *waiter.Queue) { l.post(l.add(ep, wq, readable, serve)) })
}

// rr keeps one message under way on each connection, or on as many as
// work.InFlight lets it. All clients share a loop, and so do all servers: faster
// here than a goroutine each.
func rr(s *work.Spec, p *pair) (float64, error) {
	if err := p.echo(s); err != nil {
		return 0, err
	}
	var done work.Counter
	l := newLoop(s.Conns)
	request := newPayload(s.Size)
	var turns work.Turns[*conn]
	ask := func(c *conn) {
		n, open := readAll(c.ep, &l.in)
		for c.got += n; c.got >= s.Size && open && !p.stopped.Load(); c.got -= s.Size {
			done.Add(1)
			_, _ = request.write(turns.Next(c).ep) // as above
		}
	}
	var conns []*conn
	for range s.Conns {
		ep, wq, err := dial(p.client)
		if err != nil {
			return 0, err
		}
		conns = append(conns, l.add(ep, wq, readable, ask))
	}
	for _, c := range turns.Begin(conns, work.InFlight*len(s.Cores)) {
		if _, err := newPayload(s.Size).write(c.ep); err != nil {
			return 0, failed("Write", err)
		}
	}
	return s.Rate(done.Load)
}

// cps keeps s.Conns connections under way, each of which connects, sends a
// message, gets one, and closes.
func cps(s *work.Spec, p *pair) (float64, error) {
	if err := p.echo(s); err != nil {
		return 0, err
	}
	var done, broken work.Counter
	l := newLoop(s.Conns)
	request := newPayload(s.Size)
	var begin func() error
	step := func(c *conn) {
		if c.closed {
			return
		}
		if !c.up {
			if c.ep.Readiness(waiter.WritableEvents)&waiter.WritableEvents == 0 {
				return // still connecting
			}
			c.up = true
			_, _ = request.write(c.ep) // what fails here shows below
		}
		n, open := readAll(c.ep, &l.in)
		if c.got += n; c.got < s.Size && open {
			return
		}
		if c.got == s.Size {
			done.Add(1)
		} else {
			broken.Add(1)
		}
		l.close(c)
		if !p.stopped.Load() && begin() != nil {
			broken.Add(1)
		}
	}
	begin = func() error {
		c, err := open(p.client, l, step)
		if err == nil {
			l.post(c) // it may stand already
		}
		return err
	}
	for range s.Conns {
		if err := begin(); err != nil {
			return 0, err
		}
	}
	rate, err := s.Rate(done.Load)
	if n := broken.Load(); err == nil && n*100 > done.Load() {
		err = work.NA("%d of %d connections failed", n, n+done.Load())
	}
	return rate, err
}
