package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// ip6Extensions deals with the extension headers of a packet for us, payload at
// the IPv6 header, and hands it up: options that say what a node does which does
// not know them (RFC 8200 4.2), routing headers (4.4), fragments (4.5). It owns
// p.
func (s *Stack) ip6Extensions(nif *Netif, p *pbuf.Pbuf, src, dst header.Addr) {
	var x header.IPv6Extensions
	for range 2 { // as it came, and once it is put together
		if p = s.pullUp(p, maxHeaders6+header.TCPMaxLen); p == nil {
			return
		}
		if !s.ip6Walk(nif, p, dst, &x) {
			return
		}
		if x.Fragment < 0 {
			p.L3Len = uint8(header.IPv6Len + x.Off)
			s.ip6Deliver(nif, p, x.Protocol, src, dst)
			return
		}
		if p = s.ip6Defragment(nif, p, &x); p == nil {
			return
		}
		h := (*header.IPv6)(p.Payload())
		p.L3Len = header.IPv6Len
		if !isExtension(h.NextHeader()) {
			s.ip6Whole(nif, p, h.NextHeader(), src, dst)
			return
		}
		if s.steer6(nif, p) {
			return
		}
	}
	s.ip6Bad(p, DropIPMalformed) // a fragment of fragments
}

// ip6Whole hands up a packet that was put together, if it belongs here.
func (s *Stack) ip6Whole(nif *Netif, p *pbuf.Pbuf, proto header.Protocol, src, dst header.Addr) {
	if !s.steer6(nif, p) {
		s.ip6Deliver(nif, p, proto, src, dst)
	}
}

// ip6Walk reads all extension headers of a packet to dst and judges what they
// say. False: p is dropped, and its sender told if that is due.
func (s *Stack) ip6Walk(nif *Netif, p *pbuf.Pbuf, dst header.Addr, x *header.IPv6Extensions) bool {
	b := p.Payload()
	h := (*header.IPv6)(b)
	switch fault := header.ParseIPv6Extensions(h.NextHeader(), b[header.IPv6Len:], x); {
	case fault == header.FaultIPv6Order: // RFC 8200 4.1: as an unknown next header
		s.icmp6Error(nif, p, header.ICMPv6ParamProblem, header.ICMPv6UnknownNextHeader, uint32(header.IPv6Len+x.NextOff))
		s.ip6Bad(p, DropIPMalformed)
		return false
	case fault != 0 || header.IPv6Len+x.Off > maxHeaders6:
		s.ip6Bad(p, DropIPMalformed)
		return false
	}
	if at := jumboFault(h, x); at != 0 { // RFC 2675 3
		s.icmp6Error(nif, p, header.ICMPv6ParamProblem, header.ICMPv6BadField, uint32(at))
		s.ip6Bad(p, DropIPMalformed)
		return false
	}
	if x.Options >= 0 { // RFC 8200 4.2
		if x.Action == header.IPv6OptReport || x.Action == header.IPv6OptReportUnicast && !dst.IsMulticast() {
			s.icmp6Error(nif, p, header.ICMPv6ParamProblem, header.ICMPv6UnknownOption, uint32(header.IPv6Len+x.Options))
		}
		s.ip6Bad(p, DropIPExtension)
		return false
	}
	if x.Routing >= 0 {
		// RFC 5095 3, RFC 8200 4.4: no type is known here; one that is through is
		// ignored, another is refused.
		at := header.IPv6Len + x.Routing
		if b[at+3] != 0 {
			s.icmp6Error(nif, p, header.ICMPv6ParamProblem, header.ICMPv6BadField, uint32(at+2))
			s.ip6Bad(p, DropIPSourceRoute)
			return false
		}
	}
	return true
}

// ip6Defragment takes a packet with a fragment header: an atomic fragment becomes
// a packet at once (RFC 6946 4), others wait for the rest. It owns p and returns
// the whole packet, payload at its IPv6 header, when it is there.
func (s *Stack) ip6Defragment(nif *Netif, p *pbuf.Pbuf, x *header.IPv6Extensions) *pbuf.Pbuf {
	fh := (*header.IPv6Fragment)(p.Payload()[header.IPv6Len+x.Fragment:])
	if fh.Offset() != 0 || fh.More() {
		return s.reass6Input(nif, p, x)
	}
	s.stats.IP6.AtomicFragments++
	if p = s.unshare(p); p == nil {
		return nil
	}
	stripFragment(p, header.IPv6Len+x.Fragment)
	return p
}

// stripFragment takes the fragment header at offset at out of a packet, payload
// at the IPv6 header, by moving what is in front of it. The packet is ours alone.
func stripFragment(p *pbuf.Pbuf, at int) {
	l2 := int(p.L2Len)
	if !p.AddHeaderForce(l2) {
		l2 = 0
	}
	b := p.Payload()
	next := b[l2+at]
	b[l2+fragmentNextOff(b[l2:], at)] = next
	copy(b[header.IPv6FragmentLen:], b[:l2+at])
	p.RemoveHeader(header.IPv6FragmentLen + l2)
	// What the NIC said of the fragment is not true of the whole.
	p.Flags &^= pbuf.RxHash
	h := (*header.IPv6)(p.Payload())
	h.SetPayloadLen(uint16(p.TotLen() - header.IPv6Len))
}

// fragmentNextOff is where the next-header byte that names the fragment header at
// offset at lies; what is in front of it has passed the gates.
func fragmentNextOff(b []byte, at int) int {
	nh, off := 6, header.IPv6Len
	for off < at {
		size := (int(b[off+1]) + 1) << 3
		if header.Protocol(b[nh]) == header.ProtoAH {
			size = (int(b[off+1]) + 2) << 2
		}
		nh, off = off, off+size
	}
	return nh
}

// steer6 offers a whole packet whose ports the NIC could not see to the hook that
// knows which shard it belongs to. True: eaten.
func (s *Stack) steer6(nif *Netif, p *pbuf.Pbuf) bool {
	if s.hooks.Steer == nil {
		return false
	}
	b := p.Payload()
	h := (*header.IPv6)(b)
	var x header.IPv6Extensions
	if header.ParseIPv6Extensions(h.NextHeader(), b[header.IPv6Len:], &x) != 0 {
		return false
	}
	l4 := b[header.IPv6Len+x.Off:]
	if x.Protocol != header.ProtoTCP && x.Protocol != header.ProtoUDP || len(l4) < header.UDPLen {
		return false
	}
	u := (*header.UDP)(l4) // TCP has its ports in the same place
	return s.steerTo(nif, p, s.hashFlow(h.Dst(), h.Src(), u.DstPort(), u.SrcPort()))
}
