package shard

import (
	"sync"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/rss"
)

// Ephemeral ports belong to the shard that their bucket belongs to, so that two
// shards never choose the same for one remote end. When a bucket moves while flows
// of it live, its new owner has to know their ports:
//
//	resteer, first round    each shard stops choosing from the buckets that move,
//	                        and lists the flows that it has in them (depart)
//	second round            the new owners follow the table, with the lists
//	                        (arrivals)
//	sweep                   a list goes when no former owner has flows any more

// takenSet is the flows of a bucket that live at former owners. It never changes.
type takenSet map[flow]struct{}

// departures collects the flows of the buckets that a new table moves.
type departures struct {
	old, next *rss.RETA
	mu        sync.Mutex // of taken, in the first round
	taken     []takenSet // by bucket
}

func newDepartures(old, next *rss.RETA) *departures {
	return &departures{old: old, next: next, taken: make([]takenSet, old.Size())}
}

// moves reports whether a bucket gets another owner.
func (d *departures) moves(b int) bool {
	return d.old.Queue(uint32(b)) != d.next.Queue(uint32(b))
}

// depart lists the flows that the shard has in buckets that move, as owner or as
// a former one, so far as their local ports are such as are chosen.
func (s *Shard) depart(st *steering, d *departures) {
	lo, hi := portRange(&s.g.cfg.Stack.TCP)
	var mine []flow
	s.stack.EachFlow(func(proto header.Protocol, local, remote header.Addr, lport, rport uint16) {
		f := flow{proto, local, remote, lport, rport}
		if lport >= lo && lport <= hi && d.moves(st.bucket(st.hashOf(&f))) {
			mine = append(mine, f)
		}
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range mine {
		b := st.bucket(st.hashOf(&f))
		if d.taken[b] == nil {
			d.taken[b] = make(takenSet)
		}
		d.taken[b][f] = struct{}{}
	}
}

// arrivals is what shard id must not choose from now on: of the buckets that it
// gets, what was listed; of those that it keeps, what it knew before.
func (d *departures) arrivals(id int, known []takenSet) []takenSet {
	taken := make([]takenSet, len(d.taken))
	for b := range taken {
		switch {
		case int(d.next.Queue(uint32(b))) != id:
		case d.moves(b):
			taken[b] = d.taken[b]
		case len(known) != 0:
			taken[b] = known[b]
		}
	}
	return taken
}

// portTaken is the hook that tells which ports are not this shard's to choose:
// those of buckets that are about to be another's, and those of flows that live at
// former owners.
func (s *Shard) portTaken(proto header.Protocol, local, remote header.Addr, lport, rport uint16) bool {
	st := s.ports[s.portFor(local)].steer
	m := st.moved
	if m == nil {
		return false
	}
	f := flow{proto, local, remote, lport, rport}
	hash := st.hashOf(&f)
	if st.owner(hash) != s.id {
		return true
	}
	if len(m.taken) == 0 {
		return false
	}
	_, ok := m.taken[st.bucket(hash)][f]
	return ok
}
