package mem

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// minFrame is the shortest frame, a header. A card would pad frames to 60 bytes;
// the wire does not.
const minFrame = header.EthernetLen

// TxBurst copies the frames to the other end and frees them, or hands them over. It
// takes all of ps unless Config.Pause is set and the other end lacks buffers.
func (e *End) TxBurst(qi int, now int64, ps []*pbuf.Pbuf) int {
	q := e.queues[qi]
	if len(ps) == 0 {
		return 0
	}
	for _, c := range q.homes {
		c.take()
	}
	n, from := len(ps), 0
	if q.gate.Move(gateOpen, gateBusy) {
		n, from = q.sendBurst(now, ps)
		for _, l := range q.to {
			l.flush()
		}
		q.gate.Store(gateOpen)
	} else {
		q.n.TxDropped += uint64(len(ps)) // the link is down
	}
	pbuf.FreeBatch(ps[from:n])
	q.publish()
	return n
}

// sendBurst sends frames until the receiver pauses us, and returns how many, of
// which those from from on are to be freed. With one link, no hash and no
// impairment most are a copy and a completion, or are handed over; all that is not
// simple is left to send.
func (q *queue) sendBurst(now int64, ps []*pbuf.Pbuf) (n, from int) {
	l := q.to[0]
	if len(q.homes) == 0 {
		return q.copyBurst(l, now, ps), 0
	}
	span, bytes, frames := min(q.span, uint(l.room-minFrame)), 0, 0
	for n < len(ps) {
		p, hint := ps[n], len(ps)-n
		size := p.Len()
		did := undone
		if q.plain && size >= copyBreak {
			k, m, next := q.hand(l, ps[n:], now)
			if k != 0 {
				frames += k
				bytes += m
				pbuf.FreeBatch(ps[from:n])
				n += k
				from = n
				continue
			}
			did = next
		}
		if did == undone && q.plain && size == p.TotLen() && uint(size-minFrame) <= span && p.Flags&q.finish == 0 && l.ready(hint) {
			l.dma(p, completion{time: now})
			bytes += size
			frames++
			n++
			continue
		}
		if did == undone {
			did = q.send(p, now, hint)
		}
		if did == refused {
			break
		}
		if did == handed {
			pbuf.FreeBatch(ps[from:n])
			from = n + 1
		}
		n++
	}
	q.n.TxPackets += uint64(frames)
	q.n.TxBytes += uint64(bytes)
	return n, from
}

// copyBurst is sendBurst where nothing is handed over.
func (q *queue) copyBurst(l *txLink, now int64, ps []*pbuf.Pbuf) (n int) {
	span, bytes, frames := min(q.span, uint(l.room-minFrame)), 0, 0
	for ; n < len(ps); n++ {
		p, hint := ps[n], len(ps)-n
		size := p.Len()
		if q.plain && size == p.TotLen() && uint(size-minFrame) <= span && p.Flags&q.finish == 0 && l.ready(hint) {
			l.dma(p, completion{time: now})
			bytes += size
			frames++
			continue
		}
		if q.send(p, now, hint) == refused {
			break
		}
	}
	q.n.TxPackets += uint64(frames)
	q.n.TxBytes += uint64(bytes)
	return n
}

// send passes a frame to the link it belongs to; hint is how many frames are
// left of the burst.
func (q *queue) send(p *pbuf.Pbuf, now int64, hint int) outcome {
	if p.Flags&q.finish&cutFlags != 0 {
		return q.sendBig(p, now, hint)
	}
	n := p.TotLen()
	l, c := q.to[0], completion{time: now}
	if q.end.peer.hasher != nil {
		l = q.steer(p, &c)
	}
	if uint(n-minFrame) > q.span {
		q.refuse(l, n)
		return copied
	}
	did := undone
	if l.home != nil && !q.plain && n >= copyBreak && n == p.Len() {
		if p.Flags&q.finish != 0 {
			offload.FinishTx(p, 0)
		}
		did = q.handOne(l, p, c)
	}
	if did == refused || did == undone && q.pause && l.buffers() < l.need(n) {
		return refused
	}
	q.n.TxPackets++
	q.n.TxBytes += uint64(n)
	if did == handed {
		return did
	}
	if p.Flags&q.finish != 0 {
		offload.FinishTx(p, 0)
	}
	if q.impair != nil {
		q.impair.send(q, l, p, c)
		return copied
	}
	l.put(p, c, hint)
	return copied
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
