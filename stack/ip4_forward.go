package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// ip4Forward routes a packet of another host, payload at the IP header, whose
// gate, checksum and source are good (RFC 1812 5.2, ip4_forward). It owns p.
func (s *Stack) ip4Forward(nif *Netif, p *pbuf.Pbuf) {
	h := (*header.IPv4)(p.Payload())
	src, dst := h.Src(), h.Dst()
	if !s.canForward(p, src, dst) {
		s.stats.IP.InAddrErrors++
		s.drop(p, DropIPForwardLoop)
		return
	}
	if p.L3Len > header.IPv4Len && !s.ip4Options(nif, p) {
		return
	}
	pt, err := s.findPath(header.Addr{}, dst)
	if err != nil { // RFC 1812 5.2.7.1: code 0
		s.icmpError(nif, p, header.ICMPv4DstUnreachable, header.ICMPv4NetUnreachable, 0)
		s.stats.IP.OutNoRoutes++
		s.drop(p, DropIPNoRoute)
		return
	}
	if pt.nif == nif || pt.nif.isBroadcast(dst) { // RFC 2644: no directed broadcast
		s.stats.IP.InAddrErrors++
		s.drop(p, DropIPForwardLoop)
		return
	}
	if h.TTL() <= 1 { // RFC 1812 5.3.1
		s.icmpError(nif, p, header.ICMPv4TimeExceeded, header.ICMPv4TTLExceeded, 0)
		s.ip4Bad(p, DropIPTTL)
		return
	}
	if forwardLen(p) > pt.nif.mtu && h.DontFragment() { // RFC 1191 4
		s.icmpError(nif, p, header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, uint32(pt.nif.mtu))
		s.stats.IP.FragFails++
		s.drop(p, DropIPNeedsFrag)
		return
	}
	s.ip4ForwardTo(pt, p)
}

// forwardLen is the length of a packet on the link that it leaves by: of several
// that the port has joined, that of one.
func forwardLen(p *pbuf.Pbuf) int {
	if p.Flags&pbuf.RxLRO != 0 {
		return min(p.TotLen(), int(p.L3Len)+int(p.L4Len)+int(p.SegSize))
	}
	return p.TotLen()
}

// ip4ForwardTo sends a packet on its way.
func (s *Stack) ip4ForwardTo(pt path, p *pbuf.Pbuf) {
	n := s.neighborFor(pt.nif, pt.nextHop)
	if n == nil {
		s.stats.IP.OutDiscards++
		s.drop(p, DropNeighborTableFull)
		return
	}
	if p = s.unshare(p); p == nil {
		return
	}
	h := (*header.IPv4)(p.Payload())
	h.DecTTL()
	s.stats.IP.ForwDatagrams++
	// What the port has joined, or left without a final checksum, is cut and
	// summed on its way out.
	p.L2Len = 0
	offload.Forward(p, h.Protocol())
	p.Flags |= flagForwarded
	if p.Flags&(pbuf.TxTSO|pbuf.TxUSO) == 0 && p.TotLen() > pt.nif.mtu {
		_ = s.ip4Fragment(n, p)
		return
	}
	s.neighborOutput(pt.nif, n, p, header.EtherTypeIPv4)
}

// canForward reports whether a packet may be forwarded at all: not if it came
// as a link broadcast (RFC 1812 5.3.4), nor from or to addresses that have a
// meaning on one link only (RFC 1812 5.3.7, RFC 3927 2.7).
func (s *Stack) canForward(p *pbuf.Pbuf, src, dst header.Addr) bool {
	if h := s.hooks.IP4CanForward; h != nil {
		if v := h(p, dst); v >= 0 {
			return v != 0
		}
	}
	v := dst.Uint32()
	return p.Flags&(pbuf.LinkBroadcast|pbuf.LinkMulticast) == 0 && !src.IsUnspecified() &&
		!src.IsLinkLocal() && !dst.IsLinkLocal() && v>>24 != 0 && v>>24 != 127 && v>>28 < 0xe
}
