package shard

import "github.com/shardstack/shardstack/header"

// flow is what a packet belongs to, seen from here: local is our end.
type flow struct {
	proto         header.Protocol
	local, remote header.Addr
	lport, rport  uint16
}

// flowOf reads the flow of a frame that came by the interface with that index:
// its own ends, or those of the packet that an ICMP error quotes. Not ok: it
// belongs to none. Any bytes are safe.
func flowOf(b []byte, nif uint8) (f flow, ok bool) {
	if len(b) < header.EthernetLen {
		return f, false
	}
	n, typ := linkLen(b)
	if typ == header.EtherTypeIPv6 {
		return flowOf6(b[n:], nif)
	}
	if typ != header.EtherTypeIPv4 || len(b) < n+header.IPv4Len {
		return f, false
	}
	b = b[n:]
	ip := (*header.IPv4)(b)
	if ip.Version() != 4 || ip.HdrLen() < header.IPv4Len || len(b) < ip.HdrLen()+8 || ip.IsFragment() {
		return f, false
	}
	l4 := b[ip.HdrLen():]
	switch ip.Protocol() {
	case header.ProtoTCP, header.ProtoUDP:
		u := (*header.UDP)(l4) // TCP has its ports in the same place
		return flow{ip.Protocol(), ip.Dst(), ip.Src(), u.DstPort(), u.SrcPort()}, true
	case header.ProtoICMP:
		icmp, fault := header.ParseICMPv4(l4)
		if fault == header.OK && icmp.IsError() {
			return quotedFlow(l4[header.ICMPv4Len:])
		}
	}
	return f, false
}

// quotedFlow is the flow of the packet that an ICMP error quotes: the IP header
// and at least 8 bytes (RFC 792), so the ports. We sent it: its source is our
// end.
func quotedFlow(b []byte) (f flow, ok bool) {
	if len(b) < header.IPv4Len {
		return f, false
	}
	ip := (*header.IPv4)(b)
	n := ip.HdrLen()
	if ip.Version() != 4 || n < header.IPv4Len || len(b) < n+8 || ip.FragOffset() != 0 {
		return f, false
	}
	if p := ip.Protocol(); p != header.ProtoTCP && p != header.ProtoUDP {
		return f, false
	}
	u := (*header.UDP)(b[n:])
	return flow{ip.Protocol(), ip.Src(), ip.Dst(), u.SrcPort(), u.DstPort()}, true
}

// flowOf6 is flowOf for an IPv6 packet; addresses of link-local scope are in the
// interface's zone, as the stack has them.
func flowOf6(b []byte, nif uint8) (f flow, ok bool) {
	proto, l4, ok := upper6(b)
	if !ok || len(l4) < header.UDPLen {
		return f, false
	}
	ip := (*header.IPv6)(b)
	switch proto {
	case header.ProtoTCP, header.ProtoUDP:
		u := (*header.UDP)(l4) // TCP has its ports in the same place
		return flow{proto, ip.Dst().WithZone(nif), ip.Src().WithZone(nif), u.DstPort(), u.SrcPort()}, true
	case header.ProtoICMPv6:
		if (*header.ICMPv6)(l4).IsError() {
			return quotedFlow6(l4[header.ICMPv6Len:], nif)
		}
	}
	return f, false
}

// quotedFlow6 is quotedFlow for ICMPv6 (RFC 4443 3: as much as fits is quoted).
func quotedFlow6(b []byte, nif uint8) (f flow, ok bool) {
	proto, l4, ok := upper6(b)
	if !ok || len(l4) < header.UDPLen || proto != header.ProtoTCP && proto != header.ProtoUDP {
		return f, false
	}
	ip := (*header.IPv6)(b)
	u := (*header.UDP)(l4)
	return flow{proto, ip.Src().WithZone(nif), ip.Dst().WithZone(nif), u.SrcPort(), u.DstPort()}, true
}

// upper6 is what lies behind the headers of an IPv6 packet, or of the first part of
// one. Not ok: it is none, or a fragment other than the first.
func upper6(b []byte) (header.Protocol, []byte, bool) {
	if len(b) < header.IPv6Len || b[0]>>4 != 6 {
		return 0, nil, false
	}
	var x header.IPv6Extensions
	if header.ParseIPv6Extensions((*header.IPv6)(b).NextHeader(), b[header.IPv6Len:], &x) != header.OK {
		return 0, nil, false
	}
	if x.Fragment >= 0 && (*header.IPv6Fragment)(b[header.IPv6Len+x.Fragment:]).Offset() != 0 {
		return 0, nil, false
	}
	return x.Protocol, b[header.IPv6Len+x.Off:], true
}

// linkLen is the length of the Ethernet header with up to two tags, and what
// follows it.
func linkLen(b []byte) (n int, typ header.EtherType) {
	n = header.EthernetLen
	typ = (*header.Ethernet)(b).Type()
	for range 2 {
		if typ != header.EtherTypeVLAN && typ != header.EtherTypeQinQ || len(b) < n+header.VLANLen {
			break
		}
		typ = (*header.VLAN)(b[n:]).Type()
		n += header.VLANLen
	}
	return n, typ
}
