package offload

import (
	"encoding/binary"

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
	if p.Flags&pbuf.TxTSO == 0 || !c.start(g.hdr[:], p, have) {
		return 0, false
	}
	if n = c.fits(out); n == 0 {
		return 0, false
	}
	c.template()
	p.RemoveHeader(c.jumbo)
	p.L3Len -= uint8(c.jumbo)
	p.SegSize = 0
	m := p.Meta
	c.edge(p, 0, &m, n == 1)
	if n > 1 {
		c.middles(out[1:n-1], &m)
		c.edge(out[n-1], len(c.hdr), &m, true)
	}
	g.n.Packets++
	g.n.Frames += uint64(n)
	return n, true
}

// fits puts the buffers of a packet that is laid out for InPlace in out, and
// returns how many they are: 0 if it is not, or if there are more than len(out).
func (c *cutter) fits(out []*pbuf.Pbuf) (n int) {
	h := len(c.hdr)
	if len(out) == 0 || c.p.Len() != h+c.jumbo+min(c.mss, c.left) {
		return 0
	}
	out[0] = c.p
	left := c.left - min(c.mss, c.left)
	n = 1
	for q := c.p.Next(); q != nil; q = q.Next() {
		k := q.Len()
		if n == len(out) || k != min(c.mss, left) || q.Headroom() < h || q.Shared() {
			return 0
		}
		left -= k
		out[n] = q
		n++
	}
	return n
}

// edge makes the first or the last of the frames, in front of which there is room
// for grow bytes.
func (c *cutter) edge(f *pbuf.Pbuf, grow int, m *pbuf.Meta, last bool) {
	h := len(c.hdr)
	b := f.Detach(grow)
	sum := c.dataSum(f, b[h:])
	c.mark(f, m)
	putHeaders(b, c.hdr)
	c.finish(b[:h], len(b)-h, sum, c.takeFlags(grow == 0, last))
}

// mark gives f the Meta and Time of the packet, but for what is f's own.
func (c *cutter) mark(f *pbuf.Pbuf, m *pbuf.Meta) {
	hash, sum := f.Hash, f.Flags&pbuf.TxDataSum
	f.Meta = *m
	f.Hash, f.Flags = hash, c.flags|sum
	f.Time = c.p.Time
}

// middles is edge for frames that are neither the first nor the last, and have a full
// segment each: they begin with a copy of the template.
func (c *cutter) middles(fs []*pbuf.Pbuf, m *pbuf.Meta) {
	hdr, id, seq := c.hdr, c.id, c.seq
	h := len(hdr)
	for _, f := range fs {
		b := f.Detach(h)
		sum, ok := f.DataSum(len(b) - h)
		if !ok || !c.sumL4 {
			sum = c.dataSum(f, b[h:])
		}
		c.mark(f, m)
		putHeaders(b, hdr)
		if c.v4 {
			ip := (*header.IPv4)(b[c.l3:])
			ip.SetID(id)
			if c.sumIP {
				ip.SetChecksum(^header.CombineChecksum(c.midIP, id))
			}
			id++
		}
		tcp := (*header.TCP)(b[c.l4:])
		tcp.SetSeq(seq)
		if c.sumL4 {
			tcp.SetChecksum(^fold32(uint32(c.midL4) + uint32(sum) + uint32(seq>>16) + uint32(seq&0xffff)))
		}
		seq += header.Seq(c.mss)
	}
	c.id, c.seq = id, seq
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

// putHeaders copies hdr, of 32 to 128 bytes as all TCP's are, to the front of b,
// which is as long at least: in pieces that may overlap, in words. (A copy of an array
// makes the compiler of Go 1.26 fail if it is inlined: it does not expect the
// addresses of off-heap memory there.)
func putHeaders(b, hdr []byte) {
	if len(hdr) > 64 {
		put32((*[32]byte)(b), (*[32]byte)(hdr))
		put32((*[32]byte)(b[32:]), (*[32]byte)(hdr[32:]))
		k := min(64, len(hdr)-32)
		b, hdr = b[k:], hdr[k:]
	}
	k := len(hdr) - 32
	put32((*[32]byte)(b), (*[32]byte)(hdr))
	put32((*[32]byte)(b[k:]), (*[32]byte)(hdr[k:]))
}

func put32(dst, src *[32]byte) {
	le := binary.LittleEndian
	le.PutUint64(dst[0:], le.Uint64(src[0:]))
	le.PutUint64(dst[8:], le.Uint64(src[8:]))
	le.PutUint64(dst[16:], le.Uint64(src[16:]))
	le.PutUint64(dst[24:], le.Uint64(src[24:]))
}
