package mem

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// Packets that ask to be cut (TSO, USO) travel whole if the other end joins
// packets anyway (LRO, UDPLRO) and nothing happens to frames on the way, as
// between two virtual machines. Else they are cut here.

const (
	// bigHeader is what the longest packet of several segments has beside what is
	// counted in offload.MaxTSO and MaxBig.
	bigHeader = linkHeader + header.IPv6Len
	// maxCut is how many frames one packet may be cut into.
	maxCut = 2048

	cutFlags  = pbuf.TxTSO | pbuf.TxUSO
	csumFlags = pbuf.TxIPCsum | pbuf.TxTCPCsum | pbuf.TxUDPCsum
)

// bigSender is what a sending queue has for such packets.
type bigSender struct {
	whole pbuf.Flags   // of cutFlags: what the other end takes whole
	most  int          // bytes that this may have
	have  offload.Caps // of checksums: what is left open in frames
	seg   offload.Segmenter
	out   [maxCut]*pbuf.Pbuf
}

// newBigSender makes one for the direction to peer, nil if the end with own
// never asks for it.
func newBigSender(own, peer offload.Caps, clean bool, finish pbuf.Flags) *bigSender {
	if own&(offload.TSO|offload.USO) == 0 {
		return nil
	}
	b := &bigSender{have: offload.MultiSeg, most: bigHeader + offload.MaxTSO}
	if own.Has(offload.BigTCP) && peer.Has(offload.BigTCP) {
		b.most = bigHeader + offload.MaxBig
	}
	if finish == 0 {
		b.have |= offload.TxCsum
		if clean && peer.Has(offload.LRO) {
			b.whole |= pbuf.TxTSO
		}
		if clean && peer.Has(offload.UDPLRO) {
			b.whole |= pbuf.TxUSO
		}
	}
	return b
}

// sendBig is send for packets that ask to be cut.
func (q *queue) sendBig(p *pbuf.Pbuf, now int64, hint int) outcome {
	l, c := q.to[0], completion{time: now}
	if q.end.peer.hasher != nil {
		l = q.steer(p, &c)
	}
	n := offload.SegCount(p)
	size := int(p.L2Len) + offload.SegNetLen(p) // of the longest frame
	if uint(size-minFrame) > q.span || p.SegSize == 0 {
		q.refuse(l, size)
		return copied
	}
	if lens, ok := packLens(p); ok && n > 1 && p.Flags&cutFlags&^q.big.whole == 0 && p.TotLen() <= q.big.most {
		if q.pause && l.buffers() < l.needBig(p.TotLen()) {
			return refused
		}
		q.n.TxPackets++
		q.n.TxBytes += uint64(p.TotLen())
		l.scatterBig(p, c, lens)
		return copied
	}
	if q.pause {
		need := n * l.need(size)
		if need > l.depth { // would be waited for until the end of days
			q.n.TxErrors++
			return copied
		}
		if l.buffers() < need {
			return refused
		}
	}
	q.sendCut(p, now, hint)
	return copied
}

// sendCut cuts a packet and sends the frames. There are buffers if q.pause.
func (q *queue) sendCut(p *pbuf.Pbuf, now int64, hint int) {
	b := q.big
	before := b.seg.Stats().NoBuf
	n, ok := b.seg.Segment(p, b.have, b.out[:])
	if !ok {
		if b.seg.Stats().NoBuf != before {
			q.n.TxDropped++
		} else {
			q.n.TxErrors++
		}
		return
	}
	for i, f := range b.out[:n] {
		if q.send(f, now, hint+n-i) != handed {
			f.Free()
		}
	}
}

// packLens puts SegSize and header lengths into the 32 bits that a completion
// has for them.
func packLens(p *pbuf.Pbuf) (lens uint32, ok bool) {
	if p.L2Len > 126 || p.L2Len&1 != 0 || p.L3Len > 252 || p.L3Len&3 != 0 || p.L4Len > 60 || p.L4Len&3 != 0 {
		return 0, false
	}
	return uint32(p.SegSize)<<16 | uint32(p.L4Len>>2)<<12 | uint32(p.L3Len>>2)<<6 | uint32(p.L2Len>>1), true
}

// applyLens sets the Meta of a big packet that has arrived.
func applyLens(p *pbuf.Pbuf, lens uint32) {
	p.SegSize = uint16(lens >> 16)
	p.L4Len, p.L3Len, p.L2Len = uint8(lens>>12&15<<2), uint8(lens>>6&63<<2), uint8(lens&63<<1)
	p.Flags |= pbuf.RxLRO | pbuf.RxL4Partial
}

// needBig is how many buffers a big packet of n bytes takes: at least two, as
// the completion of the first has no room for both hash and lengths.
func (l *txLink) needBig(n int) int { return max(l.need(n), 2) }

// scatterBig is put for a big packet, whose lengths go into the first completion
// in place of the hash.
func (l *txLink) scatterBig(p *pbuf.Pbuf, c completion, lens uint32) {
	left := p.TotLen()
	need := l.needBig(left)
	if l.have < need {
		l.have += l.fill.PopBatch(l.stock[l.have:])
		if l.have < need {
			l.lost++
			return
		}
	}
	flags, hash := c.info|infoLRO, c.hash
	c.hash = lens
	most := min(l.room, (left+1)/2) // of the first
	for off := 0; left > 0; most = l.room {
		l.have--
		c.buf = l.stock[l.have]
		dst := target(c.buf, min(left, most))
		p, off = gather(dst, p, off)
		left -= len(dst)
		c.info = flags | uint32(len(dst))
		if left > 0 {
			c.info |= infoMore
		}
		l.push(c)
		c.hash = hash
	}
}
