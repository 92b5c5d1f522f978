package rss

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
)

// Kind is what a card takes a frame for when it hashes it.
type Kind uint8

// The kinds. What is hashed of each:
const (
	KindNone Kind = iota // not IP, or not readable: nothing, the hash is 0
	KindIPv4             // addresses: fragments, protocols without ports
	KindTCP4             // addresses and ports
	KindUDP4             // addresses and ports
	KindIPv6             // addresses: fragments, protocols without ports
	KindTCP6             // addresses and ports
	KindUDP6             // addresses and ports
)

var kindNames = [...]string{"none", "ipv4", "tcp4", "udp4", "ipv6", "tcp6", "udp6"}

// String is a short name: "none", "ipv4", "tcp4" and so on.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return "invalid"
	}
	return kindNames[k]
}

// HasPorts reports whether ports took part in the hash. Where they did not, the
// frame may belong to a connection of another queue.
func (k Kind) HasPorts() bool {
	return k == KindTCP4 || k == KindUDP4 || k == KindTCP6 || k == KindUDP6
}

// maxTags is the number of VLAN tags that a card looks past.
const maxTags = 2

// HashFrame hashes a frame, from its Ethernet header on, as a card does: up to
// two VLAN tags are skipped, TCP and UDP are hashed with ports, all other IP and
// every fragment without. IPv6 extension headers are walked; a fragment header
// counts even if the packet is whole (RFC 6946), for cards do not look inside.
//
// b may be the first buffer of several, as long as the headers are in it.
// Lengths and checksums of TCP and UDP are not looked at: a bad datagram is
// hashed, and dropped where it arrives. Any bytes are safe.
func (h *Hasher) HashFrame(b []byte) (hash uint32, kind Kind) {
	eth, f := header.ParseEthernet(b)
	if f != header.OK {
		return 0, KindNone
	}
	typ := eth.Type()
	b = b[header.EthernetLen:]
	for range maxTags {
		if typ != header.EtherTypeVLAN && typ != header.EtherTypeQinQ {
			break
		}
		tag, f := header.ParseVLAN(b)
		if f != header.OK {
			return 0, KindNone
		}
		typ = tag.Type()
		b = b[header.VLANLen:]
	}
	switch typ {
	case header.EtherTypeIPv4:
		return h.hashIPv4(b)
	case header.EtherTypeIPv6:
		return h.hashIPv6(b)
	}
	return 0, KindNone
}

func (h *Hasher) hashIPv4(b []byte) (uint32, Kind) {
	ip, hdrLen, end, f := header.ParseIPv4(b)
	if f == header.FaultIPv4Total {
		// All rules but the last hold: the rest is in further buffers.
		ip = (*header.IPv4)(b)
		hdrLen, end, f = ip.HdrLen(), len(b), header.OK
	}
	if f != header.OK {
		return 0, KindNone
	}
	src, dst := ip.Src().Uint32(), ip.Dst().Uint32()
	if !ip.IsFragment() {
		sport, dport, ok := ports(ip.Protocol(), b, hdrLen, end)
		if ok {
			return h.Hash4(src, dst, sport, dport), KindIPv4 + kindOffset(ip.Protocol())
		}
	}
	return h.Hash4Addr(src, dst), KindIPv4
}

func (h *Hasher) hashIPv6(b []byte) (uint32, Kind) {
	ip, n, f := header.ParseIPv6(b)
	if f == header.FaultIPv6Payload || f == header.FaultIPv6Zone { // cards don't look at that
		ip, f = (*header.IPv6)(b), header.OK
		n = min(int(ip.PayloadLen()), len(b)-header.IPv6Len)
	}
	if f != header.OK {
		return 0, KindNone
	}
	if ip.IsJumbo() { // what is longer than b has its ports near the front, too
		n = len(b) - header.IPv6Len
	}
	off, proto, whole := header.IPv6Len, ip.NextHeader(), true
	if proto != header.ProtoTCP && proto != header.ProtoUDP {
		var x header.IPv6Extensions
		f := header.ParseIPv6Extensions(proto, b[off:off+n], &x)
		off, proto = off+x.Off, x.Protocol
		whole = f == header.OK && x.Fragment < 0
	}
	if whole {
		sport, dport, ok := ports(proto, b, off, header.IPv6Len+n)
		if ok {
			return h.Hash6(ip.Src(), ip.Dst(), sport, dport), KindIPv6 + kindOffset(proto)
		}
	}
	return h.Hash6Addr(ip.Src(), ip.Dst()), KindIPv6
}

// kindOffset is where the kind of a protocol with ports stands, counted from
// the kind of its family.
func kindOffset(p header.Protocol) Kind {
	if p == header.ProtoTCP {
		return KindTCP4 - KindIPv4
	}
	return KindUDP4 - KindIPv4
}

// ports reads the ports of the TCP or UDP header at b[off:end]; not ok for
// another protocol or a header that is cut short. Both headers begin with the
// ports (RFC 9293, 3.1; RFC 768).
func ports(p header.Protocol, b []byte, off, end int) (sport, dport uint16, ok bool) {
	size := header.UDPLen
	switch p {
	case header.ProtoTCP:
		size = header.TCPLen
	case header.ProtoUDP:
	default:
		return 0, 0, false
	}
	if end-off < size {
		return 0, 0, false
	}
	l4 := b[off:]
	return binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:]), true
}
