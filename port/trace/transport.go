package trace

import (
	"github.com/shardstack/shardstack/header"
)

// transport appends what an IP packet that is no fragment carries.
func (p *packet) transport(buf []byte) []byte {
	switch p.proto {
	case header.ProtoTCP:
		return p.tcp(buf)
	case header.ProtoUDP:
		return p.udp(buf)
	case header.ProtoICMP, header.ProtoICMPv6:
		return p.icmp(buf)
	}
	return number(p.plain(buf), " len ", uint64(max(p.length, 0)))
}

// ends appends both endpoints.
func (p *packet) ends(buf []byte, src, dst uint16, name string) []byte {
	buf = endpoint(buf, p.src, src)
	buf = endpoint(append(buf, " > "...), p.dst, dst)
	return append(buf, name...)
}

func (p *packet) tcp(buf []byte) []byte {
	h, hdrLen, f := header.ParseTCP(p.body)
	if f != header.OK {
		return fault(append(p.plain(buf), ' '), f)
	}
	buf = p.ends(buf, h.SrcPort(), h.DstPort(), " TCP ")
	flags := h.Flags()
	buf = tcpFlags(buf, flags)
	buf = number(buf, " seq ", uint64(h.Seq()))
	if flags&header.TCPAck != 0 {
		buf = number(buf, " ack ", uint64(h.Ack()))
	}
	buf = number(buf, " win ", uint64(h.Window()))
	if flags&header.TCPUrg != 0 {
		buf = number(buf, " urg ", uint64(h.Urgent()))
	}
	buf = tcpOptions(buf, p.body[header.TCPLen:hdrLen])
	return number(buf, " len ", uint64(max(p.length-hdrLen, 0)))
}

// tcpFlags appends the initials of the flags, "." for none.
func tcpFlags(buf []byte, flags header.TCPFlags) []byte {
	if flags == 0 {
		return append(buf, '.')
	}
	for i := range 8 {
		if flags&(1<<i) != 0 {
			buf = append(buf, "FSRPAUEC"[i])
		}
	}
	return buf
}

func tcpOptions(buf, b []byte) []byte {
	if tsval, tsecr, ok := header.ParseTimestampFast(b); ok {
		return timestamps(buf, tsval, tsecr)
	}
	var o header.TCPOptions
	if f := header.ParseTCPOptions(b, &o); f != header.OK {
		return fault(append(buf, ' '), f)
	}
	if o.MSS != 0 {
		buf = number(buf, " mss ", uint64(o.MSS))
	}
	if o.WScale >= 0 {
		buf = number(buf, " wscale ", uint64(o.WScale))
	}
	if o.SACKPermitted {
		buf = append(buf, " sackOK"...)
	}
	if o.HasTS {
		buf = timestamps(buf, o.TSVal, o.TSEcr)
	}
	for i := range o.NSACK {
		buf = number(buf, " sack ", uint64(o.SACK[i].Left))
		buf = number(buf, "-", uint64(o.SACK[i].Right))
	}
	return buf
}

func timestamps(buf []byte, tsval, tsecr uint32) []byte {
	buf = number(buf, " ts ", uint64(tsval))
	return number(buf, "/", uint64(tsecr))
}

func (p *packet) udp(buf []byte) []byte {
	h, n, f := header.ParseUDP(p.body)
	if f == header.FaultUDPLength && p.length > len(p.body) { // the bytes at hand end early
		h = (*header.UDP)(p.body)
		if n = int(h.Length()); n >= header.UDPLen {
			f = header.OK
		}
	}
	if f != header.OK {
		return fault(append(p.plain(buf), ' '), f)
	}
	buf = p.ends(buf, h.SrcPort(), h.DstPort(), " UDP")
	return number(buf, " len ", uint64(n-header.UDPLen))
}

// icmp appends the message's type; both versions begin alike.
func (p *packet) icmp(buf []byte) []byte {
	h, f := header.ParseICMPv4(p.body)
	if f != header.OK {
		return fault(append(p.plain(buf), ' '), f)
	}
	v6 := p.proto == header.ProtoICMPv6
	buf = p.plain(buf)
	switch typ := h.Type(); {
	case !v6 && typ == header.ICMPv4Echo, v6 && typ == header.ICMPv6Echo:
		buf = append(buf, " echo"...)
	case !v6 && typ == header.ICMPv4EchoReply, v6 && typ == header.ICMPv6EchoReply:
		buf = append(buf, " echo-reply"...)
	default:
		buf = number(buf, " type ", uint64(typ))
		buf = number(buf, " code ", uint64(h.Code()))
		return number(buf, " len ", uint64(max(p.length, 0)))
	}
	buf = number(buf, " id ", uint64(h.EchoID()))
	buf = number(buf, " seq ", uint64(h.EchoSeq()))
	return number(buf, " len ", uint64(max(p.length-header.ICMPv4Len, 0)))
}
