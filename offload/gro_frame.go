package offload

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// groKind is what a frame is to GRO.
type groKind uint8

const (
	groOther   groKind = iota // none of the flows is concerned
	groUnknown                // may belong to any flow
	groKnown                  // its flow is known
)

// groFrame is a frame of a burst, taken apart.
type groFrame struct {
	p              *pbuf.Pbuf
	b              []byte // its first buffer, with all headers
	l3, l4, data   int    // offsets in b
	n              int    // bytes of payload
	flags          header.TCPFlags
	v4, udp        bool
	able           bool // may be joined, if it continues something
	first          bool // may be continued
	last           bool // ends what it is joined to
	addrLen, addrs int  // the IP addresses: length of both, offset in b
}

// parse takes a frame apart. n and what lies behind it are set if able is.
func (s *groFrame) parse(p *pbuf.Pbuf, udp bool) groKind {
	s.p, s.b = p, p.Payload()
	b := s.b
	if len(b) < header.EthernetLen+header.VLANLen {
		return groShort(p)
	}
	s.l3 = header.EthernetLen
	typ := header.EtherType(binary.BigEndian.Uint16(b[12:]))
	if typ == header.EtherTypeVLAN {
		s.l3 += header.VLANLen
		typ = header.EtherType(binary.BigEndian.Uint16(b[16:]))
	}
	var proto header.Protocol
	var kind groKind
	switch typ {
	case header.EtherTypeIPv4:
		proto, kind = s.parseIPv4(udp)
	case header.EtherTypeIPv6:
		proto, kind = s.parseIPv6()
	default:
		return groOther
	}
	if kind != groKnown {
		return kind
	}
	if s.able {
		bad := pbuf.RxIPCsumBad | pbuf.RxL4CsumBad | pbuf.RxLRO
		s.able = p.Flags&bad == 0 && !p.Shared()
	}
	switch {
	case proto == header.ProtoTCP:
		return s.parseTCP()
	case udp:
		return s.parseUDP()
	}
	return groOther
}

// groShort is the kind of a frame whose first buffer ends before its headers
// do: the rest may be in the next.
func groShort(p *pbuf.Pbuf) groKind {
	if p.Next() != nil {
		return groUnknown
	}
	return groOther
}

// parseIPv4 takes the IPv4 header. What is neither option nor fragment, and has
// a length that is not that of the frame, is known but not able.
func (s *groFrame) parseIPv4(udp bool) (header.Protocol, groKind) {
	b := s.b[s.l3:]
	if len(b) < header.IPv4Len {
		return 0, groShort(s.p)
	}
	ip := (*header.IPv4)(b)
	proto := ip.Protocol()
	if ip.Version() != 4 || proto != header.ProtoTCP && (proto != header.ProtoUDP || !udp) {
		return 0, groOther
	}
	if ip.IHL() != header.IPv4Len/4 || ip.IsFragment() {
		return 0, groUnknown
	}
	s.v4 = true
	s.addrs, s.addrLen = s.l3+12, 8
	s.l4 = s.l3 + header.IPv4Len
	const reserved = 0x80 // of the flags (RFC 791 3.1)
	s.able = int(ip.TotalLen()) == s.p.TotLen()-s.l3 && ip[6]&reserved == 0
	return proto, groKnown
}

// parseIPv6 takes the IPv6 header. Behind an extension header there may be TCP.
func (s *groFrame) parseIPv6() (header.Protocol, groKind) {
	b := s.b[s.l3:]
	if len(b) < header.IPv6Len {
		return 0, groShort(s.p)
	}
	ip := (*header.IPv6)(b)
	proto := ip.NextHeader()
	if ip.Version() != 6 {
		return 0, groOther
	}
	switch proto {
	case header.ProtoTCP, header.ProtoUDP:
	case header.ProtoHopByHop, header.ProtoRouting, header.ProtoFragment, header.ProtoAH, header.ProtoDestOpts:
		return 0, groUnknown
	default:
		return 0, groOther
	}
	s.addrs, s.addrLen = s.l3+8, 32
	s.l4 = s.l3 + header.IPv6Len
	s.able = int(ip.PayloadLen()) == s.p.TotLen()-s.l4
	return proto, groKnown
}

// parseTCP takes the TCP header.
func (s *groFrame) parseTCP() groKind {
	if len(s.b) < s.l4+header.TCPLen {
		return groShort(s.p)
	}
	tcp := (*header.TCP)(s.b[s.l4:])
	s.flags = tcp.Flags()
	s.data = s.l4 + tcp.HdrLen()
	s.n = s.p.TotLen() - s.data
	const (
		may  = header.TCPAck | header.TCPPsh | header.TCPFin | header.TCPEce | header.TCPCwr
		ends = header.TCPPsh | header.TCPFin
	)
	s.last = s.flags&ends != 0
	s.first = !s.last
	s.able = s.able && s.n > 0 && s.data >= s.l4+header.TCPLen && s.data <= len(s.b) &&
		s.flags&^may == 0 && s.flags&header.TCPAck != 0
	return groKnown
}

// parseUDP takes the UDP header.
func (s *groFrame) parseUDP() groKind {
	if len(s.b) < s.l4+header.UDPLen {
		return groShort(s.p)
	}
	udp := (*header.UDP)(s.b[s.l4:])
	s.udp = true
	s.data = s.l4 + header.UDPLen
	s.n = s.p.TotLen() - s.data
	s.first = true
	s.able = s.able && s.n > 0 && int(udp.Length()) == s.p.TotLen()-s.l4 && udp.Checksum() != 0
	return groKnown
}

// hash is that of addresses and ports. The NIC's is not used: if a single frame
// of a flow came without it, the flow would be found in two places, and frames
// could overtake each other. Who makes flows collide only keeps them from being
// joined.
func (s *groFrame) hash() uint32 {
	const m1, m2 = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	a := s.b[s.addrs:]
	h := binary.LittleEndian.Uint64(a)
	if !s.v4 {
		_ = a[31]
		h = (h^h>>32)*m2 + binary.LittleEndian.Uint64(a[8:])
		h = (h^h>>32)*m2 + binary.LittleEndian.Uint64(a[16:])
		h = (h^h>>32)*m2 + binary.LittleEndian.Uint64(a[24:])
	}
	h = (h^h>>32)*m2 + uint64(binary.LittleEndian.Uint32(s.b[s.l4:]))
	return uint32((h ^ h>>32) * m1 >> 40)
}

// pseudo is the sum of the pseudo-header in front of n bytes of transport header
// and data, for the headers in b.
func (s *groFrame) pseudo(b []byte, n int) uint16 {
	proto := header.ProtoTCP
	if s.udp {
		proto = header.ProtoUDP
	}
	if s.v4 {
		ip := (*header.IPv4)(b[s.l3:])
		if n > MaxTSO {
			return header.PseudoHeader(ip.Src(), ip.Dst(), proto, uint32(n))
		}
		return header.PseudoHeader4(ip.Src(), ip.Dst(), proto, uint16(n))
	}
	ip := (*header.IPv6)(b[s.l3:])
	return header.PseudoHeader6(ip.Src(), ip.Dst(), proto, uint32(n))
}
