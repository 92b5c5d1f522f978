package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// Plain datagrams go in and out in one step, as plain segments do (tcp_plain.go):
// untagged Ethernet, IPv4 without options, not fragmented, for a unicast address
// of ours that somebody is bound to. All others take the long way.

// plainUDP takes a frame b, of p alone, that is a plain datagram. False: nothing
// was done, p is the caller's.
func (s *Stack) plainUDP(nif *Netif, p *pbuf.Pbuf, b []byte) bool {
	h, _, n, ok := header.ParseUDP4(b)
	if !ok || p.Flags&pbuf.RxLRO != 0 {
		return false
	}
	ip := h.Plain()
	if ip.DstMAC() != nif.mac48 {
		return false
	}
	src, dst := header.AddrFrom4Uint(ip.Src()), header.AddrFrom4Uint(ip.Dst())
	if !s.plainEnds(nif, src, dst) {
		return false
	}
	if p.Flags&pbuf.RxIPCsumGood == 0 && ip.SumIPv4() != 0xffff {
		return false
	}
	l4 := b[header.EthernetLen+header.IPv4Len : header.EthernetLen+header.IPv4Len+n]
	// RFC 768: 0 means that the sender did not compute it (RFC 1122 4.1.3.4).
	if p.Flags&pbuf.RxL4CsumGood == 0 && h.Checksum() != 0 && header.Checksum(l4, ip.PseudoSum(n)) != 0xffff {
		return false
	}
	u := s.udpLookup(nif, src, dst, h.Ports(), false)
	if u == nil || u.recv == nil {
		return false
	}
	s.stats.IP.InReceives++
	s.stats.IP.InDelivers++
	s.stats.UDP.InDatagrams++
	if len(b) != header.EthernetLen+header.IPv4Len+n { // what the link or IP has added
		p.Realloc(header.EthernetLen + header.IPv4Len + n)
	}
	p.Netif, p.L2Len, p.L3Len = nif.index, header.EthernetLen, header.IPv4Len
	p.RemoveHeader(header.UDP4Len)
	s.udp.dst = dst
	u.recv(u.arg, u, p, netip.AddrPortFrom(src.Netip(), uint16(h.Ports()>>16)))
	return true
}

// sendPlain puts all headers in front of a datagram's data and gives the frame to
// the interface. sum is that of the data, if haveSum. It owns p, which has one
// owner and room for the headers. False: nothing was done, the datagram has to
// go the long way.
func (u *UDP) sendPlain(p *pbuf.Pbuf, dst header.Addr, dport uint16, sum uint16, haveSum bool) bool {
	s, n := u.s, u.neigh
	nif := n.nif
	l4 := header.UDPLen + p.TotLen()
	if !nif.plainOut || !n.usable() || header.IPv4Len+l4 > nif.mtu || p.Flags&pbuf.TxUSO != 0 {
		return false
	}
	partial := nif.caps.Has(offload.TxUDPCsum)
	if !partial && !haveSum {
		sum = offload.L4Sum(p, 0, 0)
	}
	if !p.AddHeader(header.UDP4Len) {
		return false
	}
	s.ipID++                // RFC 6864 4.3: it must not repeat soon, as the packet may be cut
	var f header.UDP4Fields // one by one: a literal would be made elsewhere and copied
	f.Link, f.Src, f.Dst, f.Ports = &n.link, u.src.Uint32(), dst.Uint32(), uint32(u.lport)<<16|uint32(dport)
	f.Len, f.ID, f.TOS, f.TTL = uint32(l4), uint16(s.ipID), u.tos, u.ttl
	f.Sum, f.Partial = uint64(sum), partial
	def(&f.TTL, s.cfg.TTL)
	(*header.UDP4)(p.Payload()).Encode(&f)
	p.L2Len, p.L3Len, p.L4Len = header.EthernetLen, header.IPv4Len, header.UDPLen
	if partial {
		p.Flags |= pbuf.TxUDPCsum
	}
	n.touch(s.now)
	s.stats.UDP.OutDatagrams++
	s.stats.IP.OutRequests++
	nif.enqueue(p)
	return true
}
