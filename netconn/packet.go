package netconn

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// UDPConn is a UDP socket: a net.PacketConn and, if it is connected, a net.Conn.
// One from ListenPacket is open on all shards, as datagrams come to any; one
// from Dial lives on the shard that gets the answers.
type UDPConn struct {
	inbox
	local, remote netip.AddrPort // remote is valid if connected
	parts         []*packetPart
	queue         pbuf.Queue // received, a packetMeta in the control blocks
	wdl           deadline   // guarded by mu, too
	peerErr       error      // told once by the next operation
}

// packetMeta is what is known of a datagram in its control block.
type packetMeta struct {
	addr header.Addr // the other end
	port uint16
	part uint16 // index of the part that it came by
}

// maxDatagram is the most that UDP carries to an address (RFC 768, RFC 791, RFC
// 8200 3).
func maxDatagram(to netip.Addr) int {
	if to.Is4() {
		return 65535 - header.IPv4Len - header.UDPLen
	}
	return 65535 - header.UDPLen
}

// ListenPacket opens a UDP socket. network is "udp", "udp4" or "udp6"; hosts and
// ports are those of Listen.
func (n *Net) ListenPacket(network, address string) (net.PacketConn, error) {
	fail := func(addr net.Addr, err error) (net.PacketConn, error) {
		return nil, opError("listen", network, nil, addr, err)
	}
	if err := checkNetwork(network, "udp"); err != nil {
		return fail(nil, err)
	}
	list, err := n.resolve(context.Background(), network, address)
	if err != nil {
		return fail(nil, err)
	}
	at := list[0]
	for try := 0; ; try++ {
		c, err := n.openUDP(n.lanes, at, netip.AddrPort{})
		if err == nil {
			return c, nil
		}
		// A port that one shard found free may be taken on another.
		if at.Port() != 0 || try == 10 {
			return fail(net.UDPAddrFromAddrPort(shown(at)), err)
		}
	}
}

// dialUDP opens a connected socket on one shard.
func (n *Net) dialUDP(ctx context.Context, local, remote netip.AddrPort) (c *UDPConn, err error) {
	var l *lane
	for range n.lanes {
		if err := ctx.Err(); err != nil {
			return nil, &ctxError{err}
		}
		if l, err = n.laneFor(local, remote, l); err != nil {
			return nil, err
		}
		if c, err = n.openUDP([]*lane{l}, local, remote); err == nil {
			return c, nil
		}
		if local.Port() != 0 || !isNoPort(err) {
			break
		}
	}
	return nil, err
}

func (n *Net) openUDP(lanes []*lane, local, remote netip.AddrPort) (*UDPConn, error) {
	c := &UDPConn{local: local, remote: remote}
	c.init(n, lanes)
	if !n.register(c) {
		return nil, net.ErrClosed
	}
	for i, l := range lanes {
		p := &packetPart{c: c, lane: l, index: uint16(i), want: c.local}
		p.wr.init(l, &p.word, 1)
		if err := p.start(); err != nil {
			_ = c.Close() // it is not closed
			return nil, err
		}
		c.mu.Lock()
		c.parts = append(c.parts, p)
		c.mu.Unlock()
		c.local = withPort(c.local, p.addr) // the others take the same port
		if remote.IsValid() {
			c.local = p.addr
		}
	}
	return c, nil
}

// ReadFrom reads a datagram and says where it is from, as *net.UDPAddr. What
// does not fit b is lost.
func (c *UDPConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// Read reads a datagram.
func (c *UDPConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFromUDPAddrPort(b)
	return n, err
}

// ReadFromUDPAddrPort is ReadFrom without allocations.
func (c *UDPConn) ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error) {
	if err = c.await(); err == nil && c.peerErr != nil { // await takes mu
		err, c.peerErr = c.peerErr, nil
		c.n--
	}
	if err != nil {
		c.mu.Unlock()
		return 0, from, c.opError("read", err)
	}
	p := c.queue.Pop()
	c.n--
	m := pbuf.CB[packetMeta](p)
	from = netip.AddrPortFrom(c.net.netip(m.addr), m.port)
	part := c.parts[m.part]
	l := part.lane
	l.limbo.Inc()
	c.mu.Unlock()
	n = p.CopyPartial(b, 0)
	l.lock()
	l.pushBack(part, p, 0)
	kick := l.owed >= min(readBatch, l.net.cfg.Datagrams/4) // or the shard counts them as unread
	if kick {
		l.owed = 0
	}
	l.limbo.Dec()
	l.unlock()
	if kick {
		l.kick()
	}
	return n, from, nil
}

// put queues a datagram. The lane's lock is held.
func (c *UDPConn) put(l *lane, part *packetPart, p *pbuf.Pbuf) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		l.pushBack(part, p, 0)
		return
	}
	c.queue.Push(p)
	c.added()
	c.mu.Unlock()
}

// blame notes an error that ICMP has told of a connected socket's datagram.
func (c *UDPConn) blame(err error) {
	c.mu.Lock()
	if !c.closed && c.peerErr == nil {
		c.peerErr = err
		c.added()
	}
	c.mu.Unlock()
}

// WriteTo sends a datagram to addr, a *net.UDPAddr. On a connected socket that
// is an error, as in package net.
func (c *UDPConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	a, ok := addr.(*net.UDPAddr)
	if !ok || a == nil {
		return 0, c.opError("write", os.NewSyscallError("sendto", syscall.EINVAL))
	}
	return c.WriteToUDPAddrPort(b, a.AddrPort())
}

// WriteToUDPAddrPort is WriteTo without allocations.
func (c *UDPConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.remote.IsValid() {
		return 0, c.opError("write", net.ErrWriteToConnected)
	}
	ip := to.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() || to.Port() == 0 {
		return 0, c.opError("write", os.NewSyscallError("sendto", syscall.EINVAL))
	}
	return c.send(b, netip.AddrPortFrom(ip, to.Port()))
}

// Write sends a datagram on a connected socket.
func (c *UDPConn) Write(b []byte) (int, error) {
	if !c.remote.IsValid() {
		return 0, c.opError("write", os.NewSyscallError("write", syscall.EDESTADDRREQ))
	}
	return c.send(b, c.remote)
}

// send gives a datagram to the shard that all datagrams to that end leave by,
// so that they stay in order. It waits for a buffer.
func (c *UDPConn) send(b []byte, to netip.AddrPort) (int, error) {
	if len(b) > maxDatagram(to.Addr()) {
		return 0, c.opError("write", os.NewSyscallError("sendto", syscall.EMSGSIZE))
	}
	dst := c.net.scoped(to.Addr())
	part := c.parts[(dst.Uint32()+uint32(to.Port()))%uint32(len(c.parts))]
	if err := part.send(b, dst, to.Port()); err != nil {
		return 0, c.opError("write", err)
	}
	part.lane.kick()
	return len(b), nil
}

// writable is nil if datagrams may be sent.
func (c *UDPConn) writable() (err error) {
	c.mu.Lock()
	switch {
	case c.closed:
		err = net.ErrClosed
	case c.wdl.expired:
		err = os.ErrDeadlineExceeded
	case c.peerErr != nil:
		err, c.peerErr = c.peerErr, nil
		c.n--
	}
	c.mu.Unlock()
	return err
}

// Close closes the socket. Datagrams that were written are still sent.
func (c *UDPConn) Close() error {
	if !c.shut() {
		return c.opError("close", net.ErrClosed)
	}
	c.net.unregister(c)
	c.sweep()
	c.mu.Lock()
	c.wdl.stop()
	parts := c.parts
	c.mu.Unlock()
	for _, p := range parts {
		p.lane.lock()
		if !p.lane.done.Load() {
			p.lane.push(message{to: p, op: opClose})
		}
		p.lane.ready(&p.wr)
		p.lane.unlock()
		p.lane.kick()
	}
	return nil
}

// sweep gives the shards back what nobody has read.
func (c *UDPConn) sweep() {
	c.mu.Lock()
	q, parts := c.queue, c.parts
	c.queue = pbuf.Queue{}
	c.n -= q.Len()
	c.mu.Unlock()
	for p := q.Pop(); p != nil; p = q.Pop() {
		part := parts[pbuf.CB[packetMeta](p).part]
		part.lane.lock()
		part.lane.pushBack(part, p, 0)
		part.lane.unlock()
	}
}

func (c *UDPConn) wake() { c.interrupt() }

// LocalAddr is the socket's own end, a *net.UDPAddr.
func (c *UDPConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(shown(c.local)) }

// RemoteAddr is the other end of a connected socket, nil without one.
func (c *UDPConn) RemoteAddr() net.Addr {
	if !c.remote.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(c.remote)
}

func (c *UDPConn) opError(op string, err error) error {
	return opError(op, "udp", c.LocalAddr(), c.RemoteAddr(), err)
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *UDPConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline makes reads fail with os.ErrDeadlineExceeded after t, those
// that are blocked, too. The zero time is no deadline.
func (c *UDPConn) SetReadDeadline(t time.Time) error {
	if err := c.setDeadline(t); err != nil {
		return c.opError("set", err)
	}
	return nil
}

// SetWriteDeadline is the same for writes, which wait only for buffers.
func (c *UDPConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.opError("set", net.ErrClosed)
	}
	passed := c.wdl.set(t, c.writeDeadline)
	c.mu.Unlock()
	if passed {
		c.readyWriters()
	}
	return nil
}

func (c *UDPConn) writeDeadline() {
	c.mu.Lock()
	passed := c.wdl.fired()
	c.mu.Unlock()
	if passed {
		c.readyWriters()
	}
}

// readyWriters makes blocked writes look again.
func (c *UDPConn) readyWriters() {
	for _, p := range c.parts {
		p.lane.lock()
		p.lane.ready(&p.wr)
		p.lane.unlock()
	}
}
