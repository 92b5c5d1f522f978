package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Reassembly of IPv6 (RFC 8200 4.5, RFC 5722, RFC 7112, ip6_frag.c). What waits,
// and how long, is kept with that of IPv4 (ip4_reass.go).

// reass6Input takes a fragment, payload at the IPv6 header, x being its extension
// headers. It owns p and returns the whole packet, payload at its IPv6 header and
// without the fragment header, when p was the last one missing.
func (s *Stack) reass6Input(nif *Netif, p *pbuf.Pbuf, x *header.IPv6Extensions) *pbuf.Pbuf {
	s.stats.IP6.ReasmReqds++
	b := p.Payload()
	hdrLen := header.IPv6Len + x.Off // the fragment header is the last of them
	fh := (*header.IPv6Fragment)(b[hdrLen-header.IPv6FragmentLen:])
	start, n := int(fh.Offset()), p.TotLen()-hdrLen
	p.L3Len = uint8(hdrLen)
	const payloadLenOff, fragOff = 4, 2 // fields that a parameter problem points at
	switch {
	case fh.More() && n%8 != 0:
		return s.reass6Bad(nif, p, header.ICMPv6BadField, payloadLenOff)
	case start+n+hdrLen-header.IPv6Len-header.IPv6FragmentLen > 0xffff:
		return s.reass6Bad(nif, p, header.ICMPv6BadField, uint32(hdrLen-header.IPv6FragmentLen+fragOff))
	case n == 0:
		s.stats.IP6.ReasmFails++
		s.drop(p, DropIPFragMalformed)
		return nil
	case start == 0 && !wholeChain(x.Protocol, b[hdrLen:]):
		return s.reass6Bad(nif, p, header.ICMPv6FirstFragment, 0)
	}
	if p = s.unshare(p); p == nil {
		s.stats.IP6.ReasmFails++
		return nil
	}
	h := (*header.IPv6)(p.Payload())
	fh = (*header.IPv6Fragment)(p.Payload()[hdrLen-header.IPv6FragmentLen:])
	// A link-local address is one on this link.
	key := datagramKey{src: h.Src().WithZone(nif.index), dst: h.Dst().WithZone(nif.index), id: fh.ID(), proto: header.ProtoFragment}
	d := s.reassFind(&key)
	if d == nil {
		d = s.reassNew(nif, &key)
	}
	if d.dead {
		s.drop(p, DropIPFragMalformed)
		return nil
	}
	f := fragment{fragRange{uint32(start), uint32(start + n)}, fh.More(), h.TrafficClass() & header.ECNMask}
	switch why := s.reassInsert(d, p, f); why {
	case DropNone:
	case DropIPFragDuplicate: // RFC 8200 4.5: an exact duplicate may be ignored
		s.drop(p, why)
		return nil
	case DropIPFragMalformed:
		s.drop(p, why)
		s.reass6Kill(d)
		return nil
	default:
		s.drop(p, why)
		s.reassDiscard(d, why)
		return nil
	}
	if d.got == d.total {
		return s.reass6Complete(d)
	}
	for s.reass.held > s.reass.limit {
		s.reassDiscard(s.reass.oldest, DropIPFragMem)
	}
	return nil
}

// reass6Bad drops a fragment that can't be one of a packet, and says why.
func (s *Stack) reass6Bad(nif *Netif, p *pbuf.Pbuf, code uint8, pointer uint32) *pbuf.Pbuf {
	s.icmp6Error(nif, p, header.ICMPv6ParamProblem, code, pointer)
	s.stats.IP6.ReasmFails++
	s.drop(p, DropIPFragMalformed)
	return nil
}

// reass6Kill drops a packet of which fragments overlap, with those that have not
// come yet (RFC 5722 4, RFC 8200 4.5): it stays known until its time is up.
func (s *Stack) reass6Kill(d *datagram) {
	s.stats.IP6.ReasmFails++
	s.reassEmpty(d, DropIPFragMalformed)
	d.dead = true
}

// wholeChain reports whether a first fragment has all headers, that of the upper
// layer included (RFC 7112 5). b is the fragmentable part, which begins with a
// header of protocol p.
func wholeChain(p header.Protocol, b []byte) bool {
	var x header.IPv6Extensions
	switch fault := header.ParseIPv6Extensions(p, b, &x); fault {
	case header.OK:
	case header.FaultIPv6Ext:
		return false
	default: // it is looked at when the packet is whole
		return true
	}
	size := 0
	switch x.Protocol {
	case header.ProtoTCP:
		size = header.TCPLen
	case header.ProtoUDP:
		size = header.UDPLen
	case header.ProtoICMPv6:
		size = 4 // type and code say what it is
	}
	return len(b)-x.Off >= size
}

// reass6Complete makes the packet of a datagram whose fragments are all there, or
// drops it and returns nil.
func (s *Stack) reass6Complete(d *datagram) *pbuf.Pbuf {
	hdrLen := int(d.frags.Head().L3Len)
	if hdrLen-header.IPv6Len-header.IPv6FragmentLen+int(d.total) > 0xffff {
		s.reassDiscard(d, DropIPFragMalformed)
		return nil
	}
	p, ce := s.reassJoin(d)
	if p == nil {
		return nil
	}
	stripFragment(p, hdrLen-header.IPv6FragmentLen)
	if ce {
		h := (*header.IPv6)(p.Payload())
		h.SetTrafficClass(h.TrafficClass() | header.ECNCE)
	}
	s.stats.IP6.ReasmOKs++
	return p
}

// reass6Late tells the sender of a datagram whose time is up, if its first
// fragment is there (RFC 8200 4.5, RFC 4443 3.3).
func (s *Stack) reass6Late(d *datagram) {
	if p := d.frags.Head(); pbuf.CB[fragRange](p).start == 0 {
		s.icmp6Error(d.nif, p, header.ICMPv6TimeExceeded, header.ICMPv6ReassemblyTimeout, 0)
	}
}
