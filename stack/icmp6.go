package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// ICMPv6 (RFC 4443, icmp6.c). Echo is answered, errors are passed to the transport
// that they are about, neighbour discovery goes to nd6.go and multicast listener
// discovery to mld6.go. Raw PCBs have seen all of it before. What sends errors is
// in icmp6_error.go.

// icmp6Input takes a message, payload at the IPv6 header (L3Len bytes with its
// extension headers). It owns p.
func (s *Stack) icmp6Input(nif *Netif, p *pbuf.Pbuf, src, dst header.Addr) {
	st := &s.stats.ICMP6
	st.InMsgs++
	hdrLen := int(p.L3Len)
	n := p.TotLen() - hdrLen
	if n < header.ICMPv6Len {
		st.InErrors++
		s.drop(p, DropICMPMalformed)
		return
	}
	if p = s.pullUp(p, hdrLen+header.ICMPv6Len); p == nil {
		return
	}
	if offload.L4Sum(p, hdrLen, header.PseudoHeader6(src, dst, header.ProtoICMPv6, uint32(n))) != 0xffff {
		st.InErrors++
		s.drop(p, DropICMPChecksum)
		return
	}
	typ := p.Payload()[hdrLen]
	switch typ {
	case header.ICMPv6Echo:
		st.InEchos++
		s.icmp6Echo(p, src, dst)
		return
	case header.ICMPv6RouterSolicit, header.ICMPv6RouterAdvert, header.ICMPv6NeighborSol, header.ICMPv6NeighborAdv,
		header.ICMPv6Redirect, header.ICMPv6MLDQuery, header.ICMPv6MLDReport:
		s.icmp6Link(nif, p, typ, src, dst)
		return
	case header.ICMPv6DstUnreachable:
		st.InDestUnreachs++
	case header.ICMPv6PacketTooBig:
		st.InPktTooBigs++
	case header.ICMPv6TimeExceeded:
		st.InTimeExcds++
	case header.ICMPv6ParamProblem:
		st.InParmProbs++
	case header.ICMPv6EchoReply:
		st.InEchoReps++
	}
	if typ >= header.ICMPv6DstUnreachable && typ <= header.ICMPv6ParamProblem {
		s.icmp6ErrorInput(nif, p, src)
		return
	}
	s.drop(p, DropICMPIgnored)
}

// icmp6Link takes a message about the link, payload at the IPv6 header, whose
// gates want it in one buffer. It owns p.
func (s *Stack) icmp6Link(nif *Netif, p *pbuf.Pbuf, typ uint8, src, dst header.Addr) {
	if p = s.pullUp(p, p.TotLen()); p == nil {
		return
	}
	ip := (*header.IPv6)(p.Payload())
	p.RemoveHeader(int(p.L3Len))
	if typ == header.ICMPv6MLDQuery || typ == header.ICMPv6MLDReport {
		s.mldInput(nif, p, ip)
		return
	}
	s.nd6Input(nif, p, ip, src, dst)
}

// icmp6Sum fills in the checksum of a message, payload at the ICMPv6 header, whose
// checksum field is 0 (RFC 4443 2.3).
func (s *Stack) icmp6Sum(p *pbuf.Pbuf, src, dst header.Addr) {
	sum := header.PseudoHeader6(src, dst, header.ProtoICMPv6, uint32(p.TotLen()))
	(*header.ICMPv6)(p.Payload()).SetChecksum(^offload.L4Sum(p, 0, sum))
}

// icmp6Echo answers an echo request with the packet itself (RFC 4443 4.2): from
// the address that was asked or, if that is a group, from one of ours. It owns p,
// whose payload is at the IPv6 header.
func (s *Stack) icmp6Echo(p *pbuf.Pbuf, src, dst header.Addr) {
	if src.IsZero() {
		s.drop(p, DropICMPIgnored)
		return
	}
	if dst.IsMulticast() {
		dst = header.Addr{}
	}
	class := (*header.IPv6)(p.Payload()).TrafficClass()
	p.RemoveHeader(int(p.L3Len))
	if p.RefCount() > 1 || p.Headroom() < header.IPv6Len+header.EthernetLen+header.VLANLen {
		q := p.Clone(pbuf.LayerTransport, pbuf.KindPool)
		if q == nil {
			s.drop(p, DropNoBuf)
			return
		}
		p.Free()
		p = q
	}
	pt, err := s.findPath(dst, src)
	if err != nil {
		s.stats.IP6.OutNoRoutes++
		s.drop(p, DropIPNoRoute)
		return
	}
	p.Meta = pbuf.Meta{}
	h := (*header.ICMPv6)(p.Payload())
	h.SetType(header.ICMPv6EchoReply)
	h.SetChecksum(0)
	s.icmp6Sum(p, pt.src, src)
	s.stats.ICMP6.OutMsgs++
	s.stats.ICMP6.OutEchoReps++
	_ = s.ip6OutputPath(pt, p, &header.IPv6Fields{TrafficClass: class, NextHeader: header.ProtoICMPv6, Src: pt.src, Dst: src})
}

// icmp6ErrorInput passes an error, payload at the IPv6 header, to the transport
// whose packet it quotes (RFC 4443 2.4 (d), RFC 8201 4). It owns p.
func (s *Stack) icmp6ErrorInput(nif *Netif, p *pbuf.Pbuf, src header.Addr) {
	var buf [header.ICMPv6Len + maxHeaders6 + header.UDPLen]byte
	n := p.CopyPartial(buf[:], int(p.L3Len))
	h := (*header.ICMPv6)(buf[:])
	var q icmpQuote
	proto, ok := q.parse6(nif, buf[header.ICMPv6Len:n])
	if !ok || !s.isLocal(q.local) {
		s.drop(p, DropICMPIgnored)
		return
	}
	q.translate(h)
	if s.hooks.Steer != nil && proto != header.ProtoICMPv6 &&
		s.steerTo(nif, p, s.hashFlow(q.local, q.remote, q.lport, q.rport)) {
		return
	}
	if h.Type() == header.ICMPv6PacketTooBig && h.MTU() < header.IPv6MinMTU {
		s.drop(p, DropICMPIgnored) // RFC 8201 4
		return
	}
	taken := false
	switch proto {
	case header.ProtoTCP:
		taken = s.tcpICMPError(&q)
	case header.ProtoUDP:
		taken = s.udpICMPError(&q)
	case header.ProtoICMPv6:
		taken = s.pingICMPError(&q, src)
	}
	if !taken {
		s.drop(p, DropICMPIgnored)
		return
	}
	// TCP tells itself, once it believes it (RFC 5927 7.2).
	if h.Type() == header.ICMPv6PacketTooBig && proto != header.ProtoTCP && h.MTU() < uint32(s.pathMTU6(nif, q.remote)) {
		s.nd6Happens(nif, ND6Event{Kind: ND6PathMTU, Addr: q.remote, MTU: h.MTU()})
	}
	p.Free()
}

// parse6 reads the quoted packet b: an IPv6 header, extension headers and at
// least 8 bytes behind them. What it quotes was sent by us; a fragment that is not
// the first has no ports.
func (q *icmpQuote) parse6(nif *Netif, b []byte) (header.Protocol, bool) {
	if len(b) < header.IPv6Len || b[0]>>4 != 6 {
		return 0, false
	}
	ip := (*header.IPv6)(b)
	var x header.IPv6Extensions
	if header.ParseIPv6Extensions(ip.NextHeader(), b[header.IPv6Len:], &x) != 0 {
		return 0, false
	}
	if x.Fragment >= 0 && (*header.IPv6Fragment)(b[header.IPv6Len+x.Fragment:]).Offset() != 0 {
		return 0, false
	}
	b = b[header.IPv6Len+x.Off:]
	if len(b) < header.UDPLen {
		return 0, false
	}
	u := (*header.UDP)(b) // TCP has its ports in the same place
	q.local, q.remote = ip.Src().WithZone(nif.index), ip.Dst().WithZone(nif.index)
	q.lport, q.rport = u.SrcPort(), u.DstPort()
	q.seq = header.Seq(uint32(u.Length())<<16 | uint32(u.Checksum())) // where TCP has its sequence number
	return x.Protocol, true
}

// translate says an ICMPv6 error in the words of ICMP for IPv4, which the
// transports have: what they do about it is the same (RFC 4443 A, RFC 5927 2).
func (q *icmpQuote) translate(h *header.ICMPv6) {
	q.typ, q.code = header.ICMPv4DstUnreachable, header.ICMPv4HostUnreachable
	switch h.Type() {
	case header.ICMPv6DstUnreachable:
		switch h.Code() {
		case header.ICMPv6PortUnreachable:
			q.code = header.ICMPv4PortUnreachable
		case header.ICMPv6AdminProhibited:
			q.code = header.ICMPv4AdminProhibited
		case header.ICMPv6NoRoute:
			q.code = header.ICMPv4NetUnreachable
		}
	case header.ICMPv6PacketTooBig:
		q.code, q.mtu = header.ICMPv4FragNeeded, uint16(min(h.MTU(), 0xffff))
	case header.ICMPv6TimeExceeded:
		q.typ, q.code = header.ICMPv4TimeExceeded, h.Code()
	case header.ICMPv6ParamProblem:
		if q.typ, q.code = header.ICMPv4ParamProblem, 0; h.Code() == header.ICMPv6UnknownNextHeader {
			q.typ, q.code = header.ICMPv4DstUnreachable, header.ICMPv4ProtoUnreachable
		}
	}
}
