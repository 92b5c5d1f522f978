package stack

import (
	"net/netip"
	"slices"

	"github.com/shardstack/shardstack/header"
)

// Route sends packets for a prefix through an interface, to a gateway or, if
// Gateway is not valid, straight to the destination.
type Route struct {
	Prefix  netip.Prefix
	Gateway netip.Addr
	Netif   *Netif

	net  prefix
	gate header.Addr
}

// prefix is an address range in the stack's own form.
type prefix struct {
	addr         header.Addr
	maskHi, mask uint64
	bits         int // of 128
}

func makePrefix(p netip.Prefix) prefix {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	hi, lo := ^uint64(0), ^uint64(0)
	switch {
	case bits == 0:
		hi, lo = 0, 0
	case bits <= 64:
		hi, lo = hi<<(64-bits), 0
	default:
		lo <<= 128 - bits
	}
	return prefix{addr: header.FromNetip(p.Addr()), maskHi: hi, mask: lo, bits: bits}
}

func (p *prefix) contains(a header.Addr) bool {
	return (a.Hi()^p.addr.Hi())&p.maskHi == 0 && (a.Lo()^p.addr.Lo())&p.mask == 0
}

// AddRoute adds a route. The longest prefix wins; among equal prefixes the one
// added first. gw may be the zero Addr for a network on link.
func (s *Stack) AddRoute(p netip.Prefix, gw netip.Addr, nif *Netif) error {
	if !validPrefix(p) || nif == nil || nif.s != s || (gw.IsValid() && gw.Is4() != p.Addr().Is4()) {
		return ErrVal
	}
	r := Route{Prefix: p.Masked(), Gateway: gw, Netif: nif}
	r.net = makePrefix(r.Prefix)
	if gw.IsValid() {
		r.gate = header.FromNetip(gw).WithZone(nif.index)
	}
	i := slices.IndexFunc(s.routes, func(x Route) bool { return x.net.bits < r.net.bits })
	if i < 0 {
		i = len(s.routes)
	}
	s.routes = slices.Insert(s.routes, i, r)
	s.pathGen++
	return nil
}

// DelRoute removes the route for p through nif; ErrVal if there is none.
func (s *Stack) DelRoute(p netip.Prefix, nif *Netif) error {
	p = p.Masked()
	i := slices.IndexFunc(s.routes, func(r Route) bool { return r.Prefix == p && r.Netif == nif })
	if i < 0 {
		return ErrVal
	}
	s.routes = removeAt(s.routes, i)
	s.pathGen++
	return nil
}

// Routes is a copy of the routing table, longest prefix first.
func (s *Stack) Routes() []Route { return slices.Clone(s.routes) }

// path is where packets for a destination go.
type path struct {
	nif     *Netif
	nextHop header.Addr // the neighbour to resolve: the destination or a gateway
	src     header.Addr // the source address to use
}

// findPath routes a packet from src (the zero Addr: choose) to dst. It says
// ErrRoute when there is no interface, gateway or source address
// (RFC 1122 3.3.1).
func (s *Stack) findPath(src, dst header.Addr) (path, error) {
	if !dst.Is4() {
		return s.findPath6(src, dst)
	}
	if h := s.hooks.IP4Route; h != nil {
		if nif := h(src, dst); nif != nil {
			return nif.pathTo(src, dst, header.Addr{})
		}
	}
	var bound *Netif // multicast and broadcast leave by the source's interface
	if !src.IsUnspecified() {
		if bound = s.localNetif(src); bound == nil {
			return path{}, ErrRoute
		}
	}
	if nif := s.localNetif(dst); nif != nil { // to ourselves
		if src.IsUnspecified() {
			src = dst
		}
		return path{nif: nif, nextHop: dst, src: src}, nil
	}
	group := dst.IsMulticast() || dst.IsBroadcast()
	if group && bound != nil && bound.up {
		return bound.pathTo(src, dst, header.Addr{})
	}
	for _, nif := range s.netifs {
		if nif.up && nif.onLink(dst) && (bound == nil || bound == nif) {
			return nif.pathTo(src, dst, header.Addr{})
		}
	}
	for i := range s.routes {
		r := &s.routes[i]
		if r.Netif.up && r.net.addr.Is4() && r.net.contains(dst) {
			return r.Netif.pathTo(src, dst, r.gate)
		}
	}
	if group && bound == nil && len(s.netifs) > 0 && s.netifs[0].up {
		return s.netifs[0].pathTo(src, dst, header.Addr{})
	}
	return path{}, ErrRoute
}

// pathTo completes a path that leaves by nif: next hop and source address.
func (nif *Netif) pathTo(src, dst, gw header.Addr) (path, error) {
	next := dst
	if !nif.onLink(dst) && !dst.IsMulticast() && !dst.IsBroadcast() {
		if !gw.IsZero() {
			next = gw
		}
		if h := nif.s.hooks.ARPGetGateway; h != nil {
			g, ok := h(nif, dst)
			if !ok {
				return path{}, ErrRoute
			}
			next = g
		}
	}
	if src.IsUnspecified() {
		var ok bool
		if src, ok = nif.sourceFor(next); !ok {
			return path{}, ErrRoute
		}
	}
	return path{nif: nif, nextHop: next, src: src}, nil
}
