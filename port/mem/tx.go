package mem

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

const (
	// minFrame is the shortest frame, a header. A card would pad frames to 60
	// bytes; the wire does not.
	minFrame = header.EthernetLen
	// frameHead is how many bytes of a frame are looked at to hash it: enough
	// for two tags, IPv6 with some extension headers, and ports.
	frameHead = 256
)

// TxBurst copies the frames to the other end and frees them. It takes all of ps
// unless Config.Pause is set and the other end lacks buffers.
func (e *End) TxBurst(qi int, now int64, ps []*pbuf.Pbuf) int {
	q := e.queues[qi]
	if len(ps) == 0 {
		return 0
	}
	if q.gate.Move(gateOpen, gateBusy) {
		if q.plain {
			if q.pause {
				ps = ps[:q.to[0].fits(ps)]
			}
			q.sendPlain(q.to[0], now, ps)
		} else {
			for i, p := range ps {
				if !q.send(p, now, len(ps)-i) {
					ps = ps[:i]
					break
				}
			}
		}
		for _, l := range q.to {
			l.flush()
		}
		q.gate.Store(gateOpen)
	} else {
		q.n.TxDropped += uint64(len(ps)) // the link is down
	}
	pbuf.FreeBatch(ps)
	q.publish()
	return len(ps)
}

// sendPlain is send for a burst, where there is one link, no hash and no
// impairment: most frames are then a copy and a completion.
func (q *queue) sendPlain(l *txLink, now int64, ps []*pbuf.Pbuf) {
	span, bytes, frames := min(q.span, uint(l.room-minFrame)), 0, 0
	for i, p := range ps {
		n := p.Len()
		if n != p.TotLen() || uint(n-minFrame) > span || p.Flags&q.finish != 0 || !l.ready(len(ps)-i) {
			q.send(p, now, len(ps)-i)
			continue
		}
		l.dma(p, completion{time: now})
		bytes += n
		frames++
	}
	q.n.TxPackets += uint64(frames)
	q.n.TxBytes += uint64(bytes)
}

// send passes a frame to the link it belongs to; hint is how many frames are
// left of the burst. False: the receiver pauses us.
func (q *queue) send(p *pbuf.Pbuf, now int64, hint int) bool {
	n := p.TotLen()
	l, c := q.to[0], completion{time: now}
	if q.end.peer.hasher != nil {
		l = q.steer(p, &c)
	}
	if uint(n-minFrame) > q.span {
		q.refuse(l, n)
		return true
	}
	if q.pause && l.buffers() < l.need(n) {
		return false
	}
	q.n.TxPackets++
	q.n.TxBytes += uint64(n)
	if p.Flags&q.finish != 0 {
		offload.FinishTx(p, 0)
	}
	if q.impair != nil {
		q.impair.send(q, l, p, c)
		return true
	}
	l.put(p, c, hint)
	return true
}

// steer hashes a frame and picks the link by the receiver's RETA.
func (q *queue) steer(p *pbuf.Pbuf, c *completion) *txLink {
	b := p.Payload()
	if p.TotLen() > len(b) && len(b) < frameHead {
		b = q.head[:p.CopyPartial(q.head[:], 0)]
	}
	peer := q.end.peer
	hash, kind := peer.hasher.HashFrame(b)
	if kind != 0 {
		c.hash = hash
		c.info = infoHash
	}
	return q.to[peer.rss.RETA.Queue(hash)]
}

// refuse counts a frame whose length one of the ends does not take.
func (q *queue) refuse(l *txLink, n int) {
	if n < minFrame || n > q.end.maxFrame {
		q.n.TxErrors++
		return
	}
	q.n.TxPackets++
	q.n.TxBytes += uint64(n)
	l.refused.Inc()
}
