package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
)

// Resolve asks for the link address of the next hop to dst, unless it is known
// or asked for already, and reports whether packets to dst can leave at once
// (etharp_query without a packet). An application that is about to send faster
// than Config.ARP.QueueLen packets can wait calls it until it returns true.
// ErrRoute: there is no way to dst; ErrMem: the neighbour table is full.
func (s *Stack) Resolve(dst netip.Addr) (bool, error) {
	pt, err := s.findPath(header.Addr{}, s.scoped(dst))
	if err != nil {
		return false, err
	}
	n := s.neighborFor(pt.nif, pt.nextHop)
	if n == nil {
		return false, ErrMem
	}
	if n.usable() || n.state == neighLocal {
		return true, nil
	}
	if n.tries == 0 {
		s.arpQuery(n)
	}
	return false, nil
}
