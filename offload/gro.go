package offload

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// GRO joins frames of a burst that continue each other, so that the stack has
// fewer to work on (Linux: generic receive offload). It belongs to one thread
// and keeps nothing from one burst to the next. The zero GRO is ready.
type GRO struct {
	// UDP also joins datagrams. What comes of that are packets of several
	// datagrams, which the receiver has to tell apart by SegSize.
	UDP bool
	// Max is how many bytes an IP packet, IPv6 header not counted, of joined TCP
	// segments may have. Default MaxTSO; with more, up to MaxBig, the packets are
	// those of BigTCP.
	Max int

	n     GROStats
	epoch uint32       // of the burst; a slot of another one is empty
	open  int          // flows[:open] are in use
	at    int          // where the frame that is looked at will be, if not joined
	ps    []*pbuf.Pbuf // the burst; those that are left are at its front
	slots [groSlots]groSlot
	flows [groFlows]groFlow
	cur   *groFlow // whose packet began last, if follow is for it
	mask  groMask  // for cur
}

// GROStats counts for a GRO.
type GROStats struct {
	Frames  uint64 // frames that bursts had
	Joined  uint64 // frames that were appended to another
	Packets uint64 // packets of several frames that were made
	BadCsum uint64 // frames whose checksum was found wrong here
}

// Stats are the GRO's counters.
func (g *GRO) Stats() GROStats { return g.n }

const (
	groSlots  = 512 // a power of two; twice the flows, so that most probes hit at once
	groFlows  = 256 // flows with a packet under way
	groProbes = 8
)

// groSlot says at which of the flows a hash is found.
type groSlot struct {
	epoch uint32
	flow  uint16
}

// Burst joins frames of ps and returns those that are left, in ps itself.
//
// Frames have their payload at the Ethernet header, and Meta as the port set
// it. Joined are TCP segments over IPv4 and IPv6, and UDP datagrams if g.UDP
// says so, that nothing but sequence number, identification, lengths and
// checksums tells apart from the one before:
//
//   - MAC addresses, VLAN tag, IP addresses, DSCP and ECN, TTL or hop limit,
//     flow label, DF, ports, acknowledgement number, window, flags and all bytes
//     of the TCP options are equal;
//   - it starts where the one before ends, and carries data: an acknowledgement,
//     with SACK or without, is never joined to anything (RFC 5681 4.2 counts
//     them);
//   - it is no longer than the first; a shorter one is the last, as is one with
//     PSH or FIN; with SYN, RST, URG, or CWR on other than the first, it is
//     joined to none;
//   - IPv4 has no options and is not a fragment, the identification goes up by
//     one a packet or DF is set (RFC 6864 4.1: it has no meaning then); IPv6 has
//     no extension headers;
//   - it has no padding, its IPv4 and its TCP or UDP checksum are right, and UDP
//     has one;
//   - all together is an IP packet of at most g.Max bytes, and at most MaxUSO
//     datagrams.
//
// A frame that is not joined ends what it might have been joined to, so that
// frames of a flow never overtake each other. Nothing is copied: a packet is the
// chain of the buffers of its frames, with the headers of the first only. It has
//
//   - RxLRO, and SegSize, the payload of a frame but for the last;
//   - L2Len, L3Len and L4Len, and in the headers the lengths of the whole, FIN
//     and PSH of the last frame, and a right IPv4 checksum;
//   - RxL4CsumGood, as the checksum of each frame was good by what the port says
//     or was summed here. The field itself holds the sum of the pseudo-header
//     (RxL4Partial), which is what sending it on needs, see Forward;
//   - Hash, Time and all other Meta of the first.
//
// Frames whose checksum was summed here without being joined say so in Flags.
func (g *GRO) Burst(ps []*pbuf.Pbuf) []*pbuf.Pbuf {
	g.n.Frames += uint64(len(ps))
	out := ps[:0]
	g.next()
	g.ps = ps
	for i := 0; i < len(ps); i++ {
		if i += g.follow(ps[i:]); i == len(ps) {
			break
		}
		g.at = len(out)
		if p := ps[i]; !g.take(p) {
			out = append(out, p)
		}
	}
	g.closeAll()
	g.ps = nil
	clear(ps[len(out):])
	return out
}

// next forgets all flows.
func (g *GRO) next() {
	g.open = 0
	if g.epoch++; g.epoch == 0 { // all slots may be of any burst
		g.slots = [groSlots]groSlot{}
		g.epoch = 1
	}
}

// closeAll makes packets of all that is under way.
func (g *GRO) closeAll() {
	for i := range g.flows[:g.open] {
		g.close(&g.flows[i])
	}
	g.next()
}

// close makes the packet of a flow, if one is under way.
func (g *GRO) close(f *groFlow) {
	if f.count > 1 {
		f.finish()
		g.n.Packets++
		g.n.Joined += uint64(f.count - 1)
	}
	f.count = 0
}

// take looks at a frame and reports whether it was joined to an earlier one.
func (g *GRO) take(p *pbuf.Pbuf) bool {
	var s groFrame
	switch s.parse(p, g.UDP) {
	case groOther:
		return false
	case groUnknown:
		g.closeAll()
		return false
	}
	slot, f := g.find(&s)
	if f != nil && f.count != 0 {
		switch {
		case s.able && f.continues(&s) && g.verify(&s) && g.own(f):
			f.add(&s)
			if s.last || s.n < f.seg || f.udp && f.count == MaxUSO {
				g.close(f)
			}
			return true
		default:
			g.close(f)
		}
	}
	if s.able && s.first && g.verify(&s) {
		if f == nil {
			f = g.claim(slot, &s)
		}
		f.begin(&s, g.most(&s))
		f.at = g.at
		g.lead(f)
	}
	return false
}

// most is how many bytes a packet that begins with s may have: IP header and all,
// but not that of IPv6.
func (g *GRO) most(s *groFrame) int {
	if s.udp || !s.v4 && s.p.Headroom() < header.IPv6JumboLen {
		return MaxTSO
	}
	return min(max(g.Max, MaxTSO), MaxBig)
}

// find looks the flow of a frame up. If f is nil there is none, and slot is
// where it may be put: one that is empty, or whose flow has to give way.
func (g *GRO) find(s *groFrame) (slot *groSlot, f *groFlow) {
	h := s.hash()
	for i := range uint32(groProbes) {
		slot = &g.slots[(h+i)%groSlots]
		if slot.epoch != g.epoch {
			return slot, nil
		}
		if f = &g.flows[slot.flow%groFlows]; f.is(s) {
			return slot, f
		}
	}
	return &g.slots[h%groSlots], nil
}

// claim gives the slot that find found a flow: that which it has, closed, or a
// new one.
func (g *GRO) claim(slot *groSlot, s *groFrame) *groFlow {
	if slot.epoch == g.epoch {
		f := &g.flows[slot.flow%groFlows]
		g.close(f)
		return f
	}
	if g.open == groFlows {
		g.closeAll()
		slot = &g.slots[s.hash()%groSlots] // all are empty now: it is found here
	}
	slot.epoch, slot.flow = g.epoch, uint16(g.open)
	g.open++
	return &g.flows[slot.flow%groFlows]
}

// verify reports whether the checksums of a frame are right, and notes in its
// Flags what it found.
func (g *GRO) verify(s *groFrame) bool {
	p := s.p
	if s.v4 && p.Flags&pbuf.RxIPCsumGood == 0 {
		if !(*header.IPv4)(s.b[s.l3:]).VerifyChecksum(s.b[s.l3:s.l4]) {
			p.Flags |= pbuf.RxIPCsumBad
			g.n.BadCsum++
			return false
		}
		p.Flags |= pbuf.RxIPCsumGood
	}
	if p.Flags&pbuf.RxL4CsumGood == 0 {
		if L4Sum(p, s.l4, s.pseudo(s.b, len(s.b[s.l4:s.data])+s.n)) != 0xffff {
			p.Flags |= pbuf.RxL4CsumBad
			g.n.BadCsum++
			return false
		}
		p.Flags |= pbuf.RxL4CsumGood
	}
	return true
}
