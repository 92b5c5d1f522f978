package stack

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// frame is a frame that a host sent. Views of headers it does not have are nil.
type frame struct {
	raw      []byte
	dst, src header.MAC
	tci      int // 802.1Q tag, -1: none
	typ      header.EtherType
	arp      *header.ARP
	ip       *header.IPv4
	ipb      []byte // the whole IP packet
	opts     []byte // IP options
	icmp     *header.ICMPv4
	ip6      *header.IPv6
	ext      header.IPv6Extensions
	icmp6    *header.ICMPv6
	udp      *header.UDP
	tcp      *header.TCP
	tcpOpts  header.TCPOptions
	body     []byte // behind the innermost header
}

// parseFrame takes a frame apart and asserts that all in it is well formed:
// lengths, checksums, options.
func parseFrame(t testing.TB, b []byte) frame {
	t.Helper()
	eth, fault := header.ParseEthernet(b)
	require.Zero(t, fault, "Ethernet: %v", fault)
	f := frame{raw: b, dst: eth.Dst(), src: eth.Src(), typ: eth.Type(), tci: -1}
	b = b[header.EthernetLen:]
	if f.typ == header.EtherTypeVLAN {
		v, fault := header.ParseVLAN(b)
		require.Zero(t, fault, "VLAN: %v", fault)
		f.tci, f.typ = int(v.TCI()), v.Type()
		b = b[header.VLANLen:]
	}
	switch f.typ {
	case header.EtherTypeARP:
		f.arp, fault = header.ParseARP(b)
		require.Zero(t, fault, "ARP: %v", fault)
	case header.EtherTypeIPv4:
		f.parseIP(t, b)
	case header.EtherTypeIPv6:
		f.parseIP6(t, b)
	default:
		f.body = b
	}
	return f
}

func (f *frame) parseIP(t testing.TB, b []byte) {
	t.Helper()
	ip, n, total, fault := header.ParseIPv4(b)
	require.Zero(t, fault, "IPv4: %v", fault)
	require.Len(t, b, total, "IPv4 total length of a frame without padding")
	require.True(t, ip.VerifyChecksum(b[:n]), "IPv4 header checksum")
	f.ip, f.ipb, f.opts, f.body = ip, b, b[header.IPv4Len:n], b[n:]
	if ip.IsFragment() {
		return
	}
	f.parseL4(t, b[n:], ip.Protocol(), header.PseudoHeader(ip.Src(), ip.Dst(), ip.Protocol(), uint32(len(b)-n)))
}

// parseL4 takes apart what an IP packet carries; sum is that of the pseudo-header.
func (f *frame) parseL4(t testing.TB, b []byte, proto header.Protocol, sum uint16) {
	t.Helper()
	var fault header.Fault
	switch proto {
	case header.ProtoICMPv6:
		f.icmp6, fault = header.ParseICMPv6(b)
		require.Zero(t, fault, "ICMPv6: %v", fault)
		require.Equal(t, uint16(0xffff), header.Checksum(b, sum), "ICMPv6 checksum")
		f.body = b[header.ICMPv6Len:]
	case header.ProtoICMP:
		f.icmp, fault = header.ParseICMPv4(b)
		require.Zero(t, fault, "ICMP: %v", fault)
		require.Equal(t, uint16(0xffff), header.Checksum(b, 0), "ICMP checksum")
		f.body = b[header.ICMPv4Len:]
	case header.ProtoUDP:
		var length int
		f.udp, length, fault = header.ParseUDP(b)
		require.Zero(t, fault, "UDP: %v", fault)
		require.Len(t, b, length, "UDP length")
		require.NotZero(t, f.udp.Checksum(), "UDP checksum (RFC 1122 4.1.3.4: MUST generate)")
		require.Equal(t, uint16(0xffff), header.Checksum(b, sum), "UDP checksum")
		f.body = b[header.UDPLen:]
	case header.ProtoTCP:
		var hdr int
		f.tcp, hdr, fault = header.ParseTCP(b)
		require.Zero(t, fault, "TCP: %v", fault)
		require.Equal(t, uint16(0xffff), header.Checksum(b, sum), "TCP checksum")
		require.Zero(t, header.ParseTCPOptions(b[header.TCPLen:hdr], &f.tcpOpts), "TCP options")
		f.body = b[hdr:]
	}
}

// String says in a line what the frame is.
func (f frame) String() string {
	switch {
	case f.arp != nil:
		return fmt.Sprintf("ARP op %d %v/%v -> %v/%v", f.arp.Op(), f.arp.SenderIP(), f.arp.SenderMAC(), f.arp.TargetIP(), f.arp.TargetMAC())
	case f.ip6 != nil:
		return f.string6()
	case f.ip == nil:
		return fmt.Sprintf("%v, %d bytes", f.typ, len(f.raw))
	}
	s := fmt.Sprintf("%v > %v %v ttl %d len %d", f.ip.Src(), f.ip.Dst(), f.ip.Protocol(), f.ip.TTL(), len(f.ipb))
	switch {
	case f.icmp != nil:
		s += fmt.Sprintf(" type %d code %d", f.icmp.Type(), f.icmp.Code())
	case f.udp != nil:
		s += fmt.Sprintf(" ports %d > %d", f.udp.SrcPort(), f.udp.DstPort())
	case f.tcp != nil:
		s += fmt.Sprintf(" ports %d > %d %v seq %d ack %d", f.tcp.SrcPort(), f.tcp.DstPort(), f.tcp.Flags(), f.tcp.Seq(), f.tcp.Ack())
	}
	return s
}

// ipv4 is what varies in a packet that a test makes. The zero value is from the
// peer to the host.
type ipv4 struct {
	src, dst   netip.Addr
	proto      header.Protocol
	ttl, tos   uint8
	id         uint16
	off        int
	more, dont bool
	opts       []byte // a multiple of 4 bytes
}

func (h ipv4) withDefaults() ipv4 {
	def(&h.src, peerIP)
	def(&h.dst, userIP)
	def(&h.ttl, 64)
	return h
}

// packet puts the IP header in front of its payload.
func (h ipv4) packet(body []byte) []byte {
	h = h.withDefaults()
	n := header.IPv4Len + len(h.opts)
	b := make([]byte, n, n+len(body))
	ip := (*header.IPv4)(b)
	ip.Encode(&header.IPv4Fields{
		TOS: h.tos, TTL: h.ttl, Protocol: h.proto, DontFragment: h.dont, MoreFragments: h.more, HdrLen: uint8(n),
		TotalLen: uint16(n + len(body)), ID: h.id, FragOffset: uint16(h.off), Src: header.FromNetip(h.src), Dst: header.FromNetip(h.dst),
	})
	copy(b[header.IPv4Len:], h.opts)
	ip.FillChecksum(b)
	return append(b, body...)
}

// ether puts the link header in front of a packet from the peer to the host.
func ether(typ header.EtherType, body []byte) []byte { return etherTo(scriptMAC, typ, body) }

func etherTo(dst header.MAC, typ header.EtherType, body []byte) []byte {
	b := make([]byte, header.EthernetLen, header.EthernetLen+len(body))
	(*header.Ethernet)(b).Encode(dst, scriptPeer, typ)
	return append(b, body...)
}

// frame is the packet in a frame from the peer to the host.
func (h ipv4) frame(body []byte) []byte { return ether(header.EtherTypeIPv4, h.packet(body)) }

// udpBody is a UDP datagram, with its checksum.
func (h ipv4) udpBody(sport, dport uint16, data []byte) []byte {
	h = h.withDefaults()
	b := make([]byte, header.UDPLen, header.UDPLen+len(data))
	b = append(b, data...)
	u := (*header.UDP)(b)
	u.Encode(&header.UDPFields{SrcPort: sport, DstPort: dport, Length: uint16(len(b))})
	u.SetChecksum(header.UDPChecksum(header.Checksum(b, h.pseudo(header.ProtoUDP, len(b)))))
	return b
}

func (h ipv4) pseudo(p header.Protocol, n int) uint16 {
	return header.PseudoHeader(header.FromNetip(h.src), header.FromNetip(h.dst), p, uint32(n))
}

// udp is a frame with a UDP datagram.
func (h ipv4) udp(sport, dport uint16, data []byte) []byte {
	h.proto = header.ProtoUDP
	return h.frame(h.udpBody(sport, dport, data))
}

// icmp is a frame with an ICMP message.
func (h ipv4) icmp(typ, code uint8, rest uint32, data []byte) []byte {
	h.proto = header.ProtoICMP
	return h.frame(icmpBody(typ, code, rest, data))
}

func icmpBody(typ, code uint8, rest uint32, data []byte) []byte {
	b := make([]byte, header.ICMPv4Len, header.ICMPv4Len+len(data))
	b = append(b, data...)
	m := (*header.ICMPv4)(b)
	m.Encode(typ, code, rest)
	m.SetChecksum(^header.Checksum(b, 0))
	return b
}

// tcp is a frame with a TCP segment; opts has a multiple of 4 bytes.
func (h ipv4) tcp(f header.TCPFields, opts, data []byte) []byte {
	h = h.withDefaults()
	h.proto = header.ProtoTCP
	b := make([]byte, header.TCPLen, header.TCPLen+len(opts)+len(data))
	b = append(append(b, opts...), data...)
	f.HdrLen = uint8(header.TCPLen + len(opts))
	t := (*header.TCP)(b)
	t.Encode(&f)
	t.SetChecksum(0)
	t.SetChecksum(^header.Checksum(b, h.pseudo(header.ProtoTCP, len(b))))
	return h.frame(b)
}

// arpFrame is a frame with an ARP packet from the peer's station.
func arpFrame(dst header.MAC, f header.ARPFields) []byte {
	b := make([]byte, header.ARPLen)
	(*header.ARP)(b).Encode(&f)
	return etherTo(dst, header.EtherTypeARP, b)
}

// tagged puts an 802.1Q tag into a frame.
func tagged(b []byte, tci uint16) []byte {
	typ := (*header.Ethernet)(b).Type()
	out := append([]byte{}, b[:header.EthernetLen]...)
	(*header.Ethernet)(out).SetType(header.EtherTypeVLAN)
	var tag header.VLAN
	tag.Encode(tci, typ)
	return append(append(out, tag[:]...), b[header.EthernetLen:]...)
}

// pattern is n bytes that differ.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return b
}

// hdr converts an address.
func hdr(a netip.Addr) header.Addr { return header.FromNetip(a) }
