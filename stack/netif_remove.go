package stack

import "slices"

// RemoveNetif takes an interface away (netif_remove): it goes down, its addresses
// go, and with them the connections that use these, then its routes and
// neighbours, static ones too. nif may be looked at afterwards, but nothing goes
// in or out by it any more; its index is given to the next interface that is
// added. ErrVal: it is none of the stack's.
func (s *Stack) RemoveNetif(nif *Netif) error {
	i := slices.Index(s.netifs, nif)
	if i < 0 {
		return ErrVal
	}
	nif.SetUp(false)
	for _, p := range nif.Addrs() {
		_ = nif.DelAddr(p) // it is there
	}
	for _, r := range s.Routes() {
		if r.Netif == nif {
			_ = s.DelRoute(r.Prefix, nif) // it is there
		}
	}
	s.eachNeighbor(func(n *neighbor) {
		if n.nif == nif {
			s.removeNeighbor(n, DropNetifDown)
		}
	})
	for _, id := range nif.waiting { // they go another way, or nowhere
		if t := s.pcb(id); t.s != nil && t.flags&tfAwaitsPort != 0 {
			t.flags &^= tfAwaitsPort
			_ = t.Output() // what fails is tried again by the timer
		}
	}
	nif.waiting = nil
	s.netifs = removeAt(s.netifs, i)
	s.pathGen++
	return nil
}

// freeIndex is the lowest index that no interface has; 0: all are taken.
func (s *Stack) freeIndex() uint8 {
	for i := range 255 {
		index := uint8(i + 1)
		if !slices.ContainsFunc(s.netifs, func(n *Netif) bool { return n.index == index }) {
			return index
		}
	}
	return 0
}
