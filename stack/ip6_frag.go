package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// ip6Fragment cuts a packet of ours, payload at the IPv6 header, into fragments
// of at most mtu bytes and sends them (RFC 8200 4.5, ip6_frag). All fragments are
// made before the first is sent: one that is missing would make the others
// worthless. It owns p. ErrMem: no buffers.
func (s *Stack) ip6Fragment(n *neighbor, p *pbuf.Pbuf, mtu int) error {
	// A checksum that the port was to fill covers more than it will see.
	offload.FinishTx(p, 0)
	const hdrLen = header.IPv6Len + header.IPv6FragmentLen
	var hdr [hdrLen]byte
	h := (*header.IPv6)(hdr[:])
	p.CopyPartial(hdr[:header.IPv6Len], 0)
	next := h.NextHeader()
	h.SetNextHeader(header.ProtoFragment)
	id := s.ip6FragmentID(h.Src(), h.Dst())
	var frags pbuf.Queue
	for off, rest := 0, p.TotLen()-header.IPv6Len; rest > 0; {
		size := min(rest, (mtu-hdrLen)&^7)
		if rest <= mtu-hdrLen {
			size = rest
		}
		rest -= size
		h.SetPayloadLen(uint16(header.IPv6FragmentLen + size))
		(*header.IPv6Fragment)(hdr[header.IPv6Len:]).Encode(next, uint16(off), rest > 0, id)
		q := s.makeFragment(hdr[:], p, header.IPv6Len+off, size)
		if q == nil {
			frags.FreeAll()
			s.stats.IP6.FragFails++
			s.drop(p, DropNoBuf)
			return ErrMem
		}
		frags.Push(q)
		off += size
	}
	s.stats.IP6.FragOKs++
	s.stats.IP6.FragCreates += uint64(frags.Len())
	p.Free()
	for q := frags.Pop(); q != nil; q = frags.Pop() {
		s.neighborOutput(n.nif, n, q, header.EtherTypeIPv6)
	}
	return nil
}

// ip6FragmentID gives the identification of the next packet to be cut: a counter
// that begins somewhere else for each pair of addresses, which nobody can guess
// without the secret (RFC 7739 5.3).
func (s *Stack) ip6FragmentID(src, dst header.Addr) uint32 {
	s.ip6ID++
	k := &s.tcp.isnKey
	return uint32(flowHash64(k[1], k[2], flowEnds{local: src, remote: dst})) + s.ip6ID
}

// pmtuSlots is how many paths' MTUs are known; a later one takes the place of one
// that happens to be where it belongs, which is then learned anew.
const pmtuSlots = 1024

// pmtuAge is how long an MTU is believed, so that a path that has become better
// is found (RFC 8201 4: not under 5 min, 10 recommended).
const pmtuAge = 10 * 60 * 1_000_000_000

// pmtuEntry is the MTU of the path to a destination.
type pmtuEntry struct {
	dst   header.Addr
	until int64
	mtu   int
}

func (s *Stack) pmtuSlot(dst header.Addr) *pmtuEntry {
	h := (dst.Hi() ^ dst.Lo()) * 0x9e3779b97f4a7c15
	return &s.pmtu[h>>32%pmtuSlots]
}

// pathMTU6 is the longest packet that gets from nif to dst, as far as is known
// (RFC 8201 4).
func (s *Stack) pathMTU6(nif *Netif, dst header.Addr) int {
	mtu := nif.mtu6()
	if s.pmtu != nil {
		if e := s.pmtuSlot(dst); e.dst == dst && s.now < e.until {
			mtu = min(mtu, e.mtu)
		}
	}
	return mtu
}

// pmtuLearn takes the MTU of a path that a router has reported. Under 1280 it is
// not believed (RFC 8201 4).
func (s *Stack) pmtuLearn(dst header.Addr, mtu int) bool {
	if mtu < header.IPv6MinMTU {
		return false
	}
	if s.pmtu == nil {
		s.pmtu = new([pmtuSlots]pmtuEntry)
	}
	e := s.pmtuSlot(dst)
	if e.dst == dst && s.now < e.until && e.mtu <= mtu {
		return false // RFC 8201 4: never up
	}
	*e = pmtuEntry{dst: dst, until: s.now + pmtuAge, mtu: mtu}
	return true
}

// pathMSS6 is what a segment of the connection may carry, so that it is not cut on
// an IPv6 path that is known to be narrow (RFC 8201 5.4).
func (t *TCP) pathMSS6() int {
	if t.remote.Is4() || t.nif == nil {
		return header.IPv4MaxAll
	}
	return t.s.pathMTU6(t.nif, t.remote) - header.IPv6Len - header.TCPLen
}

// pathMTU is the longest packet that gets from nif to dst, as far as is known.
func (s *Stack) pathMTU(nif *Netif, dst header.Addr) int {
	if dst.Is4() {
		return nif.mtu
	}
	return s.pathMTU6(nif, dst)
}
