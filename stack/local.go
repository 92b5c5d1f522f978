package stack

import "github.com/shardstack/shardstack/header"

// localTable says which addresses are ours: a hash table, so that a stack that
// plays thousands of hosts finds the addresses of a packet as fast as one that
// plays one.
type localTable struct {
	slots []localEntry // open addressing; the zero Addr is an empty slot
	n     int
}

// localEntry is what an address means to us.
type localEntry struct {
	addr      header.Addr
	nif       *Netif // whose unicast address it is, or nil
	broadcast bool   // it is the directed broadcast of some interface's network
	group     bool   // it is an IPv6 group that some interface is in
}

func (t *localTable) slot(a header.Addr) *localEntry {
	mask := uint64(len(t.slots) - 1)
	i := (a.Hi() ^ a.Lo()) * 0x9e3779b97f4a7c15 >> 32
	for {
		if e := &t.slots[i&mask]; e.addr == a || e.addr.IsZero() {
			return e
		}
		i++
	}
}

// find is what address a means, or nil if it is nothing to us.
func (t *localTable) find(a header.Addr) *localEntry {
	if e := t.slot(a); !e.addr.IsZero() {
		return e
	}
	return nil
}

// add returns the slot of a, which is made if need be.
func (t *localTable) add(a header.Addr) *localEntry {
	if 2*(t.n+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]localEntry, max(16, 2*len(old)))
		for i := range old {
			if !old[i].addr.IsZero() {
				*t.slot(old[i].addr) = old[i]
			}
		}
	}
	e := t.slot(a)
	if e.addr.IsZero() {
		e.addr = a
		t.n++
	}
	return e
}

// localInit makes an empty table.
func (s *Stack) localInit() { s.locals.slots = make([]localEntry, 16) }

// localAdd books an address that nif was given.
func (s *Stack) localAdd(nif *Netif, a *ifAddr) {
	s.locals.add(a.addr).nif = nif
	if !a.broadcast.IsZero() {
		s.locals.add(a.broadcast).broadcast = true
	}
}

// localRebuild fills the table anew, after an address has gone.
func (s *Stack) localRebuild() {
	s.locals = localTable{}
	s.localInit()
	for _, nif := range s.netifs {
		for i := range nif.addrs {
			s.localAdd(nif, &nif.addrs[i])
		}
		for i := range nif.v6.addrs {
			if a := &nif.v6.addrs[i]; a.usable() {
				s.locals.add(a.addr).nif = nif
			}
		}
		for i := range nif.v6.groups {
			if g := &nif.v6.groups[i]; g.refs > 0 {
				s.locals.add(g.addr).group = true
			}
		}
	}
}

// localNetif is the interface that has unicast address a, or nil.
func (s *Stack) localNetif(a header.Addr) *Netif {
	if e := s.locals.find(a); e != nil {
		return e.nif
	}
	return nil
}

// NetifOf is the interface that has a unicast address (as of Scoped), or nil.
func (s *Stack) NetifOf(a header.Addr) *Netif { return s.localNetif(a) }

// isLocal reports whether a is an address of any interface.
func (s *Stack) isLocal(a header.Addr) bool { return s.localNetif(a) != nil }
