package netconn

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// TCP Fast Open (RFC 7413): a round trip less before the server has the first data.

// DialFastOpen is DialContext for "tcp", "tcp4" or "tcp6", and then Write of b, the
// first part of which goes with the SYN if the shard has a cookie of the server. If
// it has none it asks for one with the SYN, and b follows the handshake; other shards
// ask for themselves. It returns when the connection is established and all of b is
// on its way, so that the answer may be there already. The server may get what went
// with the SYN twice, and must bear that (RFC 7413 2.1). TCPConn.Info says what has
// come of it.
func (n *Net) DialFastOpen(ctx context.Context, network, address string, b []byte) (net.Conn, error) {
	c, err := n.dialFirst(ctx, network, "tcp", address, func(remote netip.AddrPort) (net.Conn, error) {
		c, err := n.dialTCP(ctx, &dialTo{remote: remote, first: b})
		if err != nil {
			return nil, opError("dial", network, nil, net.TCPAddrFromAddrPort(shown(remote)), err)
		}
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	if err = c.(*TCPConn).writeRest(ctx, b); err != nil {
		_ = c.Close() // the error of the write counts
		return nil, err
	}
	return c, nil
}

// firstData is the beginning of b in a buffer of the lane's, for opConnect. Nil: there
// is none, or b is empty. The lane's lock is held.
func (l *lane) firstData(b []byte) *pbuf.Pbuf {
	b = b[:min(len(b), l.pool.DataRoom(pbuf.ClassStandard))]
	if len(b) == 0 {
		return nil
	}
	p := l.alloc(len(b))
	if p == nil {
		return nil
	}
	fill([]*pbuf.Pbuf{p}, b)
	pbuf.Handover(p, l.home)
	return p
}

// connectWrite begins to open a connection with data, on the shard's thread. What the
// stack has no room for comes once more, by Write.
func (c *TCPConn) connectWrite(pcb *stack.TCP, b []byte) error {
	o := pcb.FastOpen()
	o.Connect = true
	if err := pcb.SetFastOpen(o); err != nil {
		return err
	}
	n, err := pcb.ConnectWrite(c.remote, b, tcpConnected)
	c.sh.unacked, c.app.early = n, n
	return err
}

// writeRest writes what of b did not go with the SYN, or right behind it.
func (c *TCPConn) writeRest(ctx context.Context, b []byte) error {
	if b = b[c.app.early:]; len(b) == 0 {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
	_, err := c.Write(b)
	if !stop() && err != nil {
		return c.opError("write", ctxErr(ctx, err))
	}
	return err
}

// SetFastOpen sets how the listener uses TCP Fast Open, on every shard: o.Pending is of
// each. Accept gives connections before their handshake is through then, with what
// came with the SYN to read; of others nothing changes.
func (ln *Listener) SetFastOpen(o stack.FastOpen) error {
	ln.mu.Lock()
	parts, closed := ln.parts, ln.closed
	ln.mu.Unlock()
	if closed {
		return opError("set", "tcp", nil, ln.Addr(), net.ErrClosed)
	}
	for _, p := range parts {
		err := p.lane.sh.Call(func(*shard.Shard) error {
			if p.pcb == nil {
				return net.ErrClosed
			}
			return sysError("setsockopt", p.pcb.SetFastOpen(o))
		})
		if err != nil {
			return opError("set", "tcp", nil, ln.Addr(), err)
		}
	}
	return nil
}

// SetFastOpenKeys sets the keys of Fast Open cookies on every shard; see
// stack.SetFastOpenKeys.
func (n *Net) SetFastOpenKeys(keys ...stack.FastOpenKey) error {
	for _, l := range n.lanes {
		err := l.sh.Call(func(s *shard.Shard) error {
			return sysError("setsockopt", s.Stack().SetFastOpenKeys(keys...))
		})
		if err != nil {
			return opError("set", "tcp", nil, nil, err)
		}
	}
	return nil
}
