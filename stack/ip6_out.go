package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// ip6Output sends a packet, payload at the transport header, from src (the zero
// Addr: choose) to dst. It owns p. Errors as ip4Output's. (ip6_output)
func (s *Stack) ip6Output(p *pbuf.Pbuf, src, dst header.Addr, proto header.Protocol, hops, class uint8) error {
	pt, err := s.findPath(src, dst)
	if err != nil {
		s.stats.IP6.OutRequests++
		s.stats.IP6.OutNoRoutes++
		s.drop(p, DropIPNoRoute)
		return err
	}
	return s.ip6OutputPath(pt, p, &header.IPv6Fields{TrafficClass: class, HopLimit: hops, NextHeader: proto, Src: pt.src, Dst: dst})
}

// ip6OutputPath is ip6Output with the path known (ip6_output_if_src); of f it
// takes what ip6OutputVia does.
func (s *Stack) ip6OutputPath(pt path, p *pbuf.Pbuf, f *header.IPv6Fields) error {
	n := s.neighborFor(pt.nif, pt.nextHop)
	if n == nil {
		s.stats.IP6.OutRequests++
		s.stats.IP6.OutDiscards++
		s.drop(p, DropNeighborTableFull)
		return ErrRoute
	}
	return s.ip6OutputVia(n, p, f)
}

// ip6OutputVia puts the IPv6 header in front of a packet and sends it to a
// neighbour. Of f it takes traffic class, hop limit (0: the default), next header,
// flow label and addresses. It owns p.
func (s *Stack) ip6OutputVia(n *neighbor, p *pbuf.Pbuf, f *header.IPv6Fields) error {
	size, big := p.TotLen(), p.Flags&(pbuf.TxTSO|pbuf.TxUSO) != 0
	if err := s.ip6Header(n.nif, p, f); err != nil {
		return err
	}
	if n.state == neighLocal {
		p.Netif = n.nif.index // whose zone its addresses are in
		s.loopOutput(p)
		return nil
	}
	if mtu := s.pathMTU6(n.nif, f.Dst); !big && size+header.IPv6Len > mtu {
		return s.ip6Fragment(n, p, mtu)
	}
	s.neighborOutput(n.nif, n, p, header.EtherTypeIPv6)
	return nil
}

// ip6Header puts the IPv6 header in front of a packet that leaves by nif; f as of
// ip6OutputVia. An error: p is dropped.
func (s *Stack) ip6Header(nif *Netif, p *pbuf.Pbuf, f *header.IPv6Fields) error {
	s.stats.IP6.OutRequests++
	size, jumbo := p.TotLen(), 0
	switch {
	case size <= 0xffff:
		f.PayloadLen = uint16(size)
	case p.Flags&pbuf.TxTSO != 0 && putJumbo(p, f):
		jumbo = header.IPv6JumboLen
	case p.Flags&pbuf.TxUSO != 0: // the length of a packet that is cut is not looked at
		f.PayloadLen = 0
	default:
		s.stats.IP6.OutDiscards++
		s.drop(p, DropIPTooLong)
		return ErrTooLong
	}
	if !p.AddHeader(header.IPv6Len) {
		s.stats.IP6.OutDiscards++
		s.drop(p, DropNoBuf)
		return ErrMem
	}
	if f.HopLimit == 0 {
		f.HopLimit = nif.hopLimit6()
	}
	(*header.IPv6)(p.Payload()).Encode(f)
	p.L2Len, p.L3Len = 0, header.IPv6Len+uint8(jumbo)
	return nil
}

// ip6Link sends a packet, payload at the transport header, on nif without looking
// for a route: to a neighbour or group on the link. A group takes no place in the
// table of neighbours. It owns p.
func (s *Stack) ip6Link(nif *Netif, p *pbuf.Pbuf, f *header.IPv6Fields) {
	if f.Dst.IsMulticast() {
		if s.ip6Header(nif, p, f) == nil {
			s.ethernetOutput(nif, p, f.Dst.MulticastMAC(), header.EtherTypeIPv6)
		}
		return
	}
	_ = s.ip6OutputPath(path{nif: nif, nextHop: f.Dst.WithZone(nif.index), src: f.Src}, p, f)
}

// ipOutputVia sends a packet of either family, payload at the transport header,
// to a neighbour. It owns p.
func (s *Stack) ipOutputVia(n *neighbor, p *pbuf.Pbuf, f *ipFields) error {
	if f.dst.Is4() {
		return s.ip4OutputVia(n, p, &header.IPv4Fields{TOS: f.tos, TTL: f.ttl, Protocol: f.proto, Src: f.src, Dst: f.dst})
	}
	if f.ttl == s.cfg.TTL { // nobody asked for another: routers may say what it is
		f.ttl = 0
	}
	return s.ip6OutputVia(n, p, &header.IPv6Fields{
		TrafficClass: f.tos, HopLimit: f.ttl, NextHeader: f.proto, FlowLabel: f.label, Src: f.src, Dst: f.dst,
	})
}

// ipFields is what the layers above say of a packet of either family.
type ipFields struct {
	src, dst header.Addr
	proto    header.Protocol
	ttl, tos uint8
	label    uint32 // IPv6 flow label
}

// ipOutput sends a packet of either family from src (the zero Addr: choose). It
// owns p. Errors as ip4Output's.
func (s *Stack) ipOutput(p *pbuf.Pbuf, f *ipFields) error {
	if f.dst.Is4() {
		return s.ip4Output(p, f.src, f.dst, f.proto, f.ttl, f.tos)
	}
	if f.ttl == s.cfg.TTL {
		f.ttl = 0
	}
	return s.ip6Output(p, f.src, f.dst, f.proto, f.ttl, f.tos)
}

// flowLabel makes the flow label of a connection's packets of its hash: the same
// for all of them, and spread over all values (RFC 6437 3).
func flowLabel(hash uint32) uint32 { return (hash ^ hash>>20) & 0xfffff }
