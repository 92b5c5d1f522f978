package script

import (
	"fmt"
	"net/netip"

	"github.com/shardstack/shardstack/header"
)

// ends are the addresses of a packet, and what carries it.
type ends struct {
	src, dst       netip.Addr
	srcMAC, dstMAC header.MAC
}

// frame is a packet that the stack sent, in live numbers.
type frame struct {
	at   int64
	from netip.AddrPort
	to   netip.AddrPort
	v6   bool
	pkt  *Packet
}

// build makes the Ethernet frame of an inbound packet whose numbers are live.
// local is of the connection that an ICMP error quotes.
func build(k *Packet, e ends, payload []byte, quoted []byte) ([]byte, error) {
	v6 := e.dst.Is6()
	src, dst := header.FromNetip(e.src), header.FromNetip(e.dst)
	var l4 []byte
	proto := header.Protocol(k.Proto)
	switch k.Proto {
	case protoTCP:
		l4 = buildTCP(k, payload)
		be.PutUint16(l4[16:], ^header.Checksum(l4, header.PseudoHeader(src, dst, proto, uint32(len(l4)))))
	case protoUDP:
		l4 = make([]byte, header.UDPLen, header.UDPLen+len(payload))
		be.PutUint16(l4, k.SrcPort)
		be.PutUint16(l4[2:], k.DstPort)
		be.PutUint16(l4[4:], uint16(header.UDPLen+len(payload)))
		l4 = append(l4, payload...)
		be.PutUint16(l4[6:], header.UDPChecksum(header.Checksum(l4, header.PseudoHeader(src, dst, proto, uint32(len(l4))))))
	default:
		var err error
		if l4, err = buildICMP(k, v6, quoted); err != nil {
			return nil, err
		}
		sum := uint16(0)
		if v6 {
			proto = protoICMPv6
			sum = header.PseudoHeader(src, dst, proto, uint32(len(l4)))
		}
		be.PutUint16(l4[2:], ^header.Checksum(l4, sum))
	}
	ip := buildIP(k, src, dst, proto, len(l4))
	b := make([]byte, header.EthernetLen, header.EthernetLen+len(ip)+len(l4))
	typ := header.EtherTypeIPv4
	if v6 {
		typ = header.EtherTypeIPv6
	}
	(*header.Ethernet)(b).Encode(e.dstMAC, e.srcMAC, typ)
	return append(append(b, ip...), l4...), nil
}

// buildIP makes the IP header in front of n bytes.
func buildIP(k *Packet, src, dst header.Addr, proto header.Protocol, n int) []byte {
	ttl := uint8(255)
	if k.TTL != 0 {
		ttl = uint8(k.TTL)
	}
	if !dst.Is4() {
		b := make([]byte, header.IPv6Len)
		(*header.IPv6)(b).Encode(&header.IPv6Fields{TrafficClass: k.TOS, HopLimit: ttl, NextHeader: proto,
			PayloadLen: uint16(n), FlowLabel: uint32(max(k.Flow, 0)), Src: src, Dst: dst})
		return b
	}
	b := make([]byte, header.IPv4Len)
	(*header.IPv4)(b).Encode(&header.IPv4Fields{TOS: k.TOS, TTL: ttl, Protocol: proto,
		TotalLen: uint16(header.IPv4Len + n), Src: src, Dst: dst})
	return b
}

func buildTCP(k *Packet, payload []byte) []byte {
	b := make([]byte, header.TCPLen, header.TCPLen+40+len(payload))
	be.PutUint16(b, k.SrcPort)
	be.PutUint16(b[2:], k.DstPort)
	be.PutUint32(b[4:], k.Seq)
	be.PutUint32(b[8:], k.Ack)
	flags := k.Flags
	if k.ACE >= 0 {
		flags |= uint16(k.ACE&1)*flagECE | uint16(k.ACE>>1&1)*flagCWR | uint16(k.ACE>>2&1)*flagAE
	}
	b[13] = uint8(flags)
	be.PutUint16(b[14:], uint16(max(k.Win, 0)))
	be.PutUint16(b[18:], k.Urg)
	b = appendOptions(b, k.Opts)
	b[12] = uint8(len(b) / 4 << 4)
	if flags&flagAE != 0 {
		b[12] |= 1
	}
	return append(b, payload...)
}

// buildICMP makes an ICMP message; quoted is what an error quotes.
func buildICMP(k *Packet, v6 bool, quoted []byte) ([]byte, error) {
	typ, code, err := icmpNumber(k, v6)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 8, 8+len(quoted))
	b[0], b[1] = typ, code
	switch {
	case k.ID >= 0:
		be.PutUint16(b[4:], uint16(k.ID))
	case k.MTU >= 0:
		be.PutUint32(b[4:], uint32(k.MTU))
	}
	return append(b, quoted...), nil
}

// parseFrame reads a frame that the stack sent. nil without an error: it is not
// of the kinds that scripts speak of (ARP, neighbour discovery, fragments).
func parseFrame(b []byte) (*frame, error) {
	eth, fault := header.ParseEthernet(b)
	if fault != header.OK {
		return nil, fmt.Errorf("a frame of %d bytes", len(b))
	}
	b = b[header.EthernetLen:]
	k := &Packet{ecn: ecnTOS, ACE: -1, MTU: -1, ID: -1, Win: -1}
	f := &frame{pkt: k}
	var src, dst header.Addr
	var proto header.Protocol
	switch eth.Type() {
	case header.EtherTypeIPv4:
		ip, hl, total, fault := header.ParseIPv4(b)
		if fault != header.OK || !ip.VerifyChecksum(b[:hl]) {
			return nil, fmt.Errorf("a bad IPv4 header (fault %d)", fault)
		}
		if ip.IsFragment() {
			return nil, nil
		}
		src, dst, proto = ip.Src(), ip.Dst(), ip.Protocol()
		k.TOS, k.TTL, k.Flow = ip.TOS(), int(ip.TTL()), -1
		b = b[hl:total]
	case header.EtherTypeIPv6:
		ip, n, fault := header.ParseIPv6(b)
		if fault != header.OK {
			return nil, fmt.Errorf("a bad IPv6 header (fault %d)", fault)
		}
		src, dst, proto = ip.Src(), ip.Dst(), ip.NextHeader()
		k.TOS, k.TTL, k.Flow = ip.TrafficClass(), int(ip.HopLimit()), int(ip.FlowLabel())
		f.v6 = true
		b = b[header.IPv6Len : header.IPv6Len+n]
	default:
		return nil, nil
	}
	ok, err := k.readL4(b, src, dst, proto)
	if err != nil || !ok {
		return nil, err
	}
	f.from = netip.AddrPortFrom(src.Netip(), k.SrcPort)
	f.to = netip.AddrPortFrom(dst.Netip(), k.DstPort)
	return f, nil
}

// readL4 reads what IP carries and checks its sum. False: of no interest.
func (k *Packet) readL4(b []byte, src, dst header.Addr, proto header.Protocol) (bool, error) {
	sum := header.PseudoHeader(src, dst, proto, uint32(len(b)))
	if proto == header.ProtoICMP {
		sum = 0
	}
	switch proto {
	case header.ProtoTCP:
		if err := k.readTCP(b); err != nil {
			return false, err
		}
	case header.ProtoUDP:
		h, n, fault := header.ParseUDP(b)
		if fault != header.OK || n != len(b) {
			return false, fmt.Errorf("a bad UDP header")
		}
		k.Proto, k.SrcPort, k.DstPort = protoUDP, h.SrcPort(), h.DstPort()
		k.data = b[header.UDPLen:]
		k.Len = len(k.data)
	case protoICMP, protoICMPv6:
		if len(b) < 8 {
			return false, fmt.Errorf("an ICMP message of %d bytes", len(b))
		}
		if !k.readICMP(b, proto == protoICMPv6) {
			return false, nil
		}
	default:
		return false, nil
	}
	if header.Checksum(b, sum) != 0xffff {
		return false, fmt.Errorf("a wrong checksum over %d bytes of protocol %d", len(b), proto)
	}
	return true, nil
}

func (k *Packet) readTCP(b []byte) error {
	h, n, fault := header.ParseTCP(b)
	if fault != header.OK {
		return fmt.Errorf("a bad TCP header (fault %d)", fault)
	}
	k.Proto, k.SrcPort, k.DstPort = protoTCP, h.SrcPort(), h.DstPort()
	k.Seq, k.Ack = uint32(h.Seq()), uint32(h.Ack())
	k.Flags = uint16(b[13])
	if b[12]&1 != 0 {
		k.Flags |= flagAE
	}
	k.Win, k.Urg = int(h.Window()), be.Uint16(b[18:])
	opts, err := parseOptions(b[header.TCPLen:n])
	if err != nil {
		return err
	}
	k.Opts = opts
	k.data = b[n:]
	k.Len = len(k.data)
	return nil
}

// readICMP reads a message; Type and Code are those of the wire. False: it is
// neighbour or multicast discovery.
func (k *Packet) readICMP(b []byte, v6 bool) bool {
	k.Proto, k.Type, k.Code = protoICMP, b[0], b[1]
	quote := b[8:]
	switch {
	case v6 && k.Type >= 130:
		return false
	case v6 && k.Type < 128:
		k.MTU = int(be.Uint32(b[4:]))
		if len(quote) >= header.IPv6Len+8 {
			k.quote(quote[6], quote[header.IPv6Len:], int(be.Uint16(quote[4:])))
		}
	case !v6 && (k.Type == 3 || k.Type == 11 || k.Type == 12 || k.Type == 4):
		k.MTU = int(be.Uint16(b[6:]))
		if hl := int(quote0(quote)&0xf) * 4; hl >= header.IPv4Len && len(quote) >= hl+8 {
			k.quote(quote[9], quote[hl:], int(be.Uint16(quote[2:]))-hl)
		}
	default:
		k.ID = int(be.Uint16(b[4:]))
		k.Len = len(b) - 8
	}
	return true
}

func quote0(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// quote reads the packet that an error quotes: at least 8 bytes of it, whose
// length was n bytes behind the IP header.
func (k *Packet) quote(proto uint8, b []byte, n int) {
	k.Echo = &Echoed{Proto: proto, Len: n}
	switch proto {
	case protoTCP:
		k.Echo.Seq = be.Uint32(b[4:])
		if len(b) >= header.TCPLen {
			k.Echo.Len = n - int(b[12]>>4)*4
		}
	case protoUDP:
		k.Echo.Len = n - header.UDPLen
	}
	k.SrcPort, k.DstPort = be.Uint16(b), be.Uint16(b[2:])
}
