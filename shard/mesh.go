package shard

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/stack"
)

// A packet in the mesh is the address of its pbuf. Pbufs lie on cache lines, so
// the low bits are free to say what is to be done with it. Meta.Netif names
// the interface.
const (
	meshInput  = uintptr(0) // for the stack: it was received elsewhere
	meshSend   = uintptr(1) // for the port: a frame of a shard without a queue
	meshChase  = uintptr(2) // for whoever has its flow; the control block is a chase
	meshGroup  = uintptr(3) // a group's datagram, for the stack if somebody takes it
	meshSpread = uintptr(4) // the same, at the shard of its flow: for it, or else for all
	meshTag    = uintptr(7)
)

// Sizes of a lane's rings and batches.
const (
	meshStage   = 64  // packets collected before a push
	homeDepth   = 512 // buffers on their way home
	homeBatch   = 64
	learnDepth  = 32
	learnLimit  = 1 << 16 // neighbours that wait for a full ring
	homeRounds  = 8       // rounds after which even few buffers go home
	meshInBatch = 64
)

// learned is what one shard tells another: something that ND has found out (nd6),
// or a neighbour that ARP has, of which the event says Addr and MAC.
type learned struct {
	event stack.ND6Event
	nif   uint8
	nd6   bool
}

// pair is the rings from one shard to another.
type pair struct {
	packets *ring.SPSC[uintptr]
	home    *ring.SPSC[uintptr]
	learned *ring.SPSC[learned]
}

func newPair(depth int) (p pair, err error) {
	if p.packets, err = ring.NewSPSC[uintptr](depth); err != nil {
		return p, err
	}
	if p.home, err = ring.NewSPSC[uintptr](homeDepth); err != nil {
		return p, err
	}
	p.learned, err = ring.NewSPSC[learned](learnDepth)
	return p, err
}

// lane is a shard's side of its rings with one other shard.
type lane struct {
	peer    *Shard
	out, in pair
	stage   []uintptr // packets of this round, still ours
	tell    []learned // neighbours of this round, and those that did not fit
	touched bool      // something was pushed this round

	handed [NumCauses]uint64 // packets given to the peer
	lost   uint64            // of them: its ring was full
}

// hand gives a packet to the shard that lane l leads to, which takes it as tag
// says; why is counted. It owns p. False: there was no buffer for the copy that a packet needs
// which others hold too; p was dropped.
func (s *Shard) hand(l *lane, p *pbuf.Pbuf, tag uintptr, why Cause) bool {
	if len(l.stage) == meshStage {
		s.pushStage(l)
	}
	if shared(p) {
		c := p.Clone(pbuf.LayerRaw, pbuf.KindPool)
		p.Free()
		if c == nil {
			s.n.MeshNoBuf++
			return false
		}
		s.n.MeshCopies++
		p = c
	}
	l.handed[why]++
	s.n.HandedFor[why]++
	l.stage = append(l.stage, p.Addr()|tag)
	s.staged = true
	return true
}

// shared reports whether a buffer of p has other holders, so that p can't
// change threads.
func shared(p *pbuf.Pbuf) bool {
	for ; p != nil; p = p.Next() {
		if p.Shared() {
			return true
		}
	}
	return false
}

// pushStage moves the staged packets to the ring. What does not fit is dropped:
// the other shard can't keep up.
func (s *Shard) pushStage(l *lane) {
	n := min(len(l.stage), l.out.packets.Free())
	for _, a := range l.stage[:n] {
		pbuf.Handover(pbuf.At(a&^meshTag), l.peer.pool.ID()) // hand saw to it that it can
	}
	l.out.packets.PushBatch(l.stage[:n]) // there is room for all
	s.n.HandedOut += uint64(n)
	l.touched = l.touched || n > 0
	for _, a := range l.stage[n:] {
		pbuf.At(a &^ meshTag).Free()
		s.n.MeshFull++
		l.lost++
	}
	l.stage = l.stage[:0]
}

// meshOut pushes what the round has staged, sends buffers home, and wakes who
// sleeps.
func (s *Shard) meshOut(work int) {
	if s.pool.ForeignLen() != 0 {
		s.n.homeWait++
		if work == 0 || s.n.homeWait >= homeRounds || s.pool.ForeignLen() >= homeBatch {
			s.n.homeWait = 0
			s.sendHome()
		}
	}
	if !s.staged {
		return
	}
	s.staged = false
	for i := range s.lanes {
		l := &s.lanes[i]
		if len(l.stage) != 0 {
			s.pushStage(l)
		}
		if len(l.tell) != 0 {
			s.tellLearned(l)
			s.staged = s.staged || len(l.tell) != 0
		}
		if l.touched {
			l.touched = false
			l.peer.notify()
		}
	}
}

// sendHome returns freed buffers to the shards that they are from. Those of
// pools outside of the group are left to the poller that brought them.
func (s *Shard) sendHome() {
	ps, as := s.homePs[:], s.homeAs[:]
	for id, ok := s.pool.NextForeign(0); ok; id, ok = s.pool.NextForeign(id + 1) {
		if to := s.g.byPool[id]; to != nil {
			l := &s.lanes[s.laneTo(to.id)]
			for {
				n := s.pool.TakeForeign(id, ps[:min(homeBatch, l.out.home.Free())])
				if n == 0 {
					break
				}
				for i, p := range ps[:n] {
					as[i] = p.Addr()
				}
				l.out.home.PushBatch(as[:n]) // there was room for all
				s.n.HomeOut += uint64(n)
				l.touched, s.staged = true, true
			}
		}
		if id == pbuf.MaxPools-1 {
			return
		}
	}
}

// meshIn takes what other shards have pushed. What is pushed while it runs is
// left for the next round, for which the doorbell is rung again.
func (s *Shard) meshIn(now int64) (work int) {
	for i := range s.lanes {
		l := &s.lanes[i]
		work += s.takeHome(l) + s.takeLearned(l) + s.takePackets(l, now)
	}
	return work
}

func (s *Shard) takeHome(l *lane) (total int) {
	ps, as := s.homePs[:], s.homeAs[:]
	for left := l.in.home.Len(); left > 0; {
		n := l.in.home.PopBatch(as[:min(left, len(as))])
		for i, a := range as[:n] {
			ps[i] = pbuf.At(a)
		}
		s.pool.Return(ps[:n])
		left -= n
		total += n
	}
	s.n.HomeIn += uint64(total)
	return total
}

func (s *Shard) takePackets(l *lane, now int64) (total int) {
	as := s.meshAs[:]
	for left := l.in.packets.Len(); left > 0; {
		n := l.in.packets.PopBatch(as[:min(left, len(as))])
		s.sortPackets(as[:n], now)
		left -= n
		total += n
	}
	s.n.HandedIn += uint64(total)
	return total
}

// sortPackets gives packets to the stack, those of one interface in a row
// together, frames of other shards to the port, and packets whose flow is not
// here to the next shard.
func (s *Shard) sortPackets(as []uintptr, now int64) {
	burst := s.meshPs[:]
	n, nif := 0, uint8(0)
	for _, a := range as {
		p := pbuf.At(a &^ meshTag)
		sp := &s.ports[p.Netif-1]
		if tag := a & meshTag; tag == meshSend {
			sp.relay.Push(p)
			continue
		} else if (tag != meshInput || sp.steer.moved != nil) && s.passOn(sp, p, tag) {
			continue
		}
		if p.Netif != nif && n > 0 {
			s.stack.Input(s.ports[nif-1].nif, now, burst[:n])
			n = 0
		}
		nif = p.Netif
		burst[n] = p
		n++
	}
	if n > 0 {
		s.stack.Input(s.ports[nif-1].nif, now, burst[:n])
	}
}

// passOn takes what another shard gave us under a tag, if it is not for the
// stack here. False: it is.
func (s *Shard) passOn(sp *shardPort, p *pbuf.Pbuf, tag uintptr) bool {
	switch tag {
	case meshChase:
		return s.chaseOn(sp, p)
	case meshSpread:
		s.spread(sp, p)
		return false
	case meshGroup:
		if s.takesGroup(sp, p) {
			return false
		}
		p.Free()
		return true
	}
	return s.follow(sp, p, true)
}

// laneTo is the index of the lane to shard id: a shard has none to itself.
func (s *Shard) laneTo(id int) int {
	if id > s.id {
		return id - 1
	}
	return id
}
