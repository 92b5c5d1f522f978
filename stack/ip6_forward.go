package stack

import (
	"math"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// ip6Forward routes a packet of another node, payload at the IPv6 header, whose
// gate and source are good (RFC 8200 3, RFC 4443, ip6_forward). Routers do not
// fragment (RFC 8200 5). It owns p.
func (s *Stack) ip6Forward(nif *Netif, p *pbuf.Pbuf, src, dst header.Addr) {
	h := (*header.IPv6)(p.Payload())
	if p.Flags&(pbuf.LinkBroadcast|pbuf.LinkMulticast) != 0 || src.IsZero() ||
		dst.NeedsZone() {
		s.ip6AddrBad(p, DropIPForwardLoop)
		return
	}
	if src.NeedsZone() { // RFC 4007 9, RFC 4443 3.1: beyond the scope of the source
		s.icmp6Error(nif, p, header.ICMPv6DstUnreachable, header.ICMPv6BeyondScope, 0)
		s.ip6AddrBad(p, DropIPForwardLoop)
		return
	}
	if h.NextHeader() == header.ProtoHopByHop && !s.ip6HopByHop(nif, p) {
		return
	}
	pt, err := s.findPath(header.Addr{}, dst)
	if err != nil { // RFC 4443 3.1
		s.icmp6Error(nif, p, header.ICMPv6DstUnreachable, header.ICMPv6NoRoute, 0)
		s.stats.IP6.OutNoRoutes++
		s.drop(p, DropIPNoRoute)
		return
	}
	if pt.nif == nif {
		s.ip6AddrBad(p, DropIPForwardLoop)
		return
	}
	if h.HopLimit() <= 1 { // RFC 4443 3.3
		s.icmp6Error(nif, p, header.ICMPv6TimeExceeded, header.ICMPv6HopLimitExceeded, 0)
		s.ip6Bad(p, DropIPTTL)
		return
	}
	if forwardLen(p) > pt.nif.mtu { // RFC 4443 3.2
		s.icmp6Error(nif, p, header.ICMPv6PacketTooBig, 0, uint32(pt.nif.mtu))
		s.stats.IP6.FragFails++
		s.drop(p, DropIPNeedsFrag)
		return
	}
	s.ip6ForwardTo(pt, p)
}

// ip6HopByHop looks at the options that every node on the way may look at
// (RFC 8200 4.3). False: p is dropped.
func (s *Stack) ip6HopByHop(nif *Netif, p *pbuf.Pbuf) bool {
	b := p.Payload()
	if len(b) < header.IPv6Len+8 || len(b) < header.IPv6Len+(int(b[header.IPv6Len+1])+1)<<3 {
		s.ip6Bad(p, DropIPMalformed)
		return false
	}
	// Of this header alone: what follows it is not ours. A copy, as the packet may be
	// read by others meanwhile.
	var buf [(math.MaxUint8 + 1) << 3]byte
	opts := buf[:copy(buf[:], b[header.IPv6Len:header.IPv6Len+(int(b[header.IPv6Len+1])+1)<<3])]
	opts[0] = byte(header.ProtoNone)
	var x header.IPv6Extensions
	fault := header.ParseIPv6Extensions(header.ProtoHopByHop, opts, &x)
	if fault != 0 {
		s.ip6Bad(p, DropIPMalformed)
		return false
	}
	if at := jumboFault((*header.IPv6)(b), &x); at != 0 { // RFC 2675 3
		s.icmp6Error(nif, p, header.ICMPv6ParamProblem, header.ICMPv6BadField, uint32(at))
		s.ip6Bad(p, DropIPMalformed)
		return false
	}
	if x.Options >= 0 {
		if x.Action >= header.IPv6OptReport {
			s.icmp6Error(nif, p, header.ICMPv6ParamProblem, header.ICMPv6UnknownOption, uint32(header.IPv6Len+x.Options))
		}
		s.ip6Bad(p, DropIPExtension)
		return false
	}
	return true
}

// ip6ForwardTo sends a packet on its way.
func (s *Stack) ip6ForwardTo(pt path, p *pbuf.Pbuf) {
	n := s.neighborFor(pt.nif, pt.nextHop)
	if n == nil {
		s.stats.IP6.OutDiscards++
		s.drop(p, DropNeighborTableFull)
		return
	}
	if p = s.unshare(p); p == nil {
		return
	}
	h := (*header.IPv6)(p.Payload())
	h.SetHopLimit(h.HopLimit() - 1)
	s.stats.IP6.ForwDatagrams++
	// What the port has joined, or left without a final checksum, is cut and
	// summed on its way out.
	p.L2Len = 0
	offload.Forward(p, h.NextHeader())
	p.Flags |= flagForwarded
	s.neighborOutput(pt.nif, n, p, header.EtherTypeIPv6)
}
