package offload

import (
	"bytes"
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// groFlow is a flow with a packet under way, or without one: then count is 0.
type groFlow struct {
	groFrame              // the first frame; its headers are those of the packet
	chain    pbuf.Builder // the frames, once there are two
	seg      int          // payload of the first
	room     int          // bytes of payload that still go in
	count    uint16       // frames
	id       uint16       // identification that comes next
	next     header.Seq   // sequence number that comes next
	ends     header.TCPFlags
	sum      uint16 // of the pseudo-header without the length, for follow
	sumIP    uint16 // of the IPv4 header without length, identification and checksum
	at       int    // where the first is in the burst
}

// begin starts a packet of at most most bytes with frame s.
func (f *groFlow) begin(s *groFrame, most int) {
	f.groFrame = *s
	f.seg, f.count, f.ends = s.n, 1, 0
	if s.v4 {
		f.id = (*header.IPv4)(s.b[s.l3:]).ID() + 1
		f.room = most - s.p.TotLen() + s.l3
	} else {
		f.room = most - s.p.TotLen() + s.l4
	}
	if !s.udp {
		f.next = (*header.TCP)(s.b[s.l4:]).Seq().Add(uint32(s.n))
	}
}

// is reports whether s is a frame of this flow: of the same addresses and ports.
// The headers of the flow's last packet are there even if it was closed, as they
// are not changed but in lengths, flags and checksums.
func (f *groFlow) is(s *groFrame) bool {
	if f.v4 != s.v4 || f.udp != s.udp ||
		binary.BigEndian.Uint32(f.b[f.l4:]) != binary.BigEndian.Uint32(s.b[s.l4:]) {
		return false
	}
	return bytes.Equal(f.b[f.addrs:f.addrs+f.addrLen], s.b[s.addrs:s.addrs+s.addrLen])
}

// continues reports whether s, of the same flow and able, goes on where the
// packet ends.
func (f *groFlow) continues(s *groFrame) bool {
	if s.n > f.seg || s.n > f.room || s.data != f.data || s.l3 != f.l3 {
		return false
	}
	if (f.p.Flags^s.p.Flags)&pbuf.RxVLAN != 0 || s.p.Flags&pbuf.RxVLAN != 0 && f.p.VLAN != s.p.VLAN {
		return false
	}
	if !bytes.Equal(f.b[:f.l3], s.b[:s.l3]) {
		return false
	}
	if s.v4 {
		if !f.continuesIPv4((*header.IPv4)(s.b[s.l3:])) {
			return false
		}
	} else if !f.continuesIPv6((*header.IPv6)(s.b[s.l3:])) {
		return false
	}
	return s.udp || f.continuesTCP(s.b[s.l4:s.data])
}

func (f *groFlow) continuesIPv4(ip *header.IPv4) bool {
	was := (*header.IPv4)(f.b[f.l3:])
	return ip.TOS() == was.TOS() && ip.TTL() == was.TTL() && ip.DontFragment() == was.DontFragment() &&
		(ip.DontFragment() || ip.ID() == f.id)
}

func (f *groFlow) continuesIPv6(ip *header.IPv6) bool {
	was := (*header.IPv6)(f.b[f.l3:])
	return binary.BigEndian.Uint32(ip[:]) == binary.BigEndian.Uint32(was[:]) && ip.HopLimit() == was.HopLimit()
}

// continuesTCP compares header and options.
func (f *groFlow) continuesTCP(b []byte) bool {
	was := f.b[f.l4:f.data]
	tcp, wasTCP := (*header.TCP)(b), (*header.TCP)(was)
	// Data offset, reserved bits, flags and window in one word.
	const free = uint32(header.TCPFin|header.TCPPsh|header.TCPCwr) << 16
	word, wasWord := binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(was[12:])
	return tcp.Seq() == f.next && tcp.Ack() == wasTCP.Ack() &&
		(word^wasWord)&^free == 0 && tcp.Flags()&header.TCPCwr == 0 &&
		bytes.Equal(b[header.TCPLen:], was[header.TCPLen:])
}

// own makes the headers of the packet under way ones that may be written. Those of
// an alias are its sender's: the first frame is copied then, once for all that are
// joined to it. False: no buffer.
func (g *GRO) own(f *groFlow) bool {
	if f.count > 1 || !f.p.Alias() {
		return true
	}
	q := f.p.Clone(pbuf.LayerTransport, pbuf.KindPool)
	if q == nil {
		return false
	}
	f.p.Free()
	f.p, f.b = q, q.Payload()
	g.ps[f.at] = q
	return true
}

// add appends a frame that continues the packet, and takes it over.
func (f *groFlow) add(s *groFrame) {
	if f.count == 1 {
		f.chain.Add(f.p)
	}
	f.count++
	f.id++
	f.room -= s.n
	f.next = f.next.Add(uint32(s.n))
	f.ends |= s.flags & (header.TCPFin | header.TCPPsh)
	p := s.p
	if !p.RemoveHeader(f.data) { // in several buffers
		p = p.FreeHeader(f.data) // not nil, as n is over 0
	}
	f.chain.Add(p)
}

// finish makes the packet of its frames.
func (f *groFlow) finish() {
	p := f.chain.Finish()
	total := p.TotLen()
	b := f.b
	sum := f.pseudo(b, total-f.l4)
	if f.v4 {
		ip := (*header.IPv4)(b[f.l3:])
		ip.SetTotalLen(0) // as of BigTCP
		if n := total - f.l3; n <= MaxTSO {
			ip.SetTotalLen(uint16(n))
		}
		ip.FillChecksum(b[f.l3:f.l4])
	} else if n := total - f.l4; n <= MaxTSO {
		(*header.IPv6)(b[f.l3:]).SetPayloadLen(uint16(n))
	} else {
		f.makeJumbo(p, n)
	}
	if f.udp {
		udp := (*header.UDP)(b[f.l4:])
		udp.SetLength(uint16(total - f.l4))
		udp.SetChecksum(sum)
	} else {
		tcp := (*header.TCP)(b[f.l4:])
		tcp.SetFlags(tcp.Flags() | f.ends)
		tcp.SetChecksum(sum)
	}
	p.Flags |= pbuf.RxLRO | pbuf.RxL4CsumGood | pbuf.RxL4Partial
	p.SegSize = uint16(f.seg)
	p.L2Len, p.L3Len, p.L4Len = uint8(f.l3), uint8(f.l4-f.l3), uint8(f.data-f.l4)
	if p.Len() != len(b) { // a jumbogram
		p.L3Len += header.IPv6JumboLen
	}
}

// makeJumbo makes p a jumbogram (RFC 2675 2) of n bytes behind the IPv6 header: all
// headers up to that one move to the front, where begin has seen that there is
// room.
func (f *groFlow) makeJumbo(p *pbuf.Pbuf, n int) {
	p.AddHeader(header.IPv6JumboLen)
	b := p.Payload()
	at := copy(b, f.b[:f.l4])
	ip := (*header.IPv6)(b[f.l3:])
	(*header.IPv6Jumbo)(b[at:]).Encode(ip.NextHeader(), uint32(n+header.IPv6JumboLen))
	ip.SetNextHeader(header.ProtoHopByHop)
	ip.SetPayloadLen(0)
}
