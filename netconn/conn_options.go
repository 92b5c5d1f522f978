package netconn

import (
	"time"

	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// Options that net.TCPConn does not have. Each waits for the shard, and changes
// nothing if the connection is gone there.

// SetUserTimeout gives the connection up when the peer has acknowledged nothing
// for so long (TCP_USER_TIMEOUT, RFC 9293 3.8.3); 0 is none, negative the
// stack's configuration.
func (c *TCPConn) SetUserTimeout(d time.Duration) error {
	return c.tryOption(func(pcb *stack.TCP) error { pcb.SetUserTimeout(d); return nil })
}

// SetTimeWait sets how long TIME-WAIT lasts when this end closes first; 0 is
// none at all, negative the stack's configuration.
func (c *TCPConn) SetTimeWait(d time.Duration) error {
	return c.tryOption(func(pcb *stack.TCP) error { pcb.SetTimeWait(d); return nil })
}

// SetReadBuffer sets the size of the receive window, which then no longer adapts to
// the path, and SetWriteBuffer how much may be written and not acknowledged. While the
// connection is open they may grow, but not shrink, which is EINVAL, as is less than
// 536 bytes; see TCPOptions for before. The window has a bound that was announced when
// the connection was opened, by the stack's RecvBufMax.
func (c *TCPConn) SetReadBuffer(bytes int) error {
	return c.tryOption(func(pcb *stack.TCP) error { return pcb.SetRecvBuf(bytes) })
}

// SetWriteBuffer: see SetReadBuffer.
func (c *TCPConn) SetWriteBuffer(bytes int) error {
	return c.tryOption(func(pcb *stack.TCP) error {
		before := pcb.Info().SndBuf
		if err := pcb.SetSendBuf(bytes); err != nil {
			return err
		}
		// The writer's credit grows as if so much had been acknowledged.
		h := &c.sh
		if h.acked += int(pcb.Info().SndBuf - before); h.acked > 0 {
			h.asked = true
			c.soon()
		}
		return nil
	})
}

// SetCongestionControl chooses the congestion control by its name: "cubic", "reno",
// "bbr" or "dctcp" (TCP_CONGESTION). EINVAL: there is none of that name.
func (c *TCPConn) SetCongestionControl(name string) error {
	return c.tryOption(func(pcb *stack.TCP) error { return pcb.SetCongestionControl(name) })
}

// SetMaxPacingRate bounds the rate at which the connection sends, in bytes a second;
// 0 is no bound (SO_MAX_PACING_RATE).
func (c *TCPConn) SetMaxPacingRate(rate uint64) error {
	return c.tryOption(func(pcb *stack.TCP) error { pcb.SetMaxPacingRate(rate); return nil })
}

// SetMeter has everything counted that Info tells of the connection, from now on.
func (c *TCPConn) SetMeter(on bool) error {
	return c.tryOption(func(pcb *stack.TCP) error { pcb.SetMeter(on); return nil })
}

// SetAckPolicy sets when received data is acknowledged.
func (c *TCPConn) SetAckPolicy(a stack.AckPolicy) error {
	return c.tryOption(func(pcb *stack.TCP) error { return pcb.SetAckPolicy(a) })
}

// SetQuickAck acknowledges every segment at once, or goes back to delaying ACKs
// (TCP_QUICKACK).
func (c *TCPConn) SetQuickAck(on bool) error {
	return c.tryOption(func(pcb *stack.TCP) error { pcb.SetQuickAck(on); return nil })
}

// SetDSCP sets the differentiated services code point of outgoing packets, 0 …
// 63 (RFC 2474 3).
func (c *TCPConn) SetDSCP(d uint8) error {
	return c.tryOption(func(pcb *stack.TCP) error { return pcb.SetDSCP(d) })
}

// SetTTL sets the time to live of outgoing packets, or their hop limit; 0 is the
// stack's configuration.
func (c *TCPConn) SetTTL(ttl uint8) error {
	return c.tryOption(func(pcb *stack.TCP) error { pcb.SetTTL(ttl); return nil })
}

// SetRTO sets the first retransmission timeout and its bounds (RFC 6298 2); zero
// is the stack's configuration.
func (c *TCPConn) SetRTO(first, least, most time.Duration) error {
	return c.tryOption(func(pcb *stack.TCP) error { return pcb.SetRTO(first, least, most) })
}

// SetRetries sets how often data, and how often SYN or SYN-ACK is sent again
// before the connection fails; 0 is the stack's configuration.
func (c *TCPConn) SetRetries(data, syn int) error {
	return c.tryOption(func(pcb *stack.TCP) error { return pcb.SetRetries(data, syn) })
}

// tryOption has fn run on the shard's thread and returns its error.
func (c *TCPConn) tryOption(fn func(*stack.TCP) error) error {
	c.lane.lock()
	err := c.usable()
	c.lane.unlock()
	if err == nil {
		err = c.lane.sh.Call(func(*shard.Shard) error {
			if c.sh.pcb == nil {
				return nil
			}
			return sysError("setsockopt", fn(c.sh.pcb))
		})
	}
	return c.opError("set", err)
}
