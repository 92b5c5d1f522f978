package netconn

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/shardstack/shardstack/stack"
)

// TCPOptions are what a TCP connection is opened with. Zero fields are the stack's
// configuration; a value that is out of range fails Dial or Listen with EINVAL.
type TCPOptions struct {
	// MSS bounds the payload of a segment in both directions (TCP_MAXSEG), 88 …
	// 65495.
	MSS int
	// InitialWindow is the congestion window to begin with in segments, up to 1000
	// (RFC 6928 has 10).
	InitialWindow int
	// ReadBuffer is the receive window, WriteBuffer how much may be written and not
	// acknowledged, in bytes, 536 … 1 GiB. Neither adapts to the path then.
	ReadBuffer, WriteBuffer int
	// Congestion is the name of the congestion control; see SetCongestionControl.
	Congestion string
	// MaxPacingRate bounds the rate of sending in bytes a second.
	MaxPacingRate uint64
	// DSCP and TTL of outgoing packets; DSCP up to 63.
	DSCP, TTL uint8
	// UserTimeout gives the connection up when the peer has acknowledged nothing for
	// so long (RFC 9293 3.8.3); negative: never.
	UserTimeout time.Duration
	// Retries is how often data, SYNRetries how often SYN or SYN-ACK is sent again,
	// up to 255.
	Retries, SYNRetries int
	// KeepAlive turns keepalive probes on if its Enable says so; see
	// TCPConn.SetKeepAliveConfig.
	KeepAlive net.KeepAliveConfig
	// Meter has everything counted that Info tells of a connection.
	Meter bool
}

// apply sets the options of a PCB that is closed, on the shard's thread. o may be
// nil.
func (o *TCPOptions) apply(pcb *stack.TCP) error {
	if o == nil {
		return nil
	}
	for _, set := range []struct {
		on bool
		do func() error
	}{
		{o.MSS != 0, func() error { return pcb.SetMSS(o.MSS) }},
		{o.InitialWindow != 0, func() error { return pcb.SetInitialWindow(o.InitialWindow) }},
		{o.ReadBuffer != 0, func() error { return pcb.SetRecvBuf(o.ReadBuffer) }},
		{o.WriteBuffer != 0, func() error { return pcb.SetSendBuf(o.WriteBuffer) }},
		{o.Congestion != "", func() error { return pcb.SetCongestionControl(o.Congestion) }},
		{o.MaxPacingRate != 0, func() error { pcb.SetMaxPacingRate(o.MaxPacingRate); return nil }},
		{o.DSCP != 0, func() error { return pcb.SetDSCP(o.DSCP) }},
		{o.TTL != 0, func() error { pcb.SetTTL(o.TTL); return nil }},
		{o.UserTimeout != 0, func() error { pcb.SetUserTimeout(max(o.UserTimeout, 0)); return nil }},
		{o.Retries != 0 || o.SYNRetries != 0, func() error { return pcb.SetRetries(o.Retries, o.SYNRetries) }},
		{o.KeepAlive.Enable, func() error { setKeepAlive(pcb, o.KeepAlive); return nil }},
		{o.Meter, func() error { pcb.SetMeter(true); return nil }},
	} {
		if set.on {
			if err := set.do(); err != nil {
				return err
			}
		}
	}
	return nil
}

// setKeepAlive sets up keepalive probes, or turns them off.
func setKeepAlive(pcb *stack.TCP, k net.KeepAliveConfig) {
	if !k.Enable {
		pcb.SetKeepAlive(nil)
		return
	}
	pcb.SetKeepAlive(&stack.KeepAlive{Idle: max(k.Idle, 0), Interval: max(k.Interval, 0), Count: max(k.Count, 0)})
}

// Dialer dials with options, as net.Dialer does.
type Dialer struct {
	Net *Net
	// LocalAddr is where to dial from; see Net.DialFrom.
	LocalAddr netip.AddrPort
	// TCP are the options of TCP connections.
	TCP TCPOptions
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext is Net.DialContext with the dialer's options.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	opts := d.TCP // it may change while we wait
	return d.Net.dial(ctx, network, d.LocalAddr, address, &opts)
}

// ListenConfig listens with options, as net.ListenConfig does.
type ListenConfig struct {
	Net *Net
	// TCP are the options that the connections inherit.
	TCP TCPOptions
}

// Listen is Net.Listen with the options.
func (lc *ListenConfig) Listen(network, address string) (net.Listener, error) {
	opts := lc.TCP
	return lc.Net.listenWith(network, address, &opts)
}
