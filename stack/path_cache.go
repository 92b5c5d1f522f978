package stack

import "github.com/shardstack/shardstack/header"

// Connections that are opened one after the other mostly go the same few ways.
// The last ones found are kept, by their two ends; they hold as long as nothing
// has changed in addresses, routes, neighbours and interfaces (Stack.pathGen).
// Where a hook decides about the way, it is asked each time.

const pathSlots = 64 // a power of two

// pathEntry is a way that was found.
type pathEntry struct {
	src, dst header.Addr // as asked for
	gen      uint32      // pathGen when it was found; 0: empty
	path     path
	neigh    *neighbor
}

// pathFor is findPath for a connection, with the neighbour that packets go to.
// ErrRoute: no path; a nil neighbour: its table is full.
func (s *Stack) pathFor(src, dst header.Addr) (path, *neighbor, error) {
	h := (src.Lo() ^ dst.Lo()<<3 ^ dst.Hi()) * 0x9e3779b97f4a7c15 >> 58
	e := &s.paths[h%pathSlots]
	if e.gen == s.pathGen && e.src == src && e.dst == dst {
		return e.path, e.neigh, nil
	}
	pt, err := s.findPath(src, dst)
	if err != nil {
		return pt, nil, err
	}
	n := s.neighborFor(pt.nif, pt.nextHop) // may change pathGen: it may take another's place
	if n != nil && !s.hooks.choosePaths() {
		*e = pathEntry{src: src, dst: dst, gen: s.pathGen, path: pt, neigh: n}
	}
	return pt, n, nil
}

// choosePaths reports whether a hook has a say in the way of packets.
func (h *Hooks) choosePaths() bool {
	return h.IP4Route != nil || h.IP6Route != nil || h.ARPGetGateway != nil || h.ND6GetGateway != nil
}
