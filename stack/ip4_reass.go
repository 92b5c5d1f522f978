package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Reassembly (RFC 791 3.2, RFC 1122 3.3.2, ip4_reass). The fragments of a
// datagram wait in a queue sorted by offset, each with its range in its control
// block: RFC 815's holes are the gaps between them. Fragments that overlap, and
// are not copies of each other, kill the datagram (RFC 5722 does so for IPv6;
// honest hosts send none). When memory runs short the oldest datagrams go.

// maxFragments bounds the fragments of a datagram, and so what a look for the
// place of one costs: a full packet over the smallest MTU that hosts must take
// (576) has 119.
const maxFragments = 256

// fragRange is the control block of a fragment that waits: bytes [start, end) of
// the datagram's payload.
type fragRange struct{ start, end uint32 }

// datagramKey is what fragments of a datagram have in common (RFC 791 3.2, RFC
// 8200 4.5; of IPv6, proto is ProtoFragment).
type datagramKey struct {
	src, dst header.Addr
	id       uint32
	proto    header.Protocol
}

// datagram is a packet whose fragments have not all arrived.
type datagram struct {
	key          datagramKey
	next         *datagram // in its bucket, or free list
	older, newer *datagram // by age
	nif          *Netif    // of the first fragment to arrive
	deadline     int64
	frags        pbuf.Queue
	got          uint32 // bytes of payload that are there
	total        uint32 // bytes of payload in all, 0: the last has not arrived
	ecn          uint8  // bit n: a fragment with ECN field n
	dead         bool   // fragments have overlapped: the rest is dropped, too
}

// reassembly is its part of a Stack.
type reassembly struct {
	buckets        [256]*datagram
	free           *datagram
	oldest, newest *datagram
	seed           uint32
	held           int // buffers
	limit          int
	timer          int // index of the cyclic timer
}

func (s *Stack) reassInit() {
	r := &s.reass
	r.seed = s.rng.uint32() | 1
	r.limit = s.cfg.Reassembly.MaxBuffers
	if r.limit == 0 {
		r.limit = max(1, s.pool.Cap(pbuf.ClassStandard)/4)
	}
	r.timer = s.every(int64(s.cfg.Reassembly.Timeout), (*Stack).reassTimer)
}

func (s *Stack) reassClose() {
	for d := s.reass.oldest; d != nil; d = s.reass.oldest {
		d.frags.FreeAll()
		s.reassRemove(d)
	}
}

func (r *reassembly) bucket(k *datagramKey) **datagram {
	src, dst := uint32(k.src.Lo()^k.src.Hi()>>32), uint32(k.dst.Lo()^k.dst.Hi()>>32)
	h := (src^dst*0x85ebca6b^k.id<<8^uint32(k.proto))*r.seed + dst
	return &r.buckets[h*0x9e3779b1>>24]
}

// reassInput takes a fragment, payload at the IP header h. It owns p and returns
// the whole packet, payload at its IP header, when p was the last one missing.
func (s *Stack) reassInput(nif *Netif, p *pbuf.Pbuf, h *header.IPv4) *pbuf.Pbuf {
	s.stats.IP.ReasmReqds++
	n := p.TotLen() - int(p.L3Len)
	start := int(h.FragOffset())
	if n == 0 || h.MoreFragments() && n%8 != 0 || start+n > header.IPv4MaxAll-header.IPv4Len {
		s.stats.IP.ReasmFails++
		s.drop(p, DropIPFragMalformed)
		return nil
	}
	if p = s.unshare(p); p == nil {
		s.stats.IP.ReasmFails++
		return nil
	}
	h = (*header.IPv4)(p.Payload())
	key := datagramKey{src: h.Src(), dst: h.Dst(), id: uint32(h.ID()), proto: h.Protocol()}
	d := s.reassFind(&key)
	if d == nil {
		d = s.reassNew(nif, &key)
	}
	f := fragment{fragRange{uint32(start), uint32(start + n)}, h.MoreFragments(), h.TOS() & header.ECNMask}
	switch why := s.reassInsert(d, p, f); why {
	case DropNone:
	case DropIPFragDuplicate:
		s.drop(p, why)
		return nil
	default:
		s.drop(p, why)
		s.reassDiscard(d, why)
		return nil
	}
	if d.got == d.total {
		return s.reassComplete(d)
	}
	for s.reass.held > s.reass.limit {
		s.reassDiscard(s.reass.oldest, DropIPFragMem)
	}
	return nil
}

func (s *Stack) reassFind(key *datagramKey) *datagram {
	for d := *s.reass.bucket(key); d != nil; d = d.next {
		if d.key == *key {
			return d
		}
	}
	return nil
}

// reassNew begins a datagram. All wait equally long, so the list by age is one
// by deadline too (RFC 1122 3.3.2: the timeout is a fixed value).
func (s *Stack) reassNew(nif *Netif, key *datagramKey) *datagram {
	r := &s.reass
	d := r.free
	if d != nil {
		r.free = d.next
	} else {
		d = new(datagram)
	}
	b := r.bucket(key)
	*d = datagram{key: *key, nif: nif, next: *b, older: r.newest,
		deadline: s.now + int64(s.cfg.Reassembly.Timeout)}
	*b = d
	if r.newest != nil {
		r.newest.newer = d
	} else {
		r.oldest = d
	}
	r.newest = d
	s.startCyclic(r.timer)
	return d
}

// fragment is what the headers of a fragment say.
type fragment struct {
	fragRange
	more bool
	ecn  uint8
}

// reassInsert puts a fragment in its place. The result is DropNone, or why it
// can't be; unless that is DropIPFragDuplicate, the datagram is past saving.
func (s *Stack) reassInsert(d *datagram, p *pbuf.Pbuf, f fragment) DropReason {
	r := f.fragRange
	if !f.more {
		if last := d.frags.Tail(); d.total != 0 && d.total != r.end ||
			last != nil && pbuf.CB[fragRange](last).end > r.end {
			return DropIPFragMalformed
		}
	} else if d.total != 0 && r.end > d.total {
		return DropIPFragMalformed
	}
	prev, why := d.place(r)
	if why != DropNone {
		return why
	}
	if d.frags.Len() >= maxFragments {
		return DropIPFragMem
	}
	// RFC 3168 5.3: congestion that a fragment met must not be lost.
	d.ecn |= 1 << f.ecn
	*pbuf.CB[fragRange](p) = r
	if !f.more {
		d.total = r.end
	}
	d.got += r.end - r.start
	d.frags.InsertAfter(prev, p)
	s.reass.held += p.ChainLen()
	return DropNone
}

// place finds the fragment behind which r belongs, nil for the front.
func (d *datagram) place(r fragRange) (prev *pbuf.Pbuf, why DropReason) {
	if last := d.frags.Tail(); last != nil && pbuf.CB[fragRange](last).end <= r.start {
		return last, DropNone // in order, as nearly always
	}
	for q := d.frags.Head(); q != nil; q = q.QNext() {
		have := *pbuf.CB[fragRange](q)
		switch {
		case have == r:
			return nil, DropIPFragDuplicate
		case r.end <= have.start:
			return prev, DropNone
		case r.start < have.end:
			return nil, DropIPFragMalformed // overlap
		}
		prev = q
	}
	return prev, DropNone
}

// reassComplete makes the packet of a datagram whose fragments are all there,
// or drops it and returns nil.
func (s *Stack) reassComplete(d *datagram) *pbuf.Pbuf {
	hdrLen := int(d.frags.Head().L3Len)
	total := hdrLen + int(d.total)
	if total > header.IPv4MaxAll {
		s.reassDiscard(d, DropIPFragMalformed)
		return nil
	}
	p, ce := s.reassJoin(d)
	if p == nil {
		return nil
	}
	h := (*header.IPv4)(p.Payload())
	h.SetTotalLen(uint16(total))
	h.SetFrag(0, false, false)
	if ce {
		h.SetTOS(h.TOS() | header.ECNCE)
	}
	h.FillChecksum(p.Payload()[:hdrLen])
	s.stats.IP.ReasmOKs++
	return p
}

// reassJoin makes one packet of all fragments of a datagram, with the header of
// the first, and forgets the datagram. ce: congestion was experienced. Nil: there
// was no buffer, or the ECN fields can't be (RFC 3168 5.3).
func (s *Stack) reassJoin(d *datagram) (p *pbuf.Pbuf, congested bool) {
	const ce, notECT = 1 << header.ECNCE, 1 << header.ECNNotECT
	if d.ecn&ce != 0 && d.ecn&notECT != 0 {
		s.reassDiscard(d, DropIPFragMalformed)
		return nil, false
	}
	congested = d.ecn&ce != 0
	st := s.reassStats(d)
	p = d.frags.Pop()
	for q := d.frags.Pop(); q != nil; q = d.frags.Pop() {
		q.RemoveHeader(int(q.L3Len))
		p.Cat(q)
	}
	s.reass.held -= p.ChainLen()
	s.reassRemove(d)
	// What the NIC said of the fragment is not true of the whole.
	p.Flags &^= pbuf.RxHash | pbuf.RxL4CsumGood | pbuf.RxL4CsumBad
	// Headers of the next layer must lie in one buffer: the first fragment may
	// be as short as 8 bytes.
	if p = s.pullUp(p, int(p.L3Len)+header.TCPMaxLen); p == nil {
		st.ReasmFails++
	}
	return p, congested
}

// reassStats are the counters of the family that a datagram is of.
func (s *Stack) reassStats(d *datagram) *IPStats {
	if d.key.dst.Is4() {
		return &s.stats.IP
	}
	return &s.stats.IP6
}

// reassDiscard drops all that is there of a datagram.
func (s *Stack) reassDiscard(d *datagram, why DropReason) {
	s.reassStats(d).ReasmFails++
	s.reassEmpty(d, why)
	s.reassRemove(d)
}

// reassEmpty drops the fragments of a datagram.
func (s *Stack) reassEmpty(d *datagram, why DropReason) {
	for p := d.frags.Pop(); p != nil; p = d.frags.Pop() {
		s.reass.held -= p.ChainLen()
		s.drop(p, why)
	}
}

// reassRemove forgets a datagram without fragments.
func (s *Stack) reassRemove(d *datagram) {
	r := &s.reass
	for b := r.bucket(&d.key); *b != nil; b = &(*b).next {
		if *b == d {
			*b = d.next
			break
		}
	}
	if d.older != nil {
		d.older.newer = d.newer
	} else {
		r.oldest = d.newer
	}
	if d.newer != nil {
		d.newer.older = d.older
	} else {
		r.newest = d.older
	}
	*d = datagram{next: r.free}
	r.free = d
	if r.oldest == nil {
		s.stopCyclic(r.timer)
	}
}

// reassTimer drops the datagrams whose time is up. If the first fragment is
// there, its sender is told (RFC 1122 3.3.2, RFC 792: code 1); icmpError sends
// nothing about others.
func (s *Stack) reassTimer() {
	for d := s.reass.oldest; d != nil; d = s.reass.oldest {
		if s.now < d.deadline {
			s.cyclic[s.reass.timer].at = d.deadline
			return
		}
		if d.dead {
			s.reassRemove(d)
			continue
		}
		s.reassStats(d).ReasmTimeout++
		if d.key.dst.Is4() {
			s.icmpError(d.nif, d.frags.Head(), header.ICMPv4TimeExceeded, header.ICMPv4ReassemblyExceeded, 0)
		} else {
			s.reass6Late(d)
		}
		s.reassDiscard(d, DropIPFragTimeout)
	}
}
