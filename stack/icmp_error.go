package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Errors that we send are limited by a token bucket (RFC 1812 4.3.2.8): so many
// a second, and so many at once.
const (
	icmpPerSecond = 1000
	icmpBurst     = 50
)

// icmpMaxError is the longest error message, IP header included (RFC 1812
// 4.3.2.3).
const icmpMaxError = 576

// icmpState is ICMP's part of a Stack.
type icmpState struct {
	tokens int64 // in ns: each message costs 1 s / icmpPerSecond
	filled int64 // when tokens was brought up to date
	pings  []*Ping
}

const icmpCost = 1_000_000_000 / icmpPerSecond

func (s *Stack) icmpInit() { s.icmp.tokens = icmpBurst * icmpCost }

// allow takes a token, if there is one.
func (c *icmpState) allow(now int64) bool {
	c.tokens = min(c.tokens+now-c.filled, icmpBurst*icmpCost)
	c.filled = now
	if c.tokens < icmpCost {
		return false
	}
	c.tokens -= icmpCost
	return true
}

// icmpError tells the sender of a packet, payload at the IP header (L3Len bytes),
// what is wrong with it; rest is the word behind the checksum: next-hop MTU or
// pointer. Whether anything is sent, RFC 1122 3.2.2 decides. p stays the
// caller's.
func (s *Stack) icmpError(nif *Netif, p *pbuf.Pbuf, typ, code uint8, rest uint32) {
	st := &s.stats.ICMP
	h := (*header.IPv4)(p.Payload())
	if !s.icmpErrorAllowed(nif, p, h) {
		return
	}
	if !s.icmp.allow(s.now) {
		st.OutRateLimited++
		return
	}
	// RFC 792 wants 8 bytes quoted, RFC 1812 4.3.2.3 as many as fit into 576.
	n := min(p.TotLen(), icmpMaxError-header.IPv4Len-header.ICMPv4Len)
	q := s.alloc(pbuf.LayerTransport, header.ICMPv4Len+n, pbuf.KindRAM)
	if q == nil {
		s.stats.Drops[DropNoBuf]++
		return
	}
	b := q.Payload()
	p.CopyPartial(b[header.ICMPv4Len:], 0)
	m := (*header.ICMPv4)(b)
	m.Encode(typ, code, rest)
	m.SetChecksum(^header.Checksum(b, 0))
	st.OutMsgs++
	switch typ {
	case header.ICMPv4DstUnreachable:
		st.OutDestUnreachs++
	case header.ICMPv4TimeExceeded:
		st.OutTimeExcds++
	case header.ICMPv4ParamProblem:
		st.OutParmProbs++
	}
	// RFC 1122 3.2.1.3, RFC 1812 4.3.2.4: the source is the address that was
	// asked, or that of the interface it leaves by.
	var from header.Addr
	if dst := h.Dst(); s.isLocal(dst) {
		from = dst
	}
	_ = s.ip4Output(q, from, h.Src(), header.ProtoICMP, s.cfg.TTL, 0)
}

// icmpErrorAllowed is RFC 1122 3.2.2: no error is sent about an ICMP error
// message, a packet to a broadcast or multicast address or sent as a link
// broadcast, a fragment other than the first, or one whose source is no single
// host.
func (s *Stack) icmpErrorAllowed(nif *Netif, p *pbuf.Pbuf, h *header.IPv4) bool {
	if p.Flags&(pbuf.LinkBroadcast|pbuf.LinkMulticast) != 0 || h.FragOffset() != 0 {
		return false
	}
	src, dst := h.Src(), h.Dst()
	if dst.IsMulticast() || nif.isBroadcast(dst) || src.IsUnspecified() || src.IsMulticast() ||
		src.IsLoopback() || nif.isBroadcast(src) || src.Uint32()>>28 == 0xf {
		return false
	}
	if h.Protocol() == header.ProtoICMP {
		typ, ok := p.TryGetAt(int(p.L3Len))
		return ok && (typ == header.ICMPv4Echo || typ == header.ICMPv4EchoReply ||
			typ == header.ICMPv4Timestamp || typ == header.ICMPv4TimestampReply)
	}
	return true
}
