package stack

import (
	"github.com/shardstack/shardstack/header"
)

// ackInput takes the ACK field of an acceptable segment (RFC 9293 3.10.7.4,
// fifth step; RFC 5681 3.2; RFC 6582). False: the segment is dealt with.
func (t *TCP) ackInput(in *inSegment) bool {
	s := t.s
	if in.ack.Greater(t.sndMax) {
		// Acknowledges what was never sent: answer with an ACK. RFC 5961 5
		// makes it count against the challenge limit.
		t.challengeAck()
		in.reject(s, DropTCPAck)
		return false
	}
	if in.ack.Less(t.sndUna) {
		// RFC 5961 5.2: older than a window ago is an attack or a ghost.
		if t.sndUna.Sub(in.ack) > t.sndWndMax {
			t.challengeAck()
			in.reject(s, DropTCPAck)
			return false
		}
		t.oldBlocks(in)
		return true // an old ACK, but its data may be good
	}
	wnd := in.wnd << (t.sndScale & 31)
	dup := in.ack == t.sndUna && in.n == 0 && wnd == t.sndWnd && t.sndMax != t.sndUna &&
		in.flags&(header.TCPSyn|header.TCPFin) == 0 // RFC 5681 2
	t.updateSendWindow(wnd, in)
	if in.n == 0 {
		s.stats.TCP.PureAcksIn++
	}
	if dup {
		s.stats.TCP.DupAcksIn++
	}
	blocks := in.opts.SACK[:in.opts.NSACK]
	switch {
	case t.flags&tfLoss != 0 || (dup || len(blocks) != 0) && t.flags&tfPersist == 0 && t.sndMax != t.sndUna:
		t.ackLossy(in.ack, in.opts.TSEcr, blocks, dup)
	case in.ack.Greater(t.sndUna):
		t.ackAdvance(in.ack, in.opts.TSEcr)
	}
	return t.s != nil
}

// updateSendWindow takes the segment's window if the segment is newer than
// the one that set it last (RFC 9293 3.10.7.4: SND.WL1, SND.WL2).
func (t *TCP) updateSendWindow(wnd uint32, in *inSegment) {
	if t.sndWl1.Less(in.seq) || t.sndWl1 == in.seq && t.sndWl2.LessEq(in.ack) {
		t.setSendWindow(wnd, in)
	}
}

func (t *TCP) setSendWindow(wnd uint32, in *inSegment) {
	t.sndWl1, t.sndWl2 = in.seq, in.ack
	t.sndWnd = wnd
	if wnd > t.sndWndMax {
		t.sndWndMax = wnd
	}
	if t.flags&tfPersist != 0 && wnd != 0 {
		t.stopPersist()
	}
}

// ackAdvance takes an acknowledgement of new data: frees what it covers, cuts
// a segment that it covers in part, samples the round trip, moves the
// congestion window, restarts the timer and tells the user.
func (t *TCP) ackAdvance(ack header.Seq, tsEcr uint32) {
	if t.flags&tfLoss != 0 {
		t.ackLossy(ack, tsEcr, nil, false)
		return
	}
	var a *AckSample
	if !t.ccUnused(ack) {
		a = t.ackSample()
		a.Acked = ack.Sub(t.sndUna)
		a.Delivered, a.Flight = a.Acked, t.sndMax.Sub(ack)
	}
	data := t.freeAcked(ack, tsEcr)
	t.sndUna = ack
	if t.sndNxt.Less(ack) { // after a timeout: the peer had more than we thought
		t.sndNxt = ack
	}
	t.nrtx = 0
	t.flags &^= tfSoftError
	t.rtt.backoff = 0
	if a != nil {
		t.ccAck(a)
	}
	if ack == t.sndMax {
		t.flags &^= tfTLP | tfReoTimer
		t.rtxAt = 0
	} else {
		t.restartRtx()
	}
	if data == 0 {
		return
	}
	t.sndBuf += data
	if fn := t.sent; fn != nil && t.flags&tfDetached == 0 {
		_ = fn(t.arg, t, int(data))
	}
}

// freeAcked frees the queued segments that ack covers and returns how many
// bytes of data those were.
func (t *TCP) freeAcked(ack header.Seq, tsEcr uint32) (data uint32) {
	if p := t.sndq.Head(); p != nil && ack == t.sndMax && t.sndq.Len() == 1 && t.flags&(tfLoss|tfOwnCC) == 0 {
		// A request, an answer, SYN or FIN that was sent once and is all there is.
		if g := seg(p); g.tx == 1 && !g.apart && g.mark&segSacked == 0 && t.unsent == nil {
			data = g.n
			t.sampleRTT(t.s.now - g.sentAt)
			t.sndq.Pop()
			p.Free()
			return data
		}
	}
	filled := false // a hole
	for p := t.sndq.Head(); p != nil; p = t.sndq.Head() {
		g := seg(p)
		if g.end().Greater(ack) {
			if g.seq.Less(ack) {
				if g.mark&segSacked == 0 {
					t.segAcked(g, ack)
				}
				n := t.trimAcked(ack)
				data += n
				if t.flags&tfLoss != 0 {
					t.scoreAcked(g, n)
				}
			}
			break
		}
		// RFC 6298 3 (Karn): only segments that were sent once give samples, and of
		// these only such as did not wait for the one before.
		if g.mark&segSacked == 0 {
			if g.tx == 1 {
				if !filled {
					t.sampleRTT(t.s.now - g.sentAt)
				}
			} else if filled = true; t.flags&tfTimestamps != 0 && tsEcr != 0 {
				t.sampleTimestamp(tsEcr)
			}
			t.segAcked(g, ack)
		}
		if t.flags&tfLoss != 0 {
			t.scoreAcked(g, g.seqLen())
			t.cold.loss.forget(p)
		}
		data += g.n
		if p == t.unsent {
			t.unsent = p.QNext()
		}
		t.sndq.Pop()
		if g.apart {
			g.parts.Free()
		}
		p.Free()
	}
	return data
}

// sampleTimestamp takes a round trip from an echoed timestamp: the only way
// for segments that were retransmitted (RFC 7323 4.1).
func (t *TCP) sampleTimestamp(tsEcr uint32) {
	ticks := t.s.tsNow + t.tsOffset - tsEcr
	if int32(ticks) >= 0 {
		t.rtt.sample(int64(ticks) << 20) // too coarse for the controller
	}
}

// sampleRTT takes a round trip in ns.
func (t *TCP) sampleRTT(ns int64) {
	t.rtt.sample(ns)
	t.s.tcp.ack.RTT = ns
}

// trimAcked cuts the acknowledged front off the first queued segment, so that
// a retransmission sends only the rest. A segment that the port still holds
// stays as it is. It returns the bytes cut.
func (t *TCP) trimAcked(ack header.Seq) uint32 {
	p := t.sndq.Head()
	g := seg(p)
	n := ack.Sub(g.seq)
	apart := g.apart && t.flags&tfLoss == 0
	if p.RefCount() > 1 && !apart || g.flags&header.TCPSyn != 0 || n > g.n {
		return 0
	}
	tx, sacked, sentAt, done := g.tx, g.mark&segSacked != 0, g.sentAt, uint32(0)
	if apart {
		done = t.trimParts(n)
		p = t.sndq.Head()
		g = seg(p)
	}
	if rest := n - done; rest != 0 && !held(p, g) {
		t.stripHeaders(p, g)
		p.TrimFront(int(rest))
		g.seq, g.n, g.sumOK = ack, g.n-rest, false
		g.run = false
		done = n
	}
	if done == 0 {
		return 0
	}
	if tx == 1 && !sacked { // the first of a big segment have arrived: that is a round trip
		t.rtt.sample(t.s.now - sentAt)
	}
	if h := t.s.hooks.TCPPartialAck; h != nil {
		h(t, int(done))
	}
	return done
}
