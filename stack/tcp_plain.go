package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// Nearly all segments are plain: untagged Ethernet, IPv4 without options and not
// fragmented, for a connection that exists. They go in and out in one step each,
// through a view of all three headers (header.TCP4). Whatever is not plain, or
// not right, takes the long way through ethernet.go, ip4.go and tcp_in.go, which
// has the rules, and counts what it drops:
//
//	Input    plainInput   → plainTCP → predict or the state's function
//	         │            └ plainUDP (udp_plain.go)
//	         └ false: ethernetInput → ip4Input → tcpInput
//	Output   sendPlain    → enqueue
//	         └ false: putTCPHeader → ip4OutputPath → ethernetOutput

// rxNotPlain are what a port may say of a frame that makes it not plain.
const rxNotPlain = pbuf.RxVLAN | pbuf.RxIPCsumBad | pbuf.RxL4CsumBad

// plainIn reports whether frames from nif may be plain: nobody wants to see
// packets on the long way.
func (s *Stack) plainIn(nif *Netif) bool {
	return nif.up && nif.vlan == 0 && s.hooks.IP4Input == nil && len(s.raw) == 0
}

// plainInput takes a frame that is a plain segment, perhaps of connection t, or a
// datagram. False: nothing was done, p is the caller's.
func (s *Stack) plainInput(nif *Netif, p *pbuf.Pbuf, t *TCP) bool {
	b := p.Payload()
	if len(b) < header.UDP4Len || len(b) != p.TotLen() || p.Flags&rxNotPlain != 0 {
		return false
	}
	switch (*header.Plain4)(b).Protocol() {
	case header.ProtoTCP:
		return s.plainTCP(nif, p, b, t)
	case header.ProtoUDP:
		return s.plainUDP(nif, p, b)
	}
	return false
}

// plainEnds reports whether a packet from src to dst is a plain one by its
// addresses: dst is a unicast address of ours, and src can be a source.
func (s *Stack) plainEnds(nif *Netif, src, dst header.Addr) bool {
	e := s.locals.find(dst)
	return e != nil && e.nif != nil && !src.IsUnspecified() && s.validSource(nif, src)
}

// plainTCP takes a frame b, of p alone, that is a plain segment, or a SYN that
// somebody listens for. t is nil or the connection that it seems to be for; else the
// flow table has it. A connection vouches for what the layers would look up:
// that the destination is ours, and that the source can be one. False: nothing
// was done, p is the caller's.
func (s *Stack) plainTCP(nif *Netif, p *pbuf.Pbuf, b []byte, t *TCP) bool {
	h, total, hdr, ok := header.ParseTCP4(b)
	if !ok {
		return false
	}
	ip := h.Plain()
	if ip.DstMAC() != nif.mac48 {
		return false
	}
	in := &s.tcp.in
	in.src, in.dst = header.AddrFrom4Uint(ip.Src()), header.AddrFrom4Uint(ip.Dst())
	in.take(h.TCP(), hdr, total-header.IPv4Len)
	if t != nil && t.hasEnds(in.dst, in.src, in.dport, in.sport) {
		in.hash = t.hash
	} else {
		in.hash = s.plainHash(p, ip, in.sport, in.dport)
		t = s.lookup(in.dst, in.src, in.dport, in.sport, in.hash)
	}
	if t == nil {
		if in.flags != header.TCPSyn || !s.plainEnds(nif, in.src, in.dst) {
			return false
		}
		if t = s.lookupSlow(in); t == nil {
			return false
		}
	}
	if p.Flags&pbuf.RxIPCsumGood == 0 && ip.SumIPv4() != 0xffff {
		return false
	}
	l4 := b[header.EthernetLen+header.IPv4Len : header.EthernetLen+total]
	if p.Flags&pbuf.RxL4CsumGood == 0 && header.Checksum(l4, ip.PseudoSum(len(l4))) != 0xffff {
		return false
	}
	s.stats.IP.InReceives++
	s.stats.IP.InDelivers++
	s.stats.TCP.InSegs++
	if len(l4) != len(b)-(header.EthernetLen+header.IPv4Len) { // the link's padding
		p.Realloc(header.EthernetLen + total)
	}
	p.Netif, p.L2Len, p.L3Len = nif.index, header.EthernetLen, header.IPv4Len
	p.RemoveHeader(header.EthernetLen + header.IPv4Len)
	in.p = p
	if in.nif != nif { // storing a pointer to the heap costs more
		in.nif = nif
	}
	s.tcpDeliver(t, h.TCP(), l4[header.TCPLen:hdr])
	return true
}

// plainHash is the hash of the flow of packet p, a plain segment.
func (s *Stack) plainHash(p *pbuf.Pbuf, ip *header.Plain4, sport, dport uint16) uint32 {
	switch {
	case s.hasher == nil:
		return s.flowKey.hash4(ip.Src(), ip.Dst(), sport, dport)
	case p.Flags&pbuf.RxHash == 0:
		return s.hasher.Hash4(ip.Src(), ip.Dst(), sport, dport)
	}
	return p.Hash
}

// sendPlain puts all headers in front of a segment's data and gives the frame to
// the interface, which then owns the caller's reference to p. False: nothing was
// done, the segment has to go the long way.
func (t *TCP) sendPlain(p *pbuf.Pbuf, seq header.Seq, flags header.TCPFlags, g *tcpSeg) bool {
	s, nif, n := t.s, t.nif, t.neigh
	if !nif.plainOut || !n.usable() || !t.local.Is4() {
		return false
	}
	syn, hdr := flags&header.TCPSyn != 0, header.TCPLen
	if syn {
		hdr += t.optionsLen(true)
	} else if t.flags&tfTimestamps != 0 {
		hdr += header.TCPTimestampLen
	}
	data := p.TotLen()
	l4 := hdr + data
	big := data > int(t.mss)
	if header.IPv4Len+l4 > nif.mtu && (!big || header.IPv4Len+l4 > header.IPv4MaxAll) {
		return false
	}
	partial := big || nif.caps.Has(offload.TxTCPCsum)
	if !partial && !g.sumOK {
		g.sum, g.sumOK = offload.L4Sum(p, 0, 0), true
	}
	if !p.AddHeader(header.EthernetLen + header.IPv4Len + hdr) {
		return false
	}
	var ack uint64
	if flags&header.TCPAck != 0 {
		ack = uint64(t.rcvNxt)
		t.acked()
	}
	b, sum := p.Payload(), uint64(g.sum)
	switch {
	case syn:
		sum += t.putSYN(b[header.TCP4Len : header.TCP4Len+hdr-header.TCPLen])
	case hdr != header.TCPLen:
		tsVal := s.tsNow + t.tsOffset
		header.PutTimestamp(b[header.TCP4Len:], tsVal, t.tsRecent)
		sum += header.TimestampSum(tsVal, t.tsRecent)
	}
	if partial {
		sum = header.TCP4Partial
	}
	(*header.TCP4)(b).Put(&n.link, uint64(t.local.Uint32())<<32|uint64(t.remote.Uint32()),
		uint64(uint32(t.lport)<<16|uint32(t.rport))<<32|uint64(seq),
		ack<<32|header.TCP4Control(uint32(hdr), flags, t.windowField(syn)), uint64(l4)<<16|uint64(t.ttl)<<8|uint64(t.tos), sum)
	p.L2Len, p.L3Len, p.L4Len = header.EthernetLen, header.IPv4Len, uint8(hdr)
	if partial {
		t.orderCut(p, data, 0)
		p.Flags |= pbuf.TxTCPCsum
	} else {
		p.Flags &^= pbuf.TxTCPCsum | pbuf.TxTSO
	}
	n.touch(s.now)
	s.stats.TCP.OutSegs += t.segments(uint32(data))
	s.stats.IP.OutRequests++
	nif.enqueue(p)
	return true
}
