package shard

import "github.com/shardstack/shardstack/header"

// flow is what a packet belongs to, seen from here: local is our end.
type flow struct {
	proto         header.Protocol
	local, remote header.Addr
	lport, rport  uint16
}

// flowOf reads the flow of an IPv4 frame: its own ends, or those of the packet
// that an ICMP error quotes. Not ok: it belongs to none, or is of IPv6, which
// the stack does not have. Any bytes are safe.
func flowOf(b []byte) (f flow, ok bool) {
	if len(b) < header.EthernetLen {
		return f, false
	}
	n, typ := linkLen(b)
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
