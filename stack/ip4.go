package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// The path of an IPv4 packet (RFC 791, RFC 1122 3.2.1):
//
//	ip4Input         gate, checksum, source
//	├ ip4Receive     for us: options, reassembly, then by protocol
//	└ ip4Forward     for others (ip4_forward.go)
//	ip4Output        route
//	└ ip4OutputPath  header, ours or the network's
//	  └ neighborOutput, or ip4Fragment, or loopOutput
//
// The host follows the weak end system model (RFC 1122 3.3.4.2): a packet for
// any of its addresses is taken from any interface.

// What the stack notes in a packet's flags.
const (
	flagForwarded = pbuf.FlagsUser << iota // it came from another host
	flagGroup                              // its IP destination is a broadcast or multicast address
)

// ip4Input takes a packet from the wire, payload at the IP header. It owns p.
func (s *Stack) ip4Input(nif *Netif, p *pbuf.Pbuf) {
	s.stats.IP.InReceives++
	h, hdrLen, total := ip4Gate(p)
	if h == nil {
		s.ip4Bad(p, DropIPMalformed)
		return
	}
	if p.Flags&pbuf.RxIPCsumGood == 0 { // RFC 1122 3.2.1.2
		if p.Flags&pbuf.RxIPCsumBad != 0 || !h.VerifyChecksum(p.Payload()[:hdrLen]) {
			s.ip4Bad(p, DropIPChecksum)
			return
		}
	}
	if p.TotLen() > total { // the link's padding
		p.Realloc(total)
	}
	p.L3Len = uint8(hdrLen)
	if hook := s.hooks.IP4Input; hook != nil && hook(nif, p) {
		s.stats.Drops[DropHook]++
		return
	}
	src, dst := h.Src(), h.Dst()
	if !s.validSource(nif, src) {
		s.stats.IP.InAddrErrors++
		s.drop(p, DropIPBadSource)
		return
	}
	if e := s.locals.find(dst); e != nil && e.nif != nil {
		if p.Flags&(pbuf.LinkBroadcast|pbuf.LinkMulticast) != 0 {
			// RFC 1122 3.3.6: a unicast packet in a broadcast frame.
			s.stats.IP.InAddrErrors++
			s.drop(p, DropIPLinkGroup)
			return
		}
		if src.IsUnspecified() {
			s.stats.IP.InAddrErrors++
			s.drop(p, DropIPBadSource)
			return
		}
		s.ip4Receive(nif, p, h)
		return
	}
	if nif.isBroadcast(dst) {
		p.Flags |= flagGroup
		s.ip4Receive(nif, p, h)
		return
	}
	s.ip4NotForUs(nif, p, dst)
}

// ip4NotForUs forwards a packet or says why not.
func (s *Stack) ip4NotForUs(nif *Netif, p *pbuf.Pbuf, dst header.Addr) {
	if s.cfg.Forward && !dst.IsMulticast() {
		s.ip4Forward(nif, p)
		return
	}
	// RFC 1122 3.2.1.3: silently discarded.
	s.stats.IP.InAddrErrors++
	if dst.IsMulticast() {
		s.drop(p, DropIPGroup)
	} else {
		s.drop(p, DropIPNotForUs)
	}
}

// ip4Gate checks the header of a packet, which may be a chain; h is nil if it
// can't be one.
func ip4Gate(p *pbuf.Pbuf) (h *header.IPv4, hdrLen, total int) {
	b := p.Payload()
	h, hdrLen, total, fault := header.ParseIPv4(b)
	if (fault == header.FaultIPv4Total || fault == header.FaultIPv4IHL) && p.TotLen() > len(b) {
		// The rest may be in the next buffers.
		h = (*header.IPv4)(b)
		hdrLen, total = h.HdrLen(), int(h.TotalLen())
		if total == 0 && p.Flags&pbuf.RxLRO != 0 && p.TotLen() > header.IPv4MaxAll { // BIG TCP
			total = p.TotLen()
		}
		if hdrLen < header.IPv4Len || hdrLen > total {
			return nil, 0, 0
		}
		if hdrLen > len(b) || total > p.TotLen() {
			return nil, 0, 0
		}
	}
	return h, hdrLen, total
}

func (s *Stack) ip4Bad(p *pbuf.Pbuf, why DropReason) {
	s.stats.IP.InHdrErrors++
	s.drop(p, why)
}

// validSource reports whether src can be the source of a packet from the wire:
// RFC 1122 3.2.1.3 rules out groups and loopback, and nobody but us has our
// addresses. 0.0.0.0 is a host that does not know its address yet.
func (s *Stack) validSource(nif *Netif, src header.Addr) bool {
	v := src.Uint32()
	if v>>28 == 0xe || v == 0xffffffff || v>>24 == 127 {
		return false
	}
	e := s.locals.find(src)
	return e == nil || e.nif == nil && !nif.isBroadcast(src)
}

// ip4Receive takes a packet that is for us, payload at the IP header h, and
// hands it up. It owns p.
func (s *Stack) ip4Receive(nif *Netif, p *pbuf.Pbuf, h *header.IPv4) {
	if p.L3Len > header.IPv4Len && !s.ip4Options(nif, p) {
		return
	}
	src, dst := h.Src(), h.Dst()
	if h.IsFragment() {
		if p = s.reassInput(nif, p, h); p == nil {
			return
		}
		h = (*header.IPv4)(p.Payload())
		if s.steer(nif, p, h) {
			return
		}
	}
	s.ip4Deliver(nif, p, h.Protocol(), src, dst)
}

// ip4Deliver hands a whole packet, payload at the IP header, to its protocol.
// It owns p.
func (s *Stack) ip4Deliver(nif *Netif, p *pbuf.Pbuf, proto header.Protocol, src, dst header.Addr) {
	seen := false
	if len(s.raw) != 0 {
		var eaten bool
		if seen, eaten = s.rawInput(p, proto, src, dst); eaten {
			s.stats.IP.InDelivers++
			return
		}
	}
	hdrLen := int(p.L3Len)
	switch proto {
	case header.ProtoTCP:
		s.stats.IP.InDelivers++
		p.RemoveHeader(hdrLen)
		s.tcpInput(nif, p, src, dst)
	case header.ProtoUDP:
		s.stats.IP.InDelivers++
		p.RemoveHeader(hdrLen)
		s.udpInput(nif, p, src, dst)
	case header.ProtoICMP:
		s.stats.IP.InDelivers++
		p.RemoveHeader(hdrLen)
		s.icmpInput(nif, p, src, dst)
	default:
		if seen { // a raw PCB had its look at it
			s.stats.IP.InDelivers++
			p.Free()
			return
		}
		// RFC 1122 3.2.2.1: code 2.
		s.icmpError(nif, p, header.ICMPv4DstUnreachable, header.ICMPv4ProtoUnreachable, 0)
		s.stats.IP.InUnknownProtos++
		s.drop(p, DropIPUnknownProto)
	}
}

// ip4Options checks the options of a packet for us. Those that need no answer
// are ignored (RFC 1122 3.2.1.8). False: p is dropped.
func (s *Stack) ip4Options(nif *Netif, p *pbuf.Pbuf) bool {
	var o header.IPv4Options
	b := p.Payload()[header.IPv4Len:p.L3Len]
	if fault := header.ParseIPv4Options(b, &o); fault != 0 {
		// RFC 1122 3.2.2.5: the pointer says where.
		s.icmpError(nif, p, header.ICMPv4ParamProblem, 0, uint32(o.Bad)<<24)
		s.ip4Bad(p, DropIPMalformed)
		return false
	}
	if o.SourceRoute != 0 { // RFC 7126 4.3, 4.4
		s.stats.IP.InDiscards++
		s.drop(p, DropIPSourceRoute)
		return false
	}
	return true
}

// steer offers a packet whose ports the NIC could not see, payload at the IP
// header h, to the hook that knows which shard it belongs to. True: eaten.
func (s *Stack) steer(nif *Netif, p *pbuf.Pbuf, h *header.IPv4) bool {
	if s.hooks.Steer == nil {
		return false
	}
	proto := h.Protocol()
	l4 := p.Payload()[p.L3Len:]
	if proto != header.ProtoTCP && proto != header.ProtoUDP || len(l4) < header.UDPLen {
		return false
	}
	u := (*header.UDP)(l4) // TCP has its ports in the same place
	return s.steerTo(nif, p, s.hashFlow(h.Dst(), h.Src(), u.DstPort(), u.SrcPort()))
}

// steerTo offers a packet, payload at the IP header, of the flow with that hash
// to the hook. True: eaten.
func (s *Stack) steerTo(nif *Netif, p *pbuf.Pbuf, hash uint32) bool {
	hook := s.hooks.Steer
	if hook == nil || !p.AddHeaderForce(int(p.L2Len)) {
		return false
	}
	if hook(nif, p, hash) {
		s.stats.Drops[DropHook]++
		return true
	}
	p.RemoveHeader(int(p.L2Len))
	return false
}

// pullUp makes the first n bytes of a packet, or all if it has fewer, lie in one
// buffer; nil: no buffer, and p is dropped. What lies in front of the payload
// comes along as far as L2Len says.
func (s *Stack) pullUp(p *pbuf.Pbuf, n int) *pbuf.Pbuf {
	n = min(n, p.TotLen())
	if p.Len() >= n {
		return p
	}
	q := s.alloc(pbuf.LayerTransport, n, pbuf.KindRAM)
	if q == nil {
		s.drop(p, DropNoBuf)
		return nil
	}
	p.CopyPartial(q.Payload(), 0)
	if l2 := int(p.L2Len); p.AddHeaderForce(l2) {
		q.AddHeader(l2)
		copy(q.Payload(), p.Payload()[:l2])
		q.RemoveHeader(l2)
		p.RemoveHeader(l2)
	}
	q.Meta, q.Time = p.Meta, p.Time
	if rest := p.FreeHeader(n); rest != nil {
		q.Cat(rest)
	}
	return q
}

// loopOutput queues a packet to ourselves, payload at the IP header, for the
// next Poll (netif_loop_output). It owns p.
func (s *Stack) loopOutput(p *pbuf.Pbuf) {
	if p = s.unshare(p); p == nil {
		return
	}
	// It never leaves memory: checksums that are not filled in need not be.
	orders := p.Flags
	p.Flags = pbuf.RxIPCsumGood | pbuf.RxL4CsumGood
	if orders&(pbuf.TxTSO|pbuf.TxUSO) != 0 { // nor is it cut
		p.Flags |= pbuf.RxLRO | pbuf.RxL4Partial
	}
	s.loop.Push(p)
}

// loopInput delivers the packets to ourselves that are queued now; those they
// cause wait for the next round, so that nobody starves.
func (s *Stack) loopInput() {
	for n := s.loop.Len(); n > 0; n-- {
		p := s.loop.Pop()
		if p.GetAt(0)>>4 == 6 {
			s.loopInput6(p)
			continue
		}
		s.stats.IP.InReceives++
		h, hdrLen, _ := ip4Gate(p)
		if h == nil {
			s.ip4Bad(p, DropIPMalformed)
			continue
		}
		p.L2Len, p.L3Len = 0, uint8(hdrLen)
		nif := s.localNetif(h.Dst())
		if nif == nil { // the address has gone meanwhile
			s.stats.IP.InAddrErrors++
			s.drop(p, DropIPNotForUs)
			continue
		}
		s.ip4Receive(nif, p, h)
	}
}
