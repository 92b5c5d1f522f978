package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// BIG TCP: segments of more than 64 KiB, up to Config.TCP.GSOMax, for ports that
// take them (offload.BigTCP), or for package offload to cut. The length field of
// IP has no room for them. Over IPv6 they are jumbograms (RFC 2675), over IPv4
// their total length is 0, as in Linux: that is between us and who cuts them, and
// not for a wire. What arrives like that was joined, or has not been cut.

// bigMax is how many bytes an IP packet, IPv6 header not counted, of the
// connection may have.
func (t *TCP) bigMax() int {
	s := t.s
	n := s.cfg.TCP.GSOMax
	if s.pool.Cap(pbuf.ClassJumbo)*s.pool.DataRoom(pbuf.ClassJumbo) < 4*n || t.nif.caps.MaxSegment() == offload.MaxTSO {
		n = offload.MaxTSO
	}
	return n
}

// bigBuffers has room for n bytes of a big segment: one jumbo buffer or, for BIG
// TCP, several, while there are any; else a chain of standard ones. Nil: there are
// not as many.
func (t *TCP) bigBuffers(l pbuf.Layer, n int) *pbuf.Pbuf {
	s := t.s
	room := s.pool.DataRoom(pbuf.ClassJumbo)
	if free := s.pool.Avail(pbuf.ClassJumbo); free != 0 && n <= room {
		return s.alloc(l, n, pbuf.KindRAM)
	} else if n > offload.MaxTSO {
		if free*room < n || s.hooks.AllocPbuf != nil {
			return nil
		}
		return s.pool.AllocRun(n, room)
	}
	if s.scarceChain(n) {
		return nil
	}
	return s.alloc(l, n, pbuf.KindPool)
}

// bigRoom is the room of a buffer that is added to a big segment.
func (s *Stack) bigRoom() int {
	if s.cfg.TCP.GSOMax > offload.MaxTSO {
		return max(s.bufRoom(), s.pool.DataRoom(pbuf.ClassJumbo))
	}
	return s.bufRoom()
}

// ip6Jumbo is the gate of a packet whose header says that it is a jumbogram, and
// gives what follows that header, in bytes. False: p is dropped, and its sender
// told what RFC 2675 3 wants it to be told.
func (s *Stack) ip6Jumbo(nif *Netif, p *pbuf.Pbuf) (n int, ok bool) {
	n, at, fault := header.ParseIPv6Jumbo(p.Payload(), p.TotLen())
	if fault == header.FaultIPv6Jumbo {
		s.icmp6Error(nif, p, header.ICMPv6ParamProblem, header.ICMPv6BadField, uint32(at))
	}
	if fault != 0 {
		s.ip6Bad(p, DropIPMalformed)
		return 0, false
	}
	return n, true
}

// jumboFault is where a jumbo payload option is that may not be in packet h, in
// bytes from its start: the packet is none, or it is a fragment (RFC 2675 3). 0: no
// fault.
func jumboFault(h *header.IPv6, x *header.IPv6Extensions) int {
	switch {
	case x.Jumbo == 0:
	case h.PayloadLen() != 0:
		return header.IPv6Len + x.Jumbo
	case x.Fragment >= 0:
		return header.IPv6Len + x.Fragment
	}
	return 0
}

// putJumbo puts the header of a jumbogram's option in front of a packet of TCP.
// False: no room.
func putJumbo(p *pbuf.Pbuf, f *header.IPv6Fields) bool {
	n := p.TotLen() + header.IPv6JumboLen
	if !p.AddHeader(header.IPv6JumboLen) {
		return false
	}
	(*header.IPv6Jumbo)(p.Payload()).Encode(f.NextHeader, uint32(n))
	f.NextHeader, f.PayloadLen = header.ProtoHopByHop, 0
	return true
}
