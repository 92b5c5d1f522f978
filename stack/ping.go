package stack

import (
	"net/netip"
	"time"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// PingReply is what came back for an echo request.
type PingReply struct {
	Seq       uint16
	RTT       time.Duration
	Bytes     int   // of data
	TTL       uint8 // of the reply
	Duplicate bool  // this request was answered before; RTT is 0
	Err       error // not answered: ErrUnreachable, by an ICMP error from From
	From      netip.Addr
}

// PingFunc is told of each reply. It runs on the stack's thread, and may send
// the next request or close the Ping.
type PingFunc func(arg any, g *Ping, r PingReply)

// pingWindow is how many requests may be under way: replies that come when so
// many later ones were sent are ignored.
const pingWindow = 256

// Ping sends ICMP echo requests to one host and measures the replies (RFC 792,
// RFC 1122 3.2.2.6; RFC 4443 4). It is a raw PCB with a memory of what it sent.
type Ping struct {
	raw  *Raw
	fn   PingFunc
	arg  any
	id   uint16
	seq  uint16            // of the next request
	n    int               // requests sent
	sent [pingWindow]int64 // when, by sequence number; 0: answered
}

// NewPing makes a Ping to a host; fn may be nil. ErrVal: no address of a host.
// ErrClosed.
func (s *Stack) NewPing(to netip.Addr, arg any, fn PingFunc) (*Ping, error) {
	remote := s.peerAddr(to)
	proto := header.ProtoICMP
	if !remote.Is4() {
		proto = header.ProtoICMPv6
	}
	r := s.NewRaw(proto)
	if r == nil {
		return nil, ErrClosed
	}
	if remote.IsUnspecified() {
		r.Close()
		return nil, ErrVal
	}
	g := &Ping{raw: r, fn: fn, arg: arg, id: uint16(s.rng.uint32())}
	if h := s.hooks.PingID; h != nil {
		g.id = h(g.id)
	}
	r.remote = remote
	r.SetArg(g)
	r.SetRecv(func(arg any, _ *Raw, p *pbuf.Pbuf, _ netip.Addr) bool { return arg.(*Ping).recv(p) })
	s.icmp.pings = append(s.icmp.pings, g)
	return g, nil
}

// Close ends the Ping.
func (g *Ping) Close() {
	s := g.raw.s
	if s == nil {
		return
	}
	g.raw.Close()
	for i, x := range s.icmp.pings {
		if x == g {
			s.icmp.pings = append(append(make([]*Ping, 0, len(s.icmp.pings)-1), s.icmp.pings[:i]...), s.icmp.pings[i+1:]...)
			return
		}
	}
}

// Raw is the PCB underneath, to set TTL, TOS or the source address.
func (g *Ping) Raw() *Raw { return g.raw }

// Sent is how many requests were sent.
func (g *Ping) Sent() int { return g.n }

// Send sends a request with n bytes of data, 0 … 65,507, or 65,527 over IPv6, and
// returns its sequence number. Errors: ErrVal, ErrMem, ErrRoute, ErrClosed.
func (g *Ping) Send(n int) (uint16, error) {
	s := g.raw.s
	switch {
	case s == nil:
		return 0, ErrClosed
	case n < 0 || n > maxUDP(g.raw.remote)-header.ICMPv4Len: // headers of the same lengths
		return 0, ErrVal
	}
	n += header.ICMPv4Len
	kind := pbuf.KindRAM
	if n > s.pool.DataRoom(pbuf.ClassStandard) {
		kind = pbuf.KindPool
	}
	p := s.alloc(pbuf.LayerTransport, n, kind)
	if p == nil {
		s.stats.Drops[DropNoBuf]++
		return 0, ErrMem
	}
	c := byte(0)
	for q := p; q != nil; q = q.Next() {
		for b := q.Payload(); len(b) > 0; b = b[1:] {
			b[0] = c
			c++
		}
	}
	seq := g.seq
	g.encode(p, seq)
	if err := g.raw.Send(p); err != nil {
		return 0, err
	}
	if g.v6() {
		s.stats.ICMP6.OutMsgs++
		s.stats.ICMP6.OutEchos++
	} else {
		s.stats.ICMP.OutMsgs++
		s.stats.ICMP.OutEchos++
	}
	g.sent[seq%pingWindow] = s.now
	g.seq++
	g.n++
	return seq, nil
}

// v6 reports whether the host has an IPv6 address.
func (g *Ping) v6() bool { return g.raw.proto == header.ProtoICMPv6 }

// encode writes the header of a request. Over IPv6 the checksum, which covers the
// addresses, is filled in when it is sent (Raw.sendICMP6).
func (g *Ping) encode(p *pbuf.Pbuf, seq uint16) {
	rest := uint32(g.id)<<16 | uint32(seq)
	if g.v6() {
		(*header.ICMPv6)(p.Payload()).Encode(header.ICMPv6Echo, 0, rest)
		return
	}
	h := (*header.ICMPv4)(p.Payload())
	h.Encode(header.ICMPv4Echo, 0, rest)
	h.SetChecksum(^offload.L4Sum(p, 0, 0))
}

// recv looks at an ICMP packet from the host, payload at the IP header, and eats
// the replies to this Ping.
func (g *Ping) recv(p *pbuf.Pbuf) bool {
	s := g.raw.s
	var b [header.ICMPv4Len]byte
	off := int(p.L3Len)
	if p.CopyPartial(b[:], off) < len(b) {
		return false
	}
	h := (*header.ICMPv4)(b[:]) // that of ICMPv6 is laid out alike
	want, sum := header.ICMPv4EchoReply, uint16(0)
	r := PingReply{Seq: h.EchoSeq(), Bytes: p.TotLen() - off - header.ICMPv4Len}
	if g.v6() {
		ip := (*header.IPv6)(p.Payload())
		want = header.ICMPv6EchoReply
		sum = header.PseudoHeader6(ip.Src(), ip.Dst(), header.ProtoICMPv6, uint32(p.TotLen()-off))
		r.TTL, r.From = ip.HopLimit(), s.netip(g.raw.remote)
	} else {
		ip := (*header.IPv4)(p.Payload())
		r.TTL, r.From = ip.TTL(), ip.Src().Netip()
	}
	if h.Type() != want || h.EchoID() != g.id || !g.recent(h.EchoSeq()) || offload.L4Sum(p, off, sum) != 0xffff {
		return false
	}
	if g.v6() {
		s.stats.ICMP6.InMsgs++
		s.stats.ICMP6.InEchoReps++
	} else {
		s.stats.ICMP.InMsgs++
		s.stats.ICMP.InEchoReps++
	}
	p.Free()
	g.answer(r)
	return true
}

// recent reports whether a request with that number was sent not too long ago.
func (g *Ping) recent(seq uint16) bool {
	back := g.seq - seq
	return back != 0 && back <= pingWindow && int(back) <= g.n
}

func (g *Ping) answer(r PingReply) {
	if at := &g.sent[r.Seq%pingWindow]; *at != 0 {
		r.RTT, *at = time.Duration(g.raw.s.now-*at), 0
	} else {
		r.Duplicate = true
	}
	if g.fn != nil {
		g.fn(g.arg, g, r)
	}
}

// pingICMPError tells the Ping whose request an ICMP error quotes; false: there
// is none.
func (s *Stack) pingICMPError(q *icmpQuote, from header.Addr) bool {
	id, seq := uint16(q.seq>>16), uint16(q.seq)
	for _, g := range s.icmp.pings {
		if g.id == id && g.raw.remote == q.remote && g.recent(seq) && g.sent[seq%pingWindow] != 0 {
			g.answer(PingReply{Seq: seq, Err: ErrUnreachable, From: s.netip(from)})
			return true
		}
	}
	return false
}
