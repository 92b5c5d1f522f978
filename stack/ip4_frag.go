package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// ip4Fragment cuts a packet, payload at the IP header, into fragments that fit
// the interface of n and sends them (RFC 791 3.2, ip4_frag). The packet may be a
// fragment itself. All fragments are made before the first is sent: one that is
// missing would make the others worthless. It owns p. ErrMem: no buffers.
func (s *Stack) ip4Fragment(n *neighbor, p *pbuf.Pbuf) error {
	// A checksum that the port was to fill covers more than it will see.
	offload.FinishTx(p, 0)
	h := (*header.IPv4)(p.Payload())
	hdrLen := h.HdrLen()
	var later [header.IPv4MaxLen]byte // header of all fragments but the first
	laterLen := laterHeader(&later, p.Payload()[:hdrLen])
	var frags pbuf.Queue
	base, more := int(h.FragOffset()), h.MoreFragments()
	for off, rest := 0, p.TotLen()-hdrLen; rest > 0; {
		hdr := later[:laterLen]
		if off == 0 {
			hdr = p.Payload()[:hdrLen]
		}
		size := (n.nif.mtu - len(hdr)) &^ 7
		if rest <= n.nif.mtu-len(hdr) {
			size = rest
		}
		rest -= size
		q := s.makeFragment(hdr, p, hdrLen+off, size)
		if q == nil {
			frags.FreeAll()
			s.stats.IP.FragFails++
			s.drop(p, DropNoBuf)
			return ErrMem
		}
		setFragment((*header.IPv4)(q.Payload()), q, base+off, more || rest > 0)
		frags.Push(q)
		off += size
	}
	s.stats.IP.FragOKs++
	s.stats.IP.FragCreates += uint64(frags.Len())
	p.Free()
	for q := frags.Pop(); q != nil; q = frags.Pop() {
		s.neighborOutput(n.nif, n, q, header.EtherTypeIPv4)
	}
	return nil
}

// makeFragment returns a packet of the header hdr and size bytes of p from off
// on, nil if there is no buffer.
func (s *Stack) makeFragment(hdr []byte, p *pbuf.Pbuf, off, size int) *pbuf.Pbuf {
	kind := pbuf.KindRAM
	if len(hdr)+size > s.pool.DataRoom(pbuf.ClassStandard) {
		kind = pbuf.KindPool
	}
	q := s.alloc(pbuf.LayerLink, len(hdr)+size, kind)
	if q == nil {
		return nil
	}
	copy(q.Payload(), hdr)
	q.Flags = p.Flags & flagForwarded
	q.L3Len = uint8(len(hdr))
	skip := len(hdr)
	for part := q; part != nil; part = part.Next() {
		off += p.CopyPartial(part.Payload()[skip:], off)
		skip = 0
	}
	return q
}

// setFragment makes a copied header that of a fragment.
func setFragment(h *header.IPv4, q *pbuf.Pbuf, off int, more bool) {
	h.SetTotalLen(uint16(q.TotLen()))
	h.SetFrag(uint16(off), more, false)
	h.FillChecksum(q.Payload()[:h.HdrLen()])
}

// laterHeader makes the header of all fragments but the first from that of the
// packet: of the options, those with the copied flag (RFC 791 3.1, RFC 1122
// 3.2.1.8), padded to whole words. It returns its length.
func laterHeader(dst *[header.IPv4MaxLen]byte, hdr []byte) int {
	n := copy(dst[:], hdr[:header.IPv4Len])
	for i := header.IPv4Len; i < len(hdr) && hdr[i] != header.IPv4OptEnd; {
		size := 1
		if hdr[i] != header.IPv4OptNOP {
			if i+1 >= len(hdr) || hdr[i+1] < 2 || int(hdr[i+1]) > len(hdr)-i {
				break
			}
			size = int(hdr[i+1])
		}
		if hdr[i]&0x80 != 0 {
			n += copy(dst[n:], hdr[i:i+size])
		}
		i += size
	}
	for ; n%4 != 0; n++ {
		dst[n] = header.IPv4OptEnd
	}
	dst[0] = 4<<4 | byte(n/4)
	return n
}
