package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// The path of an IPv6 packet (RFC 8200):
//
//	ip6Input         gate, source, destination
//	├ ip6Receive     for us: extension headers (ip6_ext.go), reassembly, protocol
//	└ ip6Forward     for others (ip6_forward.go)
//	ip6Output        route (ip6_route.go)
//	└ ip6OutputVia   header
//	  └ neighborOutput, or ip6Fragment, or loopOutput

// maxHeaders6 is how long the IPv6 header and its extension headers may be, as
// Meta.L3Len can tell (RFC 8504 5.3 allows limits on extension headers).
const maxHeaders6 = 255

// ip6Input takes a packet from the wire, payload at the IPv6 header. It owns p.
func (s *Stack) ip6Input(nif *Netif, p *pbuf.Pbuf) {
	s.stats.IP6.InReceives++
	h, n, fault := header.ParseIPv6Head(p.Payload(), p.TotLen())
	if fault != 0 {
		s.ip6Bad(p, DropIPMalformed)
		return
	}
	if h.IsJumbo() {
		var ok bool
		if n, ok = s.ip6Jumbo(nif, p); !ok {
			return
		}
	}
	if p.TotLen() > header.IPv6Len+n { // the link's padding
		p.Realloc(header.IPv6Len + n)
	}
	p.L3Len = header.IPv6Len
	if hook := s.hooks.IP6Input; hook != nil && hook(nif, p) {
		s.stats.Drops[DropHook]++
		return
	}
	src, dst := h.Src().WithZone(nif.index), h.Dst().WithZone(nif.index)
	if !s.validSource6(src) || dst.IsLoopback() || dst.IsZero() {
		s.ip6AddrBad(p, DropIPBadSource)
		return
	}
	if dst.IsMulticast() {
		if dst.Scope() <= 1 || !nif.inGroup(dst) { // RFC 4291 2.7
			s.ip6AddrBad(p, DropIPGroup)
			return
		}
		p.Flags |= flagGroup
		s.ip6Receive(nif, p, h, src, dst)
		return
	}
	if e := s.locals.find(dst); e != nil && e.nif != nil {
		if p.Flags&(pbuf.LinkBroadcast|pbuf.LinkMulticast) != 0 {
			s.ip6AddrBad(p, DropIPLinkGroup)
			return
		}
		s.ip6Receive(nif, p, h, src, dst)
		return
	}
	if s.cfg.Forward {
		s.ip6Forward(nif, p, src, dst)
		return
	}
	s.ip6AddrBad(p, DropIPNotForUs)
}

func (s *Stack) ip6Bad(p *pbuf.Pbuf, why DropReason) {
	s.stats.IP6.InHdrErrors++
	s.drop(p, why)
}

func (s *Stack) ip6AddrBad(p *pbuf.Pbuf, why DropReason) {
	s.stats.IP6.InAddrErrors++
	s.drop(p, why)
}

// validSource6 reports whether src can be the source of a packet from the wire:
// no group and no loopback address (RFC 4291 2.7, 2.5.3), and nobody but us has
// our addresses. "::" is a node that has none yet; who may use it is looked at
// by protocol (ip6Deliver).
func (s *Stack) validSource6(src header.Addr) bool {
	if src.IsMulticast() || src.IsLoopback() {
		return false
	}
	e := s.locals.find(src)
	return e == nil || e.nif == nil
}

// ip6Receive takes a packet that is for us, payload at the IPv6 header h, and
// hands it up. It owns p.
func (s *Stack) ip6Receive(nif *Netif, p *pbuf.Pbuf, h *header.IPv6, src, dst header.Addr) {
	proto := h.NextHeader()
	if isExtension(proto) {
		s.ip6Extensions(nif, p, src, dst)
		return
	}
	s.ip6Deliver(nif, p, proto, src, dst)
}

// isExtension reports whether a next header is one of the extension headers that
// are walked.
func isExtension(p header.Protocol) bool {
	switch p {
	case header.ProtoHopByHop, header.ProtoRouting, header.ProtoFragment, header.ProtoDestOpts, header.ProtoAH:
		return true
	}
	return false
}

// ip6Deliver hands a whole packet, payload at the IPv6 header (L3Len bytes with
// its extension headers), to its protocol. It owns p.
func (s *Stack) ip6Deliver(nif *Netif, p *pbuf.Pbuf, proto header.Protocol, src, dst header.Addr) {
	if src.IsZero() && proto != header.ProtoICMPv6 { // RFC 4291 2.5.2: for ND and MLD only
		s.ip6AddrBad(p, DropIPBadSource)
		return
	}
	seen := false
	if len(s.raw) != 0 {
		var eaten bool
		if seen, eaten = s.rawInput(p, proto, src, dst); eaten {
			s.stats.IP6.InDelivers++
			return
		}
	}
	hdrLen := int(p.L3Len)
	switch proto {
	case header.ProtoTCP:
		s.stats.IP6.InDelivers++
		p.RemoveHeader(hdrLen)
		s.tcpInput(nif, p, src, dst)
	case header.ProtoUDP:
		s.stats.IP6.InDelivers++
		p.RemoveHeader(hdrLen)
		s.udpInput(nif, p, src, dst)
	case header.ProtoICMPv6:
		s.stats.IP6.InDelivers++
		s.icmp6Input(nif, p, src, dst)
	default:
		s.ip6Unknown(nif, p, proto, seen)
	}
}

// ip6Unknown ends a packet of a protocol that nobody here has.
func (s *Stack) ip6Unknown(nif *Netif, p *pbuf.Pbuf, proto header.Protocol, seen bool) {
	if seen { // a raw PCB had its look at it
		s.stats.IP6.InDelivers++
		p.Free()
		return
	}
	if proto != header.ProtoNone { // RFC 8200 4, 4.7
		s.icmp6Error(nif, p, header.ICMPv6ParamProblem, header.ICMPv6UnknownNextHeader, uint32(lastNextHeader(p)))
	}
	s.stats.IP6.InUnknownProtos++
	s.drop(p, DropIPUnknownProto)
}

// lastNextHeader is where the next-header byte that names the upper layer lies,
// counted from the IPv6 header of p, whose headers have passed the gates.
func lastNextHeader(p *pbuf.Pbuf) int {
	var x header.IPv6Extensions
	b := p.Payload()
	b = b[header.IPv6Len:max(header.IPv6Len, min(int(p.L3Len), len(b)))]
	_ = header.ParseIPv6Extensions((*header.IPv6)(p.Payload()).NextHeader(), b, &x)
	return header.IPv6Len + x.NextOff
}

// loopInput6 takes a packet to ourselves, payload at the IPv6 header. It owns p.
func (s *Stack) loopInput6(p *pbuf.Pbuf) {
	s.stats.IP6.InReceives++
	h, _, fault := header.ParseIPv6Head(p.Payload(), p.TotLen())
	if fault != 0 {
		s.ip6Bad(p, DropIPMalformed)
		return
	}
	p.L2Len, p.L3Len = 0, header.IPv6Len
	// Its zone is gone, but not that of the interface that it was sent on.
	nif := s.netifAt(p.Netif)
	src, dst := h.Src(), h.Dst()
	if nif != nil {
		src, dst = src.WithZone(nif.index), dst.WithZone(nif.index)
	}
	if nif = s.localNetif(dst); nif == nil { // the address has gone meanwhile
		s.ip6AddrBad(p, DropIPNotForUs)
		return
	}
	s.ip6Receive(nif, p, h, src, dst)
}
