package shard

import (
	"slices"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/rss"
)

// Changing the table of a port while flows live (Group.Resteer) leaves them
// where they are: a packet of a bucket that has moved is looked for at the
// shards that had the bucket, and forwarded to its flow. Only if nobody has the
// flow it is the new owner's, which opens it, or says that there is none.
//
//	the shard that the table names has no such flow
//	→ the former owners, the latest first, each of which has it or passes it on
//	→ the new owner, which takes it in any case
//
// The packet carries the rest of its way in the control block, so that shards
// which hear of a change at different times need not agree.

// moved says where else than in the table flows may live.
type moved struct {
	former [][]uint8  // by bucket: who had it and may have flows of it, the latest first
	taken  []takenSet // by bucket: flows at former owners whose ports are not ours to choose
	next   rss.RETA   // the table that is about to come; without entries: none is
	fresh  bool       // some shards may not follow the table yet
}

// maxFormer is how many former owners a bucket may have.
const maxFormer = 48

// chase is the way that a packet still has to go, in its control block.
type chase struct {
	n  uint8
	to [maxFormer + 2]uint8 // shards; the last takes the packet in any case
}

// bucket is the entry of the table that a hash leads to.
func (st *steering) bucket(hash uint32) int { return int(hash) & (st.table.Size() - 1) }

// owns reports whether the flow of frame p is here, in a bucket of which some
// are elsewhere.
func (s *Shard) owns(st *steering, p *pbuf.Pbuf) bool {
	f, ok := flowOf(p.Payload(), p.Netif)
	return ok && len(st.moved.former[st.bucket(st.hashOf(&f))]) != 0 &&
		s.stack.HasFlow(f.proto, f.local, f.remote, f.lport, f.rport)
}

// follow looks for the flow of frame p if this shard is the one to do that. True:
// it was handed on.
func (s *Shard) follow(sp *shardPort, p *pbuf.Pbuf, mine bool) bool {
	if !mine {
		return false
	}
	f, ok := flowOf(p.Payload(), sp.nif.Index())
	if !ok {
		return false
	}
	st := sp.steer
	hash := st.hashOf(&f)
	former := st.moved.former[st.bucket(hash)]
	if len(former) == 0 || s.stack.HasFlow(f.proto, f.local, f.remote, f.lport, f.rport) {
		return false
	}
	var c chase
	for _, id := range former {
		c.add(id, s.id)
	}
	owner := st.owner(hash)
	if c.n == 0 && owner == s.id {
		return false
	}
	c.to[c.n] = uint8(owner)
	c.n++
	s.sendChase(p, &c)
	return true
}

// owner is the shard that is to have the new flows of a hash.
func (st *steering) owner(hash uint32) int {
	if m := st.moved; m != nil && m.next.Size() != 0 {
		return int(m.next.Queue(hash))
	}
	return int(st.table.Queue(hash))
}

// add puts a shard on the way, but the one that it begins at.
func (c *chase) add(id uint8, self int) {
	if int(id) != self && int(c.n) < maxFormer {
		c.to[c.n] = id
		c.n++
	}
}

// sendChase gives p to the next shard of its way. The control block is written
// last, as a packet that others hold is copied first.
func (s *Shard) sendChase(p *pbuf.Pbuf, c *chase) {
	to := int(c.to[0])
	c.n--
	copy(c.to[:], c.to[1:])
	l := &s.lanes[s.laneTo(to)]
	if s.hand(l, p, meshChase, CauseResteer) {
		*pbuf.CB[chase](pbuf.At(l.stage[len(l.stage)-1] &^ meshTag)) = *c
	}
}

// chaseOn takes a packet on its way. True: its flow is not here, and it has gone
// on.
func (s *Shard) chaseOn(sp *shardPort, p *pbuf.Pbuf) bool {
	c := *pbuf.CB[chase](p)
	f, ok := flowOf(p.Payload(), sp.nif.Index())
	if !ok || s.stack.HasFlow(f.proto, f.local, f.remote, f.lport, f.rport) {
		return false
	}
	if c.n != 0 && int(c.to[0]) != s.id {
		s.sendChase(p, &c)
		return true
	}
	// The end of its way. Another table may have come while it was under way: a
	// flow that began here would not be looked for any more.
	owner := sp.steer.owner(sp.steer.hashOf(&f))
	if owner == s.id {
		return false
	}
	s.hand(&s.lanes[s.laneTo(owner)], p, meshInput, CauseResteer)
	return true
}

// withNext is what a shard knows while a new table is about to come: flows of
// the buckets that move may be at both owners from now on. Not ok: a bucket
// has had more owners with flows than a packet can be sent round to.
func (st *steering) withNext(next rss.RETA) (t *steering, ok bool) {
	c := *st
	t = &c
	m := &moved{next: next, fresh: true, former: make([][]uint8, st.table.Size())}
	if st.moved != nil {
		copy(m.former, st.moved.former)
		m.taken = st.moved.taken
	}
	for b := range m.former {
		old, now := st.table.Queue(uint32(b)), next.Queue(uint32(b))
		if old == now {
			continue
		}
		list := make([]uint8, 0, len(m.former[b])+1)
		list = append(list, uint8(old))
		for _, id := range m.former[b] {
			if id != uint8(old) && id != uint8(now) {
				list = append(list, id)
			}
		}
		if len(list) > maxFormer {
			return nil, false
		}
		m.former[b] = list
	}
	t.moved = m
	return t, true
}

// switched is st with the table that was about to come.
func (st *steering) switched() *steering {
	t := *st
	m := *st.moved
	t.table, m.next = m.next, rss.RETA{}
	if t.away == CauseWrongHash {
		t.away = CauseResteer
	}
	t.moved = &m
	return &t
}

// settled is st when all shards follow its table.
func (st *steering) settled() *steering {
	if st.moved == nil {
		return st
	}
	t := *st
	m := *st.moved
	m.fresh = false
	t.moved = &m
	return &t
}

// without is st once shard id has no more flows of some buckets. own tells that
// the port itself follows the table.
func (st *steering) without(id uint8, done []bool, own bool) *steering {
	if st.moved == nil {
		return st
	}
	t := *st
	m := *st.moved
	m.former, m.taken = slices.Clone(m.former), slices.Clone(m.taken)
	left := m.fresh
	for b, list := range m.former {
		if i := slices.Index(list, id); i >= 0 && done[b] {
			list = slices.Delete(slices.Clone(list), i, i+1)
			m.former[b] = list
		}
		if len(list) == 0 && len(m.taken) != 0 {
			m.taken[b] = nil
		}
		left = left || len(list) != 0
	}
	t.moved = &m
	if !left {
		t.moved = nil
		if own && t.away == CauseResteer {
			t.away = CauseWrongHash
		}
	}
	return &t
}
