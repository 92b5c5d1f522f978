package netconn

import (
	"context"
	"net"
	"net/netip"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Dial is DialContext without a context.
func (n *Net) Dial(network, address string) (net.Conn, error) {
	return n.DialContext(context.Background(), network, address)
}

// DialContext connects to an address, as net.Dialer does: "tcp", "tcp4" or "tcp6"
// gives a *TCPConn, "udp", "udp4" or "udp6" a connected *UDPConn. Of a name with
// several addresses, all are tried in turn. Shards take turns. When ctx ends first
// the attempt is given up.
func (n *Net) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return n.DialFrom(ctx, network, netip.AddrPort{}, address)
}

// DialFrom is DialContext from a local address; a zero address or port is the
// stack's choice. With several shards, a local port needs an address, too: the
// two decide on the shard.
func (n *Net) DialFrom(ctx context.Context, network string, local netip.AddrPort, address string) (net.Conn, error) {
	return n.dial(ctx, network, local, address, nil)
}

// dial is DialFrom with options, if there are any.
func (n *Net) dial(ctx context.Context, network string, local netip.AddrPort, address string, opts *TCPOptions) (net.Conn, error) {
	udp := network == "udp" || network == "udp4" || network == "udp6"
	kind := "tcp"
	if udp {
		kind = "udp"
	}
	return n.dialFirst(ctx, network, kind, address, func(remote netip.AddrPort) (net.Conn, error) {
		return n.dialOne(ctx, network, udp, &dialTo{local: local, remote: remote, opts: opts})
	})
}

// dialFirst resolves an address for a network of a kind, and dials what it stands
// for in order, until one answers; else it gives the first error.
func (n *Net) dialFirst(ctx context.Context, network, kind, address string, dial func(netip.AddrPort) (net.Conn, error)) (net.Conn, error) {
	if err := checkNetwork(network, kind); err != nil {
		return nil, opError("dial", network, nil, nil, err)
	}
	remotes, err := n.resolve(ctx, network, address)
	if err != nil {
		return nil, opError("dial", network, nil, nil, ctxErr(ctx, err))
	}
	var first error
	for _, remote := range remotes {
		c, err := dial(remote)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dialTo is whom to connect to, and how.
type dialTo struct {
	local, remote netip.AddrPort
	first         []byte      // data to send as soon as may be
	opts          *TCPOptions // nil: none
}

// dialOne connects to one of a name's addresses.
func (n *Net) dialOne(ctx context.Context, network string, udp bool, to *dialTo) (net.Conn, error) {
	if udp {
		c, err := n.dialUDP(ctx, to.local, to.remote)
		if err != nil {
			return nil, opError("dial", network, nil, net.UDPAddrFromAddrPort(shown(to.remote)), err)
		}
		return c, nil
	}
	c, err := n.dialTCP(ctx, to)
	if err != nil {
		return nil, opError("dial", network, nil, net.TCPAddrFromAddrPort(shown(to.remote)), err)
	}
	return c, nil
}

// ctxErr is err, or how the context ended if it has.
func ctxErr(ctx context.Context, err error) error {
	if e := ctx.Err(); e != nil {
		return &ctxError{e}
	}
	return err
}

// dialTCP tries the shard that is next, and the others if that one has no port
// left.
func (n *Net) dialTCP(ctx context.Context, to *dialTo) (c *TCPConn, err error) {
	var l *lane
	for range n.lanes {
		if l, err = n.laneFor(to.local, to.remote, l); err != nil {
			return nil, err
		}
		c = newTCPConn(l)
		c.local, c.remote, c.opts = to.local, to.remote, to.opts
		if err = c.dial(ctx, to.first); err == nil {
			return c, nil
		}
		if to.local.Port() != 0 || !isNoPort(err) {
			break
		}
	}
	return nil, err
}

// dial asks the shard to connect, and to send first, if there is any, as soon as it
// may; and waits until it has connected.
func (c *TCPConn) dial(ctx context.Context, first []byte) error {
	if err := ctx.Err(); err != nil {
		return &ctxError{err}
	}
	a, l := &c.app, c.lane
	canceled := false
	stop := context.AfterFunc(ctx, func() {
		l.lock()
		canceled = true
		l.ready(&a.rd)
		l.unlock()
	})
	defer stop()
	l.lock()
	err := l.usable()
	if err == nil {
		l.push(message{to: c, p: l.firstData(first), op: opConnect})
		l.kick()
		err = c.awaitOpen(&canceled)
		if canceled && !a.opened {
			err = ctxErr(ctx, context.Canceled)
		}
		if err != nil {
			c.closeLocked(true)
		}
	}
	l.unlock()
	if err != nil {
		l.kick()
	}
	return err
}

// awaitOpen waits until the shard has answered or canceled is set.
func (c *TCPConn) awaitOpen(canceled *bool) error {
	a, l := &c.app, c.lane
	for !a.opened && !*canceled {
		if a.err != nil {
			return a.err
		}
		if err := l.usable(); err != nil {
			return err
		}
		if !l.drain() {
			l.block(&a.rd)
		}
	}
	return nil
}

// connect opens the connection on the shard's thread. first, if not nil, is what to
// send as soon as it may; connect owns it.
func (c *TCPConn) connect(s *side, first *pbuf.Pbuf) {
	if first != nil {
		defer first.Free()
	}
	if s.stop {
		c.fail(net.ErrClosed)
		return
	}
	pcb := s.st.NewTCP()
	if pcb == nil {
		c.fail(sysError("connect", stack.ErrMem))
		return
	}
	c.adopt(pcb)
	if err := c.opts.apply(pcb); err != nil {
		c.abandon(sysError("setsockopt", err))
		return
	}
	if c.local.IsValid() && c.local != (netip.AddrPort{}) {
		if err := pcb.Bind(c.local); err != nil {
			c.abandon(bindError("bind", err))
			return
		}
	}
	// An error with the connection begun is a SYN that could not leave: a timer
	// sends it again.
	var err error
	if first == nil {
		err = pcb.Connect(c.remote, tcpConnected)
	} else {
		err = c.connectWrite(pcb, first.Payload())
	}
	if err != nil && pcb.State() == stack.StateClosed {
		c.abandon(sysError("connect", err))
	}
}

// fail tells the application that there is no connection.
func (c *TCPConn) fail(err error) {
	c.sh.err = err
	c.sh.failing = true
	c.soon()
}

// abandon is fail for a connection with a PCB that is not connected.
func (c *TCPConn) abandon(err error) {
	pcb := c.sh.pcb
	c.sh.pcb = nil
	_ = pcb.Close() // CLOSED: it is freed
	c.fail(err)
}
