package shard

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/stack"
)

// Neighbours are resolved by each shard for itself, but the answers arrive on
// whichever shard the port chooses: ARP has no ports to hash. So each shard
// tells all others what it learned.

// What ND has found out (stack.ND6Event) is told in the same way. Its messages go to
// the first shard (see steering.homeICMP6), which alone looks for duplicates of
// addresses and solicits routers.

// onND6 is the stack's ND6Happened hook: it notes the event for all other shards,
// and asks the hook that the user had set.
func (s *Shard) onND6(user func(*stack.Netif, stack.ND6Event)) func(*stack.Netif, stack.ND6Event) {
	return func(nif *stack.Netif, e stack.ND6Event) {
		if user != nil {
			user(nif, e)
		}
		s.tell(learned{event: e, nif: nif.Index(), nd6: true})
	}
}

// tell notes something for all other shards.
func (s *Shard) tell(m learned) {
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
		s.tell(learned{event: stack.ND6Event{Addr: addr, MAC: mac}, nif: nif.Index()})
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
			if m.nd6 {
				s.stack.ApplyND6(nifs[m.nif-1], m.event)
				continue
			}
			s.learning = true
			s.stack.LearnNeighbor(nifs[m.nif-1], m.event.Addr, m.event.MAC)
			s.learning = false
		}
	}
	s.n.LearnedIn += uint64(n)
	return n
}
