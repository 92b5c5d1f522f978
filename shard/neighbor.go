package shard

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/stack"
)

// Neighbours are resolved by each shard for itself, but the answers arrive on
// whichever shard the port chooses: ARP has no ports to hash. So each shard
// tells all others what it learned.

// onLearned is the stack's NeighborLearned hook: it notes the neighbour for all
// other shards, and asks the hook that the user had set.
func (s *Shard) onLearned(user func(*stack.Netif, header.Addr, header.MAC)) func(*stack.Netif, header.Addr, header.MAC) {
	return func(nif *stack.Netif, addr header.Addr, mac header.MAC) {
		if user != nil {
			user(nif, addr, mac)
		}
		if s.learning {
			return // another shard knows it: that is whom it came from
		}
		m := learned{addr: addr, mac: mac, nif: nif.Index()}
		for i := range s.lanes {
			l := &s.lanes[i]
			if len(l.tell) == learnLimit {
				s.n.LearnedLost++
				continue
			}
			l.tell = append(l.tell, m)
			s.staged = true
		}
	}
}

// tellLearned pushes the noted neighbours; those that do not fit wait for the
// next round.
func (s *Shard) tellLearned(l *lane) {
	n := l.out.learned.PushBatch(l.tell)
	if n == 0 {
		return
	}
	l.touched = true
	s.n.LearnedOut += uint64(n)
	l.tell = l.tell[:copy(l.tell, l.tell[n:])]
}

// takeLearned tells the stack what another shard has learned.
func (s *Shard) takeLearned(l *lane) (n int) {
	for left := l.in.learned.Len(); n < left; n++ {
		m, _ := l.in.learned.Pop()
		if nifs := s.stack.Netifs(); int(m.nif) <= len(nifs) {
			s.learning = true
			s.stack.LearnNeighbor(nifs[m.nif-1], m.addr, m.mac)
			s.learning = false
		}
	}
	s.n.LearnedIn += uint64(n)
	return n
}
