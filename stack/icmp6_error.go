package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// icmp6Error tells the sender of a packet, payload at the IPv6 header, what is
// wrong with it; rest is the word behind the checksum: MTU or pointer. Whether
// anything is sent, RFC 4443 2.4 decides; how much, the token bucket that IPv4 has,
// too (2.4 (f)). p stays the caller's.
func (s *Stack) icmp6Error(nif *Netif, p *pbuf.Pbuf, typ, code uint8, rest uint32) {
	st := &s.stats.ICMP6
	if !s.icmp6ErrorAllowed(p, typ, code) {
		return
	}
	if !s.icmp.allow(s.now) {
		st.OutRateLimited++
		return
	}
	h := (*header.IPv6)(p.Payload())
	to := h.Src().WithZone(nif.index)
	// RFC 4443 2.2 (a): the address that was asked, if it is one of ours.
	from := header.Addr{}
	if dst := h.Dst().WithZone(nif.index); s.isLocal(dst) {
		from = dst
	}
	pt, err := s.findPath(from, to)
	if err != nil {
		s.stats.IP6.OutNoRoutes++
		return
	}
	// RFC 4443 2.4 (c): as much as fits into the least MTU.
	n := min(p.TotLen(), header.IPv6MinMTU-header.IPv6Len-header.ICMPv6Len)
	q := s.alloc(pbuf.LayerTransport, header.ICMPv6Len+n, pbuf.KindRAM)
	if q == nil {
		s.stats.Drops[DropNoBuf]++
		return
	}
	b := q.Payload()
	p.CopyPartial(b[header.ICMPv6Len:], 0)
	(*header.ICMPv6)(b).Encode(typ, code, rest)
	s.icmp6Sum(q, pt.src, to)
	st.OutMsgs++
	switch typ {
	case header.ICMPv6DstUnreachable:
		st.OutDestUnreachs++
	case header.ICMPv6PacketTooBig:
		st.OutPktTooBigs++
	case header.ICMPv6TimeExceeded:
		st.OutTimeExcds++
	case header.ICMPv6ParamProblem:
		st.OutParmProbs++
	}
	_ = s.ip6OutputPath(pt, q, &header.IPv6Fields{NextHeader: header.ProtoICMPv6, Src: pt.src, Dst: to})
}

// icmp6ErrorAllowed is RFC 4443 2.4 (e): no error is sent about an error or a
// redirect, a packet to a group or in a frame to one, nor to what is no single
// node. Packets to groups may be too big, and have options that ask for a report.
func (s *Stack) icmp6ErrorAllowed(p *pbuf.Pbuf, typ, code uint8) bool {
	b := p.Payload()
	h := (*header.IPv6)(b)
	if src := h.Src(); src.IsZero() || src.IsMulticast() || src.IsLoopback() {
		return false
	}
	group := h.Dst().IsMulticast() || p.Flags&(pbuf.LinkBroadcast|pbuf.LinkMulticast) != 0
	if group && typ != header.ICMPv6PacketTooBig && (typ != header.ICMPv6ParamProblem || code != header.ICMPv6UnknownOption) {
		return false
	}
	var x header.IPv6Extensions
	_ = header.ParseIPv6Extensions(h.NextHeader(), b[header.IPv6Len:], &x) // as far as it goes
	if x.Fragment >= 0 && (*header.IPv6Fragment)(b[header.IPv6Len+x.Fragment:]).Offset() != 0 {
		// What it is part of can't be told, but it may be wrong itself (RFC 8200 4.5).
		return typ == header.ICMPv6ParamProblem && code == header.ICMPv6BadField
	}
	if x.Protocol != header.ProtoICMPv6 {
		return true
	}
	t, ok := p.TryGetAt(header.IPv6Len + x.Off)
	return ok && t >= header.ICMPv6Echo && t != header.ICMPv6Redirect
}
