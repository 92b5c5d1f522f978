package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// ICMP for IPv4 (RFC 792, RFC 1122 3.2.2). Echo is answered, errors are passed
// to the transport that they are about, all else is ignored: redirects (as in
// lwIP), source quench (RFC 6633), and the requests that RFC 1122 3.2.2.7 to
// 3.2.2.9 make optional. Raw PCBs have seen all of it before. What sends errors
// is in icmp_error.go.

// icmpQuote is what an ICMP error says of a packet that we sent.
type icmpQuote struct {
	local, remote header.Addr
	lport, rport  uint16
	seq           header.Seq // TCP only
	typ, code     uint8
	size          uint16 // of the packet that is quoted
	mtu           uint16 // with FragNeeded: what fits; 0 if the router is too old to say
}

// icmpInput takes an ICMP message, payload at the ICMP header. It owns p.
func (s *Stack) icmpInput(nif *Netif, p *pbuf.Pbuf, src, dst header.Addr) {
	st := &s.stats.ICMP
	st.InMsgs++
	h, fault := header.ParseICMPv4(p.Payload())
	if fault != 0 {
		st.InErrors++
		s.drop(p, DropICMPMalformed)
		return
	}
	if offload.L4Sum(p, 0, 0) != 0xffff {
		st.InErrors++
		s.drop(p, DropICMPChecksum)
		return
	}
	switch h.Type() {
	case header.ICMPv4Echo:
		st.InEchos++
		// RFC 1122 3.2.2.6: to a group it may be ignored, so that nobody can
		// have us flood a third party.
		if p.Flags&(flagGroup|pbuf.LinkBroadcast|pbuf.LinkMulticast) == 0 && !src.IsUnspecified() {
			s.icmpEcho(p, src, dst)
			return
		}
	case header.ICMPv4EchoReply:
		st.InEchoReps++
	case header.ICMPv4DstUnreachable:
		st.InDestUnreachs++
	case header.ICMPv4TimeExceeded:
		st.InTimeExcds++
	case header.ICMPv4ParamProblem:
		st.InParmProbs++
	case header.ICMPv4SourceQuench:
		st.InSrcQuenchs++
	case header.ICMPv4Redirect:
		st.InRedirects++
	}
	switch h.Type() {
	case header.ICMPv4DstUnreachable, header.ICMPv4TimeExceeded, header.ICMPv4ParamProblem:
		s.icmpErrorInput(nif, p, h, src)
	default:
		s.drop(p, DropICMPIgnored)
	}
}

// icmpEcho answers an echo request with the packet itself (RFC 1122 3.2.2.6:
// all data comes back, and the source is the address that was asked). Options
// of the request are not repeated. It owns p.
func (s *Stack) icmpEcho(p *pbuf.Pbuf, src, dst header.Addr) {
	tos := uint8(0)
	if p.AddHeaderForce(int(p.L3Len)) {
		tos = (*header.IPv4)(p.Payload()).TOS()
		p.RemoveHeader(int(p.L3Len))
	}
	if p.RefCount() > 1 || p.Headroom() < header.IPv4Len+header.EthernetLen+header.VLANLen {
		q := p.Clone(pbuf.LayerTransport, pbuf.KindPool)
		if q == nil {
			s.drop(p, DropNoBuf)
			return
		}
		p.Free()
		p = q
	}
	h := (*header.ICMPv4)(p.Payload())
	sum := header.UpdateChecksum16(h.Checksum(), uint16(header.ICMPv4Echo)<<8, uint16(header.ICMPv4EchoReply)<<8)
	if sum == 0 {
		sum = 0xffff // the same number, and right also if all of the message is 0
	}
	h.SetChecksum(sum)
	h.SetType(header.ICMPv4EchoReply)
	p.Meta = pbuf.Meta{}
	s.stats.ICMP.OutMsgs++
	s.stats.ICMP.OutEchoReps++
	_ = s.ip4Output(p, dst, src, header.ProtoICMP, s.cfg.TTL, tos)
}

// icmpErrorInput passes an error to the transport whose packet it quotes (RFC
// 1122 3.2.2.1, 3.2.2.4, 3.2.2.5). It owns p.
func (s *Stack) icmpErrorInput(nif *Netif, p *pbuf.Pbuf, h *header.ICMPv4, src header.Addr) {
	var buf [header.ICMPv4Len + header.IPv4MaxLen + header.UDPLen]byte
	n := p.CopyPartial(buf[:], 0)
	var q icmpQuote
	proto, ok := q.parse(buf[header.ICMPv4Len:n])
	if !ok || !s.isLocal(q.local) {
		s.drop(p, DropICMPIgnored)
		return
	}
	q.typ, q.code = h.Type(), h.Code()
	if q.typ == header.ICMPv4DstUnreachable && q.code == header.ICMPv4FragNeeded {
		q.mtu = h.MTU()
	}
	if s.hooks.Steer != nil && proto != header.ProtoICMP && p.AddHeaderForce(int(p.L3Len)) {
		if s.steerTo(nif, p, s.hashFlow(q.local, q.remote, q.lport, q.rport)) {
			return
		}
		p.RemoveHeader(int(p.L3Len))
	}
	taken := false
	switch proto {
	case header.ProtoTCP:
		taken = s.tcpICMPError(&q)
	case header.ProtoUDP:
		taken = s.udpICMPError(&q)
	case header.ProtoICMP:
		taken = s.pingICMPError(&q, src)
	}
	if !taken {
		s.drop(p, DropICMPIgnored)
		return
	}
	p.Free()
}

// parse reads the quoted packet b: an IP header and at least 8 bytes behind it.
// What it quotes was sent by us, so there is nothing to be checked but that it
// is long enough to tell the connection; a fragment that is not the first has
// no ports.
func (q *icmpQuote) parse(b []byte) (header.Protocol, bool) {
	if len(b) < header.IPv4Len {
		return 0, false
	}
	ip := (*header.IPv4)(b)
	n := ip.HdrLen()
	if ip.Version() != 4 || n < header.IPv4Len || n+header.UDPLen > len(b) || ip.FragOffset() != 0 {
		return 0, false
	}
	u := (*header.UDP)(b[n:]) // TCP has its ports in the same place
	q.size = ip.TotalLen()
	q.local, q.remote, q.lport, q.rport = ip.Src(), ip.Dst(), u.SrcPort(), u.DstPort()
	q.seq = header.Seq(uint32(u.Length())<<16 | uint32(u.Checksum())) // where TCP has its sequence number
	return ip.Protocol(), true
}
