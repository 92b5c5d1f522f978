package offload

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// InPlace is Segment for a packet whose buffers are the frames to be but for
// their headers, as pbuf.AllocRun lays them out: the first has the headers and
// SegSize bytes of payload, all behind it SegSize bytes, the last what is left,
// and there is room for headers in front of each. No buffer is taken and no
// payload copied: the headers are put in front of each buffer's payload, and the
// chain is taken apart (pbuf.Spread). Sums of payload that were kept (TxDataSum)
// are not made again, and stay with the buffers.
//
// All frames are single buffers. The caller's one reference to p is one to each
// of them; others' references to p are to the first only. ok is false, and
// nothing is changed or counted, if p is not laid out like that, if a buffer
// behind the first has other holders, if out is too short, or if p can't be cut.
func (g *Segmenter) InPlace(p *pbuf.Pbuf, have Caps, out []*pbuf.Pbuf) (n int, ok bool) {
	var c cutter
	if p.Flags&pbuf.TxTSO == 0 || !c.start(g.hdr[:], p, have) || !c.fits(len(out)) {
		return 0, false
	}
	n = p.Spread(out)
	c.template()
	p.RemoveHeader(c.jumbo)
	p.L3Len -= uint8(c.jumbo)
	for i, f := range out[:n] {
		b := f.Payload()
		if i != 0 {
			f.AddHeader(len(c.hdr))
			b = f.Payload()
			f.VLAN, f.L2Len, f.L3Len, f.L4Len, f.Netif = p.VLAN, p.L2Len, p.L3Len, p.L4Len, p.Netif
			f.Time = p.Time
		}
		putHeaders(b, c.hdr)
		sum := c.dataSum(f, b[len(c.hdr):])
		f.Flags, f.SegSize = c.flags|f.Flags&pbuf.TxDataSum, 0
		if i == 0 || i == n-1 {
			k := len(b) - len(c.hdr)
			c.finish(b[:len(c.hdr)], k, sum, c.takeFlags(i == 0, i == n-1))
			continue
		}
		c.middle(b, sum)
	}
	g.n.Packets++
	g.n.Frames += uint64(n)
	return n, true
}

// fits reports whether the packet is laid out for InPlace, in at most most
// buffers.
func (c *cutter) fits(most int) bool {
	h := len(c.hdr)
	if c.p.Len() != h+c.jumbo+min(c.mss, c.left) {
		return false
	}
	left := c.left - min(c.mss, c.left)
	for q := c.p.Next(); q != nil; q = q.Next() {
		if most--; most == 0 || q.Len() != min(c.mss, left) || q.Headroom() < h || q.Shared() {
			return false
		}
		left -= q.Len()
	}
	return most > 0
}

// dataSum is the sum of the payload b of frame f, which keeps it. It is 0 if the
// port is to sum.
func (c *cutter) dataSum(f *pbuf.Pbuf, b []byte) uint16 {
	if !c.sumL4 {
		return 0
	}
	sum, ok := f.DataSum(len(b))
	if !ok {
		sum = header.Checksum(b, 0)
		f.SetDataSum(sum, len(b))
	}
	return sum
}

// template puts into hdr what the frames between the first and the last have in
// common, and into ipSum, l4Sum and pseudo what that adds to the sums. Those two
// have the fields rewritten by finish.
func (c *cutter) template() {
	c.flags &^= pbuf.TxDataSum
	flags := c.takeFlags(false, false)
	l4Len := len(c.hdr) - c.l4 + c.mss
	total := uint16(c.l4 - c.l3 + l4Len)
	if c.v4 {
		(*header.IPv4)(c.hdr[c.l3:]).SetTotalLen(total)
		c.midIP = header.CombineChecksum(c.ipSum, total)
	} else {
		(*header.IPv6)(c.hdr[c.l3:]).SetPayloadLen(total - header.IPv6Len)
	}
	tcp := (*header.TCP)(c.hdr[c.l4:])
	tcp.SetFlags(flags)
	if c.sumL4 {
		c.midL4 = fold32(uint32(c.l4Sum) + uint32(lengthSum(l4Len)) + uint32(flags))
	} else {
		tcp.SetChecksum(header.CombineChecksum(c.pseudo, lengthSum(l4Len)))
	}
}

// middle is finish for a frame that is neither the first nor the last, and has a
// full segment: b begins with a copy of the template.
func (c *cutter) middle(b []byte, sum uint16) {
	if c.v4 {
		ip := (*header.IPv4)(b[c.l3:])
		ip.SetID(c.id)
		if c.sumIP {
			ip.SetChecksum(^header.CombineChecksum(c.midIP, c.id))
		}
		c.id++
	}
	tcp := (*header.TCP)(b[c.l4:])
	tcp.SetSeq(c.seq)
	if c.sumL4 {
		tcp.SetChecksum(^fold32(uint32(c.midL4) + uint32(sum) + uint32(c.seq>>16) + uint32(c.seq&0xffff)))
	}
	c.seq += header.Seq(c.mss)
}

// putHeaders copies hdr, of 32 to 128 bytes as all TCP's are, to the front of b,
// which is as long at least: in two pieces that overlap, of a length that the
// compiler knows. Inlined, it makes the compiler of Go 1.26 fail, which does not
// expect the addresses of off-heap memory there.
//
//go:noinline
func putHeaders(b, hdr []byte) {
	n := len(hdr)
	if n < 64 {
		*(*[32]byte)(b) = *(*[32]byte)(hdr)
		*(*[32]byte)(b[n-32:]) = *(*[32]byte)(hdr[n-32:])
		return
	}
	*(*[64]byte)(b) = *(*[64]byte)(hdr)
	*(*[64]byte)(b[n-64:]) = *(*[64]byte)(hdr[n-64:])
}
