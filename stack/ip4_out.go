package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// ip4Output sends a packet, payload at the transport header, from src (the zero
// Addr: choose) to dst. It owns p. ErrRoute: no path, or a neighbour table that
// is full; ErrTooLong; ErrMem: no room for the header. (ip4_output)
func (s *Stack) ip4Output(p *pbuf.Pbuf, src, dst header.Addr, proto header.Protocol, ttl, tos uint8) error {
	pt, err := s.findPath(src, dst)
	if err != nil {
		s.stats.IP.OutRequests++
		s.stats.IP.OutNoRoutes++
		s.drop(p, DropIPNoRoute)
		return err
	}
	return s.ip4OutputPath(pt, p, dst, proto, ttl, tos)
}

// ip4OutputPath is ip4Output with the path known (ip4_output_if_src).
func (s *Stack) ip4OutputPath(pt path, p *pbuf.Pbuf, dst header.Addr, proto header.Protocol, ttl, tos uint8) error {
	n := s.neighborFor(pt.nif, pt.nextHop)
	if n == nil {
		s.stats.IP.OutRequests++
		s.stats.IP.OutDiscards++
		s.drop(p, DropNeighborTableFull)
		return ErrRoute
	}
	return s.ip4OutputVia(n, p, &header.IPv4Fields{TOS: tos, TTL: ttl, Protocol: proto, Src: pt.src, Dst: dst})
}

// ip4OutputVia puts the IP header in front of a packet and sends it to a
// neighbour. Of f it takes TOS, TTL (0: the default), protocol and addresses.
// It owns p.
func (s *Stack) ip4OutputVia(n *neighbor, p *pbuf.Pbuf, f *header.IPv4Fields) error {
	s.stats.IP.OutRequests++
	total := p.TotLen() + header.IPv4Len
	cut := p.Flags&(pbuf.TxTSO|pbuf.TxUSO) != 0
	if total > header.IPv4MaxAll && !cut {
		s.stats.IP.OutDiscards++
		s.drop(p, DropIPTooLong)
		return ErrTooLong
	}
	if !p.AddHeader(header.IPv4Len) {
		s.stats.IP.OutDiscards++
		s.drop(p, DropNoBuf)
		return ErrMem
	}
	def(&f.TTL, s.cfg.TTL)                          // RFC 1122 3.2.1.7: never 0
	if f.TotalLen = 0; total <= header.IPv4MaxAll { // else it is BIG TCP
		f.TotalLen = uint16(total)
	}
	// RFC 6864 4.1: with DF set the ID means nothing; without it, it must not
	// repeat soon (4.3).
	if f.DontFragment = f.Protocol == header.ProtoTCP; !f.DontFragment {
		s.ipID++
		f.ID = uint16(s.ipID)
	}
	(*header.IPv4)(p.Payload()).Encode(f)
	p.L2Len, p.L3Len = 0, header.IPv4Len
	if n.state == neighLocal {
		s.loopOutput(p)
		return nil
	}
	if total > n.nif.mtu && !cut {
		if f.DontFragment {
			s.stats.IP.FragFails++
			s.drop(p, DropIPNeedsFrag)
			return ErrTooLong
		}
		return s.ip4Fragment(n, p)
	}
	s.neighborOutput(n.nif, n, p, header.EtherTypeIPv4)
	return nil
}

// headerRoom returns a packet that headers can be put in front of: p if it has
// the room and is ours alone, else p behind a buffer of its own. Nil: no
// buffer, and p is dropped.
func (s *Stack) headerRoom(p *pbuf.Pbuf) *pbuf.Pbuf {
	const room = 80 // Ethernet, tag, IPv6, UDP: 66
	if p.RefCount() == 1 && p.Headroom() >= room {
		p.Flags &= pbuf.TxUSO // the others may be those of its reception
		return p
	}
	q := s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	if q == nil {
		s.drop(p, DropNoBuf)
		return nil
	}
	q.Cat(p)
	return q
}
