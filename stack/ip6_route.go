package stack

import "github.com/shardstack/shardstack/header"

// findPath6 routes an IPv6 packet from src (the zero Addr: choose) to dst, by
// RFC 4861 5.2 and 6.3.6: to ourselves; on the link; by the routing table; by a
// router that has advertised itself (ip6_route, nd6_get_next_hop_entry).
// Redirects say better (RFC 4861 8.3).
func (s *Stack) findPath6(src, dst header.Addr) (path, error) {
	if h := s.hooks.IP6Route; h != nil {
		if nif := h(src, dst); nif != nil {
			return nif.pathTo6(src, dst, s.router(nif))
		}
	}
	var bound *Netif
	if !src.IsUnspecified() {
		if bound = s.localNetif(src); bound == nil || src.Is4() {
			return path{}, ErrRoute
		}
	}
	if nif := s.localNetif(dst); nif != nil { // to ourselves
		if src.IsUnspecified() {
			src = dst
		}
		return path{nif: nif, nextHop: dst, src: src}, nil
	}
	if dst.NeedsZone() {
		nif := s.netifAt(dst.Zone())
		if nif == nil || !nif.up || bound != nil && bound != nif {
			return path{}, ErrRoute
		}
		return nif.pathTo6(src, dst, header.Addr{})
	}
	if dst.IsMulticast() && bound != nil && bound.up {
		return bound.pathTo6(src, dst, header.Addr{})
	}
	if nif := s.onLinkNetif(dst, bound); nif != nil {
		return nif.pathTo6(src, dst, header.Addr{})
	}
	for i := range s.routes {
		r := &s.routes[i]
		if r.Netif.up && !r.net.addr.Is4() && r.net.contains(dst) {
			return r.Netif.pathTo6(src, dst, r.gate)
		}
	}
	if dst.IsMulticast() {
		for _, nif := range s.netifs {
			if nif.up && nif.v6.on {
				return nif.pathTo6(src, dst, header.Addr{})
			}
		}
		return path{}, ErrRoute
	}
	if r := s.defaultRouter(bound); r != nil {
		return r.nif.pathTo6(src, dst, r.addr)
	}
	return path{}, ErrRoute
}

// onLinkNetif is the interface on whose link dst is by the longest prefix, the one
// that src is bound to before all others.
func (s *Stack) onLinkNetif(dst header.Addr, bound *Netif) (best *Netif) {
	most := -1
	for _, nif := range s.netifs {
		if !nif.up || bound != nil && bound != nif {
			continue
		}
		if bits, ok := nif.onLink6(dst); ok && bits > most {
			best, most = nif, bits
		}
	}
	return best
}

// pathTo6 completes a path that leaves by nif: next hop and source address.
func (nif *Netif) pathTo6(src, dst, gw header.Addr) (path, error) {
	next, s := dst, nif.s
	if _, onLink := nif.onLink6(dst); !onLink && !dst.IsMulticast() {
		if !gw.IsZero() {
			next = gw
		}
		if h := s.hooks.ND6GetGateway; h != nil {
			g, ok := h(nif, dst)
			if !ok {
				return path{}, ErrRoute
			}
			next = g.WithZone(nif.index)
		} else if to, ok := s.redirected(nif, dst); ok {
			next = to
		}
	}
	if src.IsUnspecified() {
		var ok bool
		if src, ok = nif.sourceFor6(dst); !ok {
			return path{}, ErrRoute
		}
	}
	return path{nif: nif, nextHop: next, src: src}, nil
}
