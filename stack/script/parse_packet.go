package script

import (
	"encoding/hex"
	"math"
	"strings"
)

// packet reads a packet from its direction on.
func (p *parser) packet() (*Packet, error) {
	t := p.next()
	k := &Packet{Line: t.line, Inbound: t.text == "<", Flow: -1, ACE: -1, Win: -1, MTU: -1, ID: -1}
	if err := p.ipInfo(k); err != nil {
		return nil, err
	}
	switch t := p.peek(); {
	case t.kind == tokWord && (t.text == "ipv4" || t.text == "ipv6" || t.text == "gre" || t.text == "GREv0" || t.text == "mpls"):
		return nil, unsupported(t.line, "packets in packets (%s)", t.text)
	case t.kind == tokWord && t.text == "encap":
		return nil, unsupported(t.line, "PSP encapsulation")
	case p.accept("icmp"):
		return k, p.icmp(k)
	case t.kind == tokInt && p.peekAt(1).text == ">":
		if err := p.ports(k); err != nil {
			return nil, err
		}
	}
	if p.accept("udp") {
		return k, p.udp(k)
	}
	k.Proto = protoTCP
	return k, p.tcp(k)
}

// ipInfo reads (ect0), [tos 0x10], (ttl 5), (flowlabel 0x1), and the like.
func (p *parser) ipInfo(k *Packet) error {
	closing := ")"
	switch {
	case p.accept("("):
	case p.accept("["):
		closing = "]"
	default:
		return nil
	}
	for {
		t := p.next()
		switch t.text {
		case "noecn", "ect1", "ect0", "ce":
			k.ecn = ecnBits
			k.TOS = uint8(strings.Index("noecn ect1  ect0  ce", t.text) / 6)
		case "ect01":
			k.ecn = ecnECT01
			if k.Inbound {
				return syntax(t.line, "ect01 is for packets that are expected (>)")
			}
		case "tos":
			v, err := p.uint("tos", 255)
			if err != nil {
				return err
			}
			k.ecn, k.TOS = ecnTOS, uint8(v)
		case "ttl":
			v, err := p.uint("ttl", 255)
			if err != nil {
				return err
			}
			k.TTL = int(v)
		case "flowlabel":
			v, err := p.uint("flowlabel", 1<<20-1)
			if err != nil {
				return err
			}
			k.Flow = int(v)
		default:
			p.i--
			return p.unexpected("want ect0, ect1, ect01, ce, noecn, tos, ttl or flowlabel")
		}
		if p.accept(closing) {
			return nil
		}
		if err := p.expect(","); err != nil {
			return err
		}
	}
}

// ports reads "SRC > DST".
func (p *parser) ports(k *Packet) error {
	src, err := p.uint("source port", math.MaxUint16)
	if err != nil {
		return err
	}
	if err := p.expect(">"); err != nil {
		return err
	}
	dst, err := p.uint("destination port", math.MaxUint16)
	k.SrcPort, k.DstPort = uint16(src), uint16(dst)
	return err
}

// udp reads "udp (LENGTH)", with the ports in front or behind the word.
func (p *parser) udp(k *Packet) error {
	k.Proto = protoUDP
	if t := p.peek(); t.kind == tokInt {
		if err := p.ports(k); err != nil {
			return err
		}
	}
	n, err := p.parenthesized("UDP payload")
	k.Len = int(n)
	return err
}

func (p *parser) parenthesized(what string) (int64, error) {
	if err := p.expect("("); err != nil {
		return 0, err
	}
	n, err := p.uint(what, math.MaxUint16)
	if err != nil {
		return 0, err
	}
	return n, p.expect(")")
}

// tcp reads a segment from its flags on.
func (p *parser) tcp(k *Packet) error {
	if err := p.flags(k); err != nil {
		return err
	}
	seq, n, err := p.seqRange()
	if err != nil {
		return err
	}
	k.Seq, k.Len = seq, n
	if p.accept("ack") {
		v, err := p.uint("ack", math.MaxUint32)
		if err != nil {
			return err
		}
		k.Ack = uint32(v)
	}
	if p.accept("win") {
		v, err := p.uint("win", math.MaxUint16)
		if err != nil {
			return err
		}
		k.Win = int(v)
	}
	if p.accept("urg") {
		v, err := p.uint("urg", math.MaxUint16)
		if err != nil {
			return err
		}
		k.Urg = uint16(v)
	}
	if !p.is("<") || p.peek().kind != tokPunct {
		return nil
	}
	line := p.next().line
	if p.peek().kind == tokDots {
		p.next()
		k.AnyOpts = true
		if k.Inbound {
			return syntax(line, "<...> is for packets that are expected (>)")
		}
		return p.expect(">")
	}
	for {
		o, err := p.tcpOption()
		if err != nil {
			return err
		}
		k.Opts = append(k.Opts, o)
		if p.accept(">") {
			break
		}
		if err := p.expect(","); err != nil {
			return err
		}
	}
	if n := optionsLen(k.Opts); n > 40 {
		return syntax(line, "%d bytes of TCP options do not fit into 40", n)
	}
	return nil
}

// flags reads the flags of a segment: letters of FSRPUEWA, a dot for ACK, a
// digit for the AccECN count, or - for none. The scanner may have cut them in
// several tokens.
func (p *parser) flags(k *Packet) error {
	start := p.peek()
	if start.kind == tokPunct && start.text == "-" {
		p.next()
		return nil
	}
	text, end := "", start.pos
	for {
		t := p.peek()
		if t.pos != end || t.kind != tokWord && t.kind != tokFloat && (t.kind != tokPunct || t.text != ".") {
			break
		}
		text, end = text+t.text, t.end
		p.next()
	}
	if text == "" {
		return p.unexpected("want TCP flags")
	}
	for _, c := range text {
		switch i := strings.IndexRune(flagLetters, c); {
		case i >= 0:
			k.Flags |= 1 << i
		case c >= '0' && c <= '7':
			k.ACE = int(c - '0')
		default:
			return syntax(start.line, "TCP flags %q: want letters of %s, or -", text, flagLetters)
		}
	}
	return nil
}

// seqRange reads START:END(LENGTH).
func (p *parser) seqRange() (uint32, int, error) {
	line := p.peek().line
	start, err := p.uint("sequence number", math.MaxUint32)
	if err != nil {
		return 0, 0, err
	}
	if err := p.expect(":"); err != nil {
		return 0, 0, err
	}
	end, err := p.uint("sequence number", math.MaxUint32)
	if err != nil {
		return 0, 0, err
	}
	n, err := p.parenthesized("payload")
	if err != nil {
		return 0, 0, err
	}
	if uint32(start)+uint32(n) != uint32(end) {
		return 0, 0, syntax(line, "sequence numbers %d:%d and length %d contradict each other", start, end, n)
	}
	return uint32(start), int(n), nil
}

// tcpOption reads one option.
func (p *parser) tcpOption() (o TCPOption, err error) {
	t := p.next()
	num := func(what string, limit int64) (uint32, error) {
		v, err := p.uint(what, limit)
		return uint32(v), err
	}
	switch t.text {
	case "nop":
		o.Kind = optNOP
	case "eol":
		o.Kind = optEOL
	case "sackOK":
		o.Kind = optSACKOK
	case "mss":
		o.Kind = optMSS
		o.Num, err = num("mss", math.MaxUint16)
	case "wscale":
		o.Kind = optWScale
		o.Num, err = num("wscale", math.MaxUint8)
	case "sack":
		o.Kind = optSACK
		err = p.sackBlocks(&o)
	case "TS":
		o.Kind = optTS
		if err = p.expect("val"); err == nil {
			o.Num, err = num("val", math.MaxUint32)
		}
		if err == nil {
			err = p.expect("ecr")
		}
		if err == nil {
			o.Ecr, err = num("ecr", math.MaxUint32)
		}
	case "uto":
		o.Kind = optUTO
		o.Num, err = num("uto", math.MaxUint16)
	case "FO", "FOEXP":
		o.Kind = optFastOpen
		if t.text == "FOEXP" {
			o.Kind = optExp
		}
		if o.good = p.accept(cookieWord); !o.good {
			o.Data, err = p.hexBlob()
		}
	case "md5":
		return o, unsupported(t.line, "TCP MD5 signatures (RFC 2385)")
	case "ECN":
		return o, unsupported(t.line, "the options of accurate ECN")
	default:
		p.i--
		err = p.unexpected("want a TCP option")
	}
	return o, err
}

func (p *parser) sackBlocks(o *TCPOption) error {
	for {
		l, err := p.uint("left edge", math.MaxUint32)
		if err != nil {
			return err
		}
		if err := p.expect(":"); err != nil {
			return err
		}
		r, err := p.uint("right edge", math.MaxUint32)
		if err != nil {
			return err
		}
		o.Blocks = append(o.Blocks, [2]uint32{uint32(l), uint32(r)})
		if p.peek().kind != tokInt {
			return nil
		}
	}
}

// hexBlob reads the cookie of a Fast Open option; none asks for one.
func (p *parser) hexBlob() ([]byte, error) {
	t := p.peek()
	if t.kind != tokWord && t.kind != tokInt {
		return nil, nil
	}
	p.next()
	b, err := hex.DecodeString(t.text)
	if err != nil {
		return nil, syntax(t.line, "cookie %q is not an even number of hexadecimal digits", t.text)
	}
	return b, nil
}
