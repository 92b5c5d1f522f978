package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// Where package offload cuts what TCP sends, a big segment is laid out as the
// frames that it will be: a run, each MSS of data in a buffer of its own, with
// room for headers in front, and summed while it was copied there. TCP has one
// segment to work on, and the frames cost one set of headers each: no buffer, no
// copy, no reference, no second look at the data.
//
//	Write       newRun, appendRun       one pass: copy and sum
//	sendSegment the run as one packet → enqueueRun
//	  └ offload.InPlace                 headers in front of each buffer
//	    parts                           from then on each is a packet of its own
//
// Of what was cut, the head of the segment in the queue is the first frame, and
// its tcpSeg has the others. Frames that are acknowledged are freed one by one;
// for all else that happens to segments, loss most of all, the run is put
// together again (rejoin).

// flagRun says that a packet is a run that TCP keeps.
const flagRun = pbuf.FlagsUser << 2

// layRuns reports whether big segments are made as runs.
func (t *TCP) layRuns() bool {
	return t.nif != nil && t.nif.caps&(offload.TSO4|offload.TSO6) == 0 && int(t.mss) <= t.s.bufRoom()
}

// allocRun is a run for n bytes, nil if there are not as many buffers.
func (t *TCP) allocRun(n int) *pbuf.Pbuf {
	s, mss := t.s, int(t.mss)
	const c = pbuf.ClassStandard
	if s.pool.Avail(c)-n/mss <= s.pool.Cap(c)/reserveShare {
		return nil
	}
	h := s.hooks.AllocPbuf
	if h == nil {
		return s.pool.AllocRun(n, mss)
	}
	var run pbuf.Builder
	for n > 0 {
		p := h(pbuf.LayerTransport, mss, pbuf.KindRAM)
		if p == nil {
			if q := run.Finish(); q != nil {
				q.Free()
			}
			return nil
		}
		k := min(n, mss)
		p.Realloc(k)
		run.Add(p)
		n -= k
	}
	return run.Finish()
}

// newRun is newBigSegment for one that is laid out as a run.
func (t *TCP) newRun(b []byte, seq header.Seq) *pbuf.Pbuf {
	p := t.allocRun(len(b))
	if p == nil {
		return nil
	}
	last := t.fillRun(p, b)
	*seg(p) = tcpSeg{seq: seq, n: uint32(len(b)), run: true, last: last.Addr()}
	return p
}

// fillRun copies b to the buffers of a run, which have that room, and returns the
// last of them.
func (t *TCP) fillRun(p *pbuf.Pbuf, b []byte) (last *pbuf.Pbuf) {
	sum := t.wantSum()
	for ; p != nil; p = p.Next() {
		dst := p.Payload()
		n := len(dst)
		if sum {
			p.SetDataSum(header.ChecksumCopy(dst, b[:n], 0), n)
		} else {
			copy(dst, b[:n])
		}
		b = b[n:]
		last = p
	}
	return last
}

// runRest is how many of n bytes more need buffers of their own.
func (t *TCP) runRest(g *tcpSeg, n int) int {
	last := pbuf.At(g.last)
	return n - min(n, max(0, int(t.mss)-last.Len()), last.Tailroom())
}

// appendRun copies b behind the data of an unsent run, and into more, which has
// what the run's last buffer has no room for.
func (t *TCP) appendRun(p *pbuf.Pbuf, g *tcpSeg, b []byte, more *pbuf.Pbuf) {
	g.n += uint32(len(b))
	last := pbuf.At(g.last)
	k := len(b)
	if more != nil {
		k -= more.TotLen()
		g.last = t.fillRun(more, b[k:]).Addr()
	}
	was := last.Len()
	sum, ok := last.DataSum(was)
	dst := p.CatRun(last, k, more)
	if k == 0 {
		return
	}
	if !ok {
		copy(dst, b[:k])
		return
	}
	add := header.ChecksumCopy(dst, b[:k], 0)
	if was&1 != 0 {
		add = header.ChecksumOdd(add)
	}
	last.SetDataSum(header.CombineChecksum(sum, add), was+k)
}

// splitRun fits the run of p, which has been split in front of rest, and gives
// rest what is its part of it.
func splitRun(p, rest *pbuf.Pbuf, g, r *tcpSeg) {
	if !g.run {
		return
	}
	r.run = rest.Len() != 0 && rest.Headroom() >= maxHeaders && rest.Kind() == pbuf.KindRAM && !rest.Shared()
	if r.last = g.last; rest.Next() == nil {
		r.last = rest.Addr()
	}
	g.last = p.Last().Addr()
}

// orderRun asks for a run to be cut where its buffers end. Of one that is a single
// frame the sum is known.
func (t *TCP) orderRun(p *pbuf.Pbuf, g *tcpSeg) {
	p.Flags &^= flagRun
	if g.n > uint32(t.mss) {
		p.Flags |= flagRun
	} else if p.Next() == nil && t.wantSum() {
		g.sum, g.sumOK = p.DataSum(int(g.n))
	}
}

// enqueueRun queues a run as the frames that it is, which the segment's queue and
// the port hold both. False: it is not to be; nothing was done.
func (nif *Netif) enqueueRun(p *pbuf.Pbuf) bool {
	p.Flags &^= flagRun
	if p.RefCount() != 2 { // TCP has given it up meanwhile
		return false
	}
	n, ok := nif.segmenter.InPlace(p, nif.caps, nif.cut[:min(maxCut, nif.txMax-len(nif.txq))])
	if !ok {
		return false
	}
	frames := nif.cut[:n]
	g := seg(p)
	g.parts, g.apart = pbuf.HoldParts(frames[1:]), true
	g.hdr = p.L2Len + p.L3Len + p.L4Len
	nif.pushAll(frames, uint64(n)*uint64(g.hdr)+uint64(g.n))
	return true
}

// pushAll is push for several frames of that many octets in all, for which there is
// room in txq.
func (nif *Netif) pushAll(fs []*pbuf.Pbuf, octets uint64) {
	for _, st := range [...]*LinkStats{&nif.stats, &nif.s.stats.Link} {
		st.OutFrames += uint64(len(fs))
		st.OutOctets += octets
	}
	for len(fs) > 0 {
		n := min(len(fs), txBurst-len(nif.txq)%txBurst)
		nif.txq = append(nif.txq, fs[:n]...)
		fs = fs[n:]
		if len(nif.txq)%txBurst == 0 {
			nif.flush()
		}
	}
}

// held reports whether a port holds the segment, or a part of it.
func held(p *pbuf.Pbuf, g *tcpSeg) bool {
	if p.RefCount() > 1 {
		return true
	}
	if g.apart {
		for q := g.parts.Head(); q != nil; q = q.QNext() {
			if q.RefCount() > 1 {
				return true
			}
		}
	}
	return false
}

// rejoin makes a segment that was taken apart, and that no port holds, one packet
// of its data again.
func rejoin(p *pbuf.Pbuf, g *tcpSeg) {
	p.RemoveHeader(int(g.hdr))
	last := p
	for q := g.parts.Head(); q != nil; q = q.QNext() {
		q.RemoveHeader(int(g.hdr))
		last = q
	}
	p.Gather(&g.parts)
	g.apart, g.hdr, g.last = false, 0, last.Addr()
}

// freeSeg frees a segment that was taken out of the queue.
func freeSeg(p *pbuf.Pbuf) {
	if g := seg(p); g.apart {
		g.parts.Free()
	}
	p.Free()
}

// freeQueue frees all segments.
func (t *TCP) freeQueue() {
	for p := t.sndq.Pop(); p != nil; p = t.sndq.Pop() {
		freeSeg(p)
	}
	t.unsent = nil
}

// trimParts frees the frames at the front of the queue's first segment that n
// acknowledged bytes cover, and returns how many bytes those had.
func (t *TCP) trimParts(n uint32) (done uint32) {
	p := t.sndq.Head()
	g := *seg(p)
	first := p
	for {
		k := uint32(p.Len() - int(g.hdr))
		q := g.parts.Head()
		if n-done < k || q == nil {
			break
		}
		done += k
		g.parts.Pop()
		if p == first {
			t.sndq.Pop()
		}
		p.Free()
		p = q
	}
	if p == first {
		return 0
	}
	g.seq, g.n, g.sumOK = g.seq.Add(done), g.n-done, false
	*seg(p) = g
	if t.unsent == first { // after a timeout
		t.unsent = p
	}
	t.sndq.PushFront(p)
	return done
}

// slicesOf is slices of n bytes of a segment's data, from off on, whatever is in
// front of it.
func (t *TCP) slicesOf(p *pbuf.Pbuf, g *tcpSeg, off, n int) *pbuf.Pbuf {
	if !g.apart {
		return t.slices(p, int(g.hdr)+off, n)
	}
	h := t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	if h == nil {
		return nil
	}
	var chain pbuf.Builder
	chain.Add(h)
	next := g.parts.Head()
	for n > 0 {
		if k := min(n, p.Len()-int(g.hdr)-off); k > 0 {
			s := p.Slice(int(g.hdr)+off, k)
			if s == nil {
				chain.Finish().Free()
				return nil
			}
			chain.Add(s)
			n -= k
			off += k
		}
		off -= p.Len() - int(g.hdr)
		if p = next; p != nil {
			next = p.QNext()
		}
	}
	return chain.Finish()
}
