package stack

import "github.com/shardstack/shardstack/header"

// Connections that are opened one after the other mostly go the same few ways.
// The last ones found are kept, by their two ends; they hold as long as nothing
// has changed in addresses, routes, neighbours and interfaces (Stack.pathGen).
// Where a hook decides about the way, it is asked each time.

const pathSlots = 64 // a power of two

// pathEntry is a way that was found.
type pathEntry struct {
	path
	from, to  header.Addr // as asked for
	gen       uint32      // pathGen when it was found; 0: not to be used again
	broadcast bool        // to is a broadcast address
	neigh     *neighbor   // that packets go to; nil: its table is full
}

// pathFor is findPath for a connection; what it returns is valid until the next
// call. ErrRoute: no path.
func (s *Stack) pathFor(src, dst header.Addr) (*pathEntry, error) {
	h := (src.Lo() ^ dst.Lo()<<3 ^ dst.Hi()) * 0x9e3779b97f4a7c15 >> 58
	e := &s.paths[h%pathSlots]
	if e.gen == s.pathGen && e.from == src && e.to == dst {
		return e, nil
	}
	pt, err := s.findPath(src, dst)
	if err != nil {
		return nil, err
	}
	*e = pathEntry{path: pt, from: src, to: dst, broadcast: pt.nif.isBroadcast(dst)}
	e.neigh = s.neighborFor(pt.nif, pt.nextHop) // may change pathGen: it may take another's place
	if e.neigh != nil && !s.hooks.choosePaths() {
		e.gen = s.pathGen
	}
	return e, nil
}

// choosePaths reports whether a hook has a say in the way of packets.
func (h *Hooks) choosePaths() bool {
	return h.IP4Route != nil || h.IP6Route != nil || h.ARPGetGateway != nil || h.ND6GetGateway != nil
}
