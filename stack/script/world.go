package script

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// world is the stack under test and the wire that it is on.
type world struct {
	stack *stack.Stack
	nif   *stack.Netif
	pool  *pbuf.Pool
	idle  bool // the stack has sent nothing since it ran last
}

var (
	ourMAC  = header.MAC{2, 0, 0, 0, 0, 1}
	peerMAC = header.MAC{2, 0, 0, 0, 0, 2}
)

// world makes the stack at its first use, so that settings come before it.
func (r *runner) world() error {
	if r.w != nil {
		return nil
	}
	pool, err := pbuf.NewPool(pbuf.Config{Name: "script", Small: 2048, Buffers: 4096, Jumbo: 64, HugePages: pbuf.HugeNever})
	if err != nil {
		return mismatch(0, "no buffers: %v", err)
	}
	w := &world{pool: pool}
	c := &r.cfg
	c.stack.Pool = pool
	if c.stack.IPv6.DADTransmits == 0 {
		c.stack.IPv6.DADTransmits = -1 // the address is ours at once
	}
	if c.stack.Seed == ([32]byte{}) {
		c.stack.Seed[0] = 1
	}
	if w.stack, err = stack.New(c.stack); err != nil {
		_ = pool.Close() // nobody has had a buffer
		return unsupported(0, "these settings: %v", err)
	}
	r.w = w
	w.stack.SetNow(r.now)
	w.nif, err = w.stack.AddNetif(stack.NetifConfig{MAC: ourMAC, MTU: c.mtu, Output: r.output})
	if err != nil {
		return unsupported(0, "this interface: %v", err)
	}
	if err := r.addresses(w); err != nil {
		return unsupported(0, "these addresses: %v", err)
	}
	w.stack.Flush(r.now)
	r.queue = nil // announcements
	return nil
}

// addresses gives the interface its address, and all others a router in whose
// place the runner answers.
func (r *runner) addresses(w *world) error {
	c := &r.cfg
	if err := w.nif.AddAddr(netip.PrefixFrom(c.local, c.prefixLen)); err != nil {
		return err
	}
	if err := w.stack.AddNeighbor(w.nif, c.gateway, peerMAC); err != nil {
		return err
	}
	if netip.PrefixFrom(c.local, c.prefixLen).Masked().Contains(c.remote) {
		return w.stack.AddNeighbor(w.nif, c.remote, peerMAC)
	}
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if c.v6 {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return w.stack.AddRoute(all, c.gateway, w.nif)
}

// close ends the stack; an error says that it has lost buffers.
func (w *world) close() error {
	if w.stack != nil {
		w.stack.Close()
	}
	return w.pool.Close()
}

// output takes what the stack sends.
func (r *runner) output(ps []*pbuf.Pbuf) int {
	r.w.idle = false
	for _, p := range ps {
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		p.Free()
		f, err := parseFrame(b)
		if err != nil {
			r.badWire = err.Error()
			continue
		}
		if f == nil {
			continue
		}
		f.at = r.now
		r.trace(f.pkt, f.v6, true)
		if c := r.connOf(f); c != nil {
			r.queue = append(r.queue, f)
		}
	}
	return len(ps)
}

// trace notes a live packet.
func (r *runner) trace(k *Packet, v6, numbers bool) {
	r.res.Trace = append(r.res.Trace, k.format(r.now-r.scriptStart, v6, numbers))
}

// connOf finds the connection of a packet that the stack sent.
func (r *runner) connOf(f *frame) *conn {
	if f.pkt.Proto == protoICMP {
		if f.pkt.Echo == nil || r.cur == nil {
			return r.cur
		}
		for _, c := range r.conns { // an error quotes what came from the remote end
			if c.proto == f.pkt.Echo.Proto && c.remote.Port() == f.pkt.SrcPort && c.local.Port() == f.pkt.DstPort {
				return c
			}
		}
		return r.cur
	}
	for i := len(r.conns) - 1; i >= 0; i-- {
		if c := r.conns[i]; c.proto == f.pkt.Proto && c.remote == f.to && c.local == f.from {
			return c
		}
	}
	// A connection that connect() has begun gets its port with its first packet.
	for i := len(r.conns) - 1; i >= 0; i-- {
		c := r.conns[i]
		first := f.pkt.Proto == protoUDP || f.pkt.Flags&(flagSYN|flagACK) == flagSYN
		if c.proto == f.pkt.Proto && c.remote == f.to && c.local.Port() == 0 && first {
			c.local = f.from
			c.liveISN = f.pkt.Seq
			return c
		}
	}
	return nil
}

// connFor finds the connection that a packet of the script belongs to, or makes
// one: a listener's child at the first packet from the peer.
func (r *runner) connFor(k *Packet) (*conn, error) {
	if k.SrcPort != 0 && k.DstPort != 0 && k.Proto != protoICMP {
		return r.connByPorts(k)
	}
	c := r.cur
	switch {
	case k.Inbound && (c == nil || k.Proto == protoTCP && c.state == connListening):
		proto := k.Proto
		if k.Proto == protoICMP {
			proto = protoTCP
			if k.Echo != nil && k.Echo.Proto != 0 {
				proto = k.Echo.Proto
			}
		}
		c = r.newConn(proto)
		r.nextRem++
		c.remote = netip.AddrPortFrom(r.cfg.remote, r.nextRem)
		c.local = netip.AddrPortFrom(r.cfg.local, r.cfg.bindPort)
		c.state = connSynRcvd
	case c == nil:
		return nil, mismatch(k.Line, "no socket that this packet could be of")
	case k.Proto != protoICMP && c.proto != k.Proto:
		return nil, mismatch(k.Line, "the socket in use is of another protocol")
	}
	if k.Inbound && c.remote.Port() == 0 { // a socket that was neither connected nor has listened
		r.nextRem++
		c.remote = netip.AddrPortFrom(r.cfg.remote, r.nextRem)
		if c.state = connSynRcvd; c.local.Port() == 0 {
			c.local = netip.AddrPortFrom(r.cfg.local, r.cfg.bindPort)
		}
	}
	return c, nil
}

// connByPorts is connFor for packets with ports.
func (r *runner) connByPorts(k *Packet) (*conn, error) {
	lport, rport := k.SrcPort, k.DstPort
	if k.Inbound {
		lport, rport = rport, lport
	}
	for i := len(r.conns) - 1; i >= 0; i-- {
		c := r.conns[i]
		if c.proto == k.Proto && c.local.Port() == lport && c.remote.Port() == rport {
			r.cur, c.explicit = c, true
			return c, nil
		}
	}
	if c := r.cur; c != nil && c.proto == k.Proto && c.state == connConnecting && !k.Inbound {
		return c, nil
	}
	if !k.Inbound {
		return nil, mismatch(k.Line, "no connection has the ports %d > %d", lport, rport)
	}
	c := r.newConn(k.Proto)
	c.explicit = true
	c.state = connSynRcvd
	c.remote = netip.AddrPortFrom(r.cfg.remote, rport)
	c.local = netip.AddrPortFrom(r.cfg.local, lport)
	return c, nil
}

func (r *runner) newConn(proto uint8) *conn {
	c := &conn{proto: proto, cookies: r.cookies, exact: r.cfg.stack.TCP.FastOpen.Keys != nil}
	r.conns = append(r.conns, c)
	r.cur = c
	return c
}

// meet notes what a packet that the script expects says of the connection.
func (r *runner) meet(c *conn, k *Packet, f *frame) {
	if k.Proto != protoTCP || f.pkt.Proto != protoTCP {
		return
	}
	const both = flagSYN | flagACK
	switch k.Flags & f.pkt.Flags & both {
	case flagSYN:
		if k.Flags&both == flagSYN && c.state == connConnecting {
			c.state, c.scriptISN, c.liveISN = connSynSent, k.Seq, f.pkt.Seq
		}
	case both:
		fresh := c.state == connSynRcvd
		if fresh || c.state == connOpen && f.pkt.Seq != c.liveISN { // a new incarnation
			c.state, c.scriptISN, c.liveISN = connOpen, k.Seq, f.pkt.Seq
			c.remoteISN = c.lastSYN
			if !fresh {
				c.tsKnown, c.tsLive = false, nil
			}
			r.adopt(c)
		}
	}
}

// inject sends a packet of the peer to the stack.
func (r *runner) inject(k *Packet) error {
	c, err := r.connFor(k)
	if err != nil {
		return err
	}
	if k.Proto == protoTCP && k.Flags&flagSYN != 0 {
		c.lastSYN = k.Seq
		if c.state == connSynRcvd || c.state == connSynSent {
			c.remoteISN = k.Seq
		}
	}
	if err := r.spellCookie(k, c); err != nil {
		return err
	}
	live, err := c.toLive(k, r.cfg.tsScaled)
	if err != nil {
		return err
	}
	if k.Proto != protoICMP {
		live.SrcPort, live.DstPort = c.remote.Port(), c.local.Port()
	}
	off := 0
	if k.Proto == protoTCP && k.Flags&flagSYN == 0 {
		off = int(int32(k.Seq)) - 1
	}
	e := ends{src: c.remote.Addr(), dst: r.cfg.local, srcMAC: peerMAC, dstMAC: ourMAC}
	b, err := build(live, e, fill(off, live.Len), r.quoted(live, c))
	if err != nil {
		return err
	}
	r.trace(live, r.cfg.v6, false)
	p := r.w.pool.Alloc(pbuf.LayerRaw, len(b), pbuf.KindPool)
	if p == nil {
		return mismatch(k.Line, "the stack holds all buffers")
	}
	if err := p.Take(b); err != nil {
		return mismatch(k.Line, "%v", err)
	}
	if mss := r.cfg.mtu - 40; k.Proto == protoTCP && k.Len > mss { // as a port joins segments
		p.Flags |= pbuf.RxLRO
		p.SegSize = uint16(mss)
	}
	r.w.idle = false
	r.noteInfo()
	r.w.stack.Input(r.w.nif, r.now, []*pbuf.Pbuf{p})
	return nil
}

// quoted is what an ICMP error says of a packet of ours.
func (r *runner) quoted(live *Packet, c *conn) []byte {
	e := live.Echo
	if live.Proto != protoICMP || e == nil {
		return nil
	}
	if e.Proto == 0 {
		return make([]byte, e.Len)
	}
	k := &Packet{Proto: e.Proto, Seq: e.Seq, SrcPort: c.local.Port(), DstPort: c.remote.Port(), ACE: -1, Flow: -1}
	var l4 []byte
	if e.Proto == protoTCP {
		l4 = buildTCP(k, nil)
	} else {
		l4 = make([]byte, header.UDPLen)
		be.PutUint16(l4, k.SrcPort)
		be.PutUint16(l4[2:], k.DstPort)
		be.PutUint16(l4[4:], uint16(header.UDPLen+e.Len))
	}
	src, dst := header.FromNetip(r.cfg.local), header.FromNetip(c.remote.Addr())
	ip := buildIP(k, src, dst, header.Protocol(e.Proto), len(l4)+e.Len)
	return append(ip, l4...)
}
