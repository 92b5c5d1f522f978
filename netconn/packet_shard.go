package netconn

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// packetPart is a UDP socket on one shard.
type packetPart struct {
	c     *UDPConn
	lane  *lane
	index uint16
	want  netip.AddrPort

	wmu    sync.Mutex    // one send at a time
	word   atomic.Uint32 // somebody waits on wr
	wr     waiter        // for opening, then for buffers
	opened bool
	err    error

	// The shard's half.
	u       *stack.UDP
	addr    netip.AddrPort // as it was bound; with the event
	fail    error          // likewise
	rx      pbuf.Queue     // received, not told yet
	waiting int            // datagrams that nobody has read yet, rx included
	dropped uint64         // because too many were
	opening bool           // evOpened or evErr is to be told
	dirty   bool
	peer    error // evPeerError is to be told
}

// start asks the shard to open the part and waits until it has.
func (p *packetPart) start() error {
	l := p.lane
	l.lock()
	defer l.unlock()
	if err := l.usable(); err != nil {
		return err
	}
	l.push(message{to: p, op: opBind})
	l.kick()
	for !p.opened && p.err == nil {
		if err := l.usable(); err != nil {
			return err
		}
		if !l.drain() {
			l.block(&p.wr)
		}
	}
	return p.err
}

// send puts a datagram on its way.
func (p *packetPart) send(b []byte, dst header.Addr, port uint16) error {
	l := p.lane
	p.wmu.Lock()
	defer p.wmu.Unlock()
	l.lock()
	defer l.unlock()
	for {
		if err := l.usable(); err != nil {
			return err
		}
		if err := p.c.writable(); err != nil {
			return err
		}
		if q := l.alloc(len(b)); q != nil {
			_ = q.Take(b) // it was made to measure
			*pbuf.CB[packetMeta](q) = packetMeta{addr: dst, port: port}
			pbuf.Handover(q, l.home) // new, so not shared
			l.push(message{to: p, p: q, op: opWrite})
			return nil
		}
		l.kick()
		if !l.drain() {
			l.blockForBuffers(&p.wr)
		}
	}
}

// event: see endpoint.
func (p *packetPart) event(l *lane, m *message) {
	switch m.op {
	case evOpened:
		p.opened = true
		l.ready(&p.wr)
	case evErr:
		p.err = p.fail
		l.ready(&p.wr)
	case evData:
		if l.closed {
			l.pushBack(p, m.p, 0)
			return
		}
		p.c.put(l, p, m.p)
	case evPeerError:
		p.c.blame(os.NewSyscallError("read", syscall.Errno(m.n)))
	}
}

func (p *packetPart) wants(m *message) bool {
	return p.word.Load() != 0 || m.op == evData && p.c.waits.Load() != 0 || m.op == evPeerError
}

// request: see endpoint.
func (p *packetPart) request(s *side, m *message) {
	switch m.op {
	case opBind:
		p.fail = p.bind(s)
		p.opening = true
		p.soon()
	case opWrite:
		p.sendNow(m.p)
	case opRecved:
		p.waiting--
		s.taken(m.p)
	case opClose:
		if p.u != nil {
			p.shut(s)
		}
	}
}

// bind opens the part on the shard's thread.
func (p *packetPart) bind(s *side) error {
	if s.stop {
		return net.ErrClosed
	}
	u := s.st.NewUDP()
	if u == nil {
		return os.NewSyscallError("socket", syscall.ENOBUFS)
	}
	u.SetArg(p)
	u.SetRecv(udpRecv)
	u.SetErr(udpErr)
	u.SetBroadcast(true) // as package net does
	var err error
	remote := p.c.remote
	if !remote.IsValid() || p.want.IsValid() && p.want.Port() != 0 ||
		p.want.Addr().IsValid() && !p.want.Addr().IsUnspecified() {
		err = bindError("bind", u.Bind(p.want))
	}
	if err == nil && remote.IsValid() {
		err = sysError("connect", u.Connect(remote))
	}
	if err != nil {
		u.Close()
		return err
	}
	p.u, p.addr = u, u.LocalAddr()
	s.parts = append(s.parts, p)
	return nil
}

// sendNow sends a datagram. It owns q.
func (p *packetPart) sendNow(q *pbuf.Pbuf) {
	if p.u == nil {
		q.Free()
		return
	}
	m := pbuf.CB[packetMeta](q)
	to := netip.AddrPortFrom(p.u.Stack().Netip(m.addr), m.port)
	var err error
	if p.c.remote.IsValid() {
		err = p.u.Send(q)
	} else {
		err = p.u.SendTo(q, to)
	}
	// Datagrams may get lost; but a connected socket hears that there is no way.
	if err != nil && !errors.Is(err, stack.ErrMem) {
		p.report(err)
	}
}

// udpRecv and udpErr are the stack's callbacks.
func udpRecv(arg any, u *stack.UDP, q *pbuf.Pbuf, from netip.AddrPort) {
	p := arg.(*packetPart)
	if p.waiting >= p.lane.net.cfg.Datagrams {
		p.dropped++
		q.Free()
		return
	}
	p.waiting++
	*pbuf.CB[packetMeta](q) = packetMeta{addr: u.Stack().Scoped(from.Addr()), port: from.Port(), part: p.index}
	p.rx.Push(q)
	p.soon()
}

func udpErr(arg any, _ *stack.UDP, _ netip.AddrPort, err error) { arg.(*packetPart).report(err) }

// report tells a connected socket of an error with one of its datagrams.
func (p *packetPart) report(err error) {
	if p.c.remote.IsValid() && p.peer == nil {
		p.peer = err
		p.soon()
	}
}

func (p *packetPart) soon() {
	if !p.dirty {
		p.dirty = true
		p.lane.side.mark(p)
	}
}

// flush tells the application what has come, as far as there is room.
func (p *packetPart) flush(s *side) bool {
	if s.room == 0 {
		return false
	}
	if p.opening {
		p.opening = false
		ev := evOpened
		if p.fail != nil {
			ev = evErr
		}
		s.emit(message{to: p, op: ev})
	}
	for q := p.rx.Pop(); q != nil; q = p.rx.Pop() {
		if s.room == 0 {
			p.rx.PushFront(q)
			return false
		}
		m := *pbuf.CB[packetMeta](q)
		e := s.export(q)
		if e == nil {
			p.rx.PushFront(q)
			return false
		}
		if e != q {
			*pbuf.CB[packetMeta](e) = m
		}
		s.emit(message{to: p, p: e, op: evData})
	}
	if p.peer != nil {
		if s.room == 0 {
			return false
		}
		s.emit(message{to: p, n: uint32(errnoOf(p.peer)), op: evPeerError})
		p.peer = nil
	}
	p.dirty = false
	return true
}

// shut closes the part on the shard's thread.
func (p *packetPart) shut(s *side) {
	p.u.Close()
	p.u = nil
	p.waiting -= p.rx.FreeAll()
	s.dropPart(p)
}

func (p *packetPart) free() { p.rx.FreeAll() }
