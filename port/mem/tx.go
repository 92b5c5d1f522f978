package mem

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// minFrame is the shortest frame, a header. A card would pad frames to 60 bytes;
// the wire does not.
const minFrame = header.EthernetLen

// TxBurst copies the frames to the other end and frees them. It takes all of ps
// unless Config.Pause is set and the other end lacks buffers.
func (e *End) TxBurst(qi int, now int64, ps []*pbuf.Pbuf) int {
	q := e.queues[qi]
	if len(ps) == 0 {
		return 0
	}
	if q.gate.Move(gateOpen, gateBusy) {
		ps = ps[:q.sendBurst(now, ps)]
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

// sendBurst sends frames until the receiver pauses us, and returns how many.
// With one link, no hash and no impairment most are a copy and a completion; all
// that is not simple is left to send.
func (q *queue) sendBurst(now int64, ps []*pbuf.Pbuf) int {
	l := q.to[0]
	span, bytes, frames := min(q.span, uint(l.room-minFrame)), 0, 0
	n := 0
	for ; n < len(ps); n++ {
		p, hint := ps[n], len(ps)-n
		size := p.Len()
		if q.plain && size == p.TotLen() && uint(size-minFrame) <= span && p.Flags&q.finish == 0 && l.ready(hint) {
			l.dma(p, completion{time: now})
			bytes += size
			frames++
			continue
		}
		if !q.send(p, now, hint) {
			break
		}
	}
	q.n.TxPackets += uint64(frames)
	q.n.TxBytes += uint64(bytes)
	return n
}

// send passes a frame to the link it belongs to; hint is how many frames are
// left of the burst. False: the receiver pauses us.
func (q *queue) send(p *pbuf.Pbuf, now int64, hint int) bool {
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
