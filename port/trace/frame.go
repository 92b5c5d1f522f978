package trace

import (
	"strconv"

	"github.com/shardstack/shardstack/header"
)

// AppendFrame appends what is in an Ethernet frame, on one line without line
// end: addresses and the fields of the innermost header that is known. b may end
// early, as long as the headers are in it; what is wrong with a header is said
// by the name of its header.Fault. Any bytes are safe.
func AppendFrame(buf, b []byte) []byte {
	eth, f := header.ParseEthernet(b)
	if f != header.OK {
		return fault(buf, f)
	}
	typ := eth.Type()
	b = b[header.EthernetLen:]
	for range 2 {
		if typ != header.EtherTypeVLAN && typ != header.EtherTypeQinQ {
			break
		}
		tag, f := header.ParseVLAN(b)
		if f != header.OK {
			return fault(buf, f)
		}
		buf = number(buf, "vlan ", uint64(tag.ID()))
		buf = append(buf, ' ')
		typ = tag.Type()
		b = b[header.VLANLen:]
	}
	switch typ {
	case header.EtherTypeARP:
		return arp(buf, b)
	case header.EtherTypeIPv4:
		return ipv4(buf, b)
	case header.EtherTypeIPv6:
		return ipv6(buf, b)
	}
	buf = mac(buf, eth.Src())
	buf = append(buf, " > "...)
	buf = mac(buf, eth.Dst())
	buf = append(buf, " type 0x"...)
	for shift := 12; shift >= 0; shift -= 4 {
		buf = append(buf, hexDigits[typ>>shift&15])
	}
	return buf
}

const hexDigits = "0123456789abcdef"

func fault(buf []byte, f header.Fault) []byte {
	buf = append(buf, "bad: "...)
	return append(buf, f.String()...)
}

// number appends a name and a number.
func number(buf []byte, name string, n uint64) []byte {
	buf = append(buf, name...)
	return strconv.AppendUint(buf, n, 10)
}

func mac(buf []byte, m header.MAC) []byte {
	for i, v := range m {
		if i > 0 {
			buf = append(buf, ':')
		}
		buf = append(buf, hexDigits[v>>4], hexDigits[v&15])
	}
	return buf
}

func addr(buf []byte, a header.Addr) []byte { return a.Netip().AppendTo(buf) }

// endpoint appends an address with a port, IPv6 in brackets.
func endpoint(buf []byte, a header.Addr, port uint16) []byte {
	if a.Is4() {
		buf = addr(buf, a)
	} else {
		buf = append(addr(append(buf, '['), a), ']')
	}
	return number(buf, ":", uint64(port))
}

func arp(buf, b []byte) []byte {
	h, f := header.ParseARP(b)
	if f != header.OK {
		return fault(buf, f)
	}
	switch h.Op() {
	case header.ARPRequest:
		buf = addr(append(buf, "ARP who-has "...), h.TargetIP())
		return addr(append(buf, " tell "...), h.SenderIP())
	case header.ARPReply:
		buf = addr(append(buf, "ARP "...), h.SenderIP())
		return mac(append(buf, " is-at "...), h.SenderMAC())
	}
	return number(buf, "ARP op ", uint64(h.Op()))
}

// packet is what the lines of both IP families and of what they carry need.
type packet struct {
	src, dst header.Addr
	proto    header.Protocol
	body     []byte // behind the IP headers, without padding, as far as there
	length   int    // of the body in the packet
}

func ipv4(buf, b []byte) []byte {
	h, hdrLen, total, f := header.ParseIPv4(b)
	if f == header.FaultIPv4Total { // all other rules hold; b ends early
		h = (*header.IPv4)(b)
		hdrLen, total = h.HdrLen(), int(h.TotalLen())
		if f = header.OK; hdrLen > len(b) {
			f = header.FaultIPv4IHL
		}
	}
	if f != header.OK {
		return fault(buf, f)
	}
	p := packet{
		src: h.Src(), dst: h.Dst(), proto: h.Protocol(),
		body: b[hdrLen:min(total, len(b))], length: total - hdrLen,
	}
	if h.IsFragment() {
		buf = p.plain(buf)
		buf = number(buf, " id ", uint64(h.ID()))
		return fragment(buf, int(h.FragOffset()), p.length, h.MoreFragments())
	}
	return p.transport(buf)
}

func ipv6(buf, b []byte) []byte {
	h, n, f := header.ParseIPv6(b)
	if f == header.FaultIPv6Payload {
		h = (*header.IPv6)(b)
		n, f = int(h.PayloadLen()), header.OK
	}
	if f != header.OK {
		return fault(buf, f)
	}
	p := packet{src: h.Src(), dst: h.Dst(), length: n}
	p.body = b[header.IPv6Len:min(header.IPv6Len+n, len(b))]
	var x header.IPv6Extensions
	f = header.ParseIPv6Extensions(h.NextHeader(), p.body, &x)
	p.proto = x.Protocol
	if f != header.OK {
		return fault(append(p.plain(buf), ' '), f)
	}
	p.body, p.length = p.body[x.Off:], p.length-x.Off
	if x.Fragment >= 0 {
		h := (*header.IPv6Fragment)(b[header.IPv6Len+x.Fragment:])
		if h.More() || h.Offset() != 0 { // else it is whole (RFC 6946)
			buf = p.plain(buf)
			buf = number(buf, " id ", uint64(h.ID()))
			return fragment(buf, int(h.Offset()), p.length, h.More())
		}
	}
	return p.transport(buf)
}

// plain appends addresses and protocol.
func (p *packet) plain(buf []byte) []byte {
	buf = addr(buf, p.src)
	buf = append(buf, " > "...)
	buf = addr(buf, p.dst)
	buf = append(buf, ' ')
	name := p.proto.String()
	if name[0] <= '9' { // none but the number
		buf = append(buf, "proto "...)
	}
	return append(buf, name...)
}

// fragment appends which bytes of the original packet a fragment carries.
func fragment(buf []byte, off, n int, more bool) []byte {
	buf = number(buf, " frag ", uint64(off))
	buf = number(buf, "+", uint64(max(n, 0)))
	if more {
		buf = append(buf, '+')
	}
	return buf
}
