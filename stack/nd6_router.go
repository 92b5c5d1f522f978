package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
)

// Routers: soliciting them, what they advertise, which one is used, and where
// they redirect to (RFC 4861 6.3, 8; RFC 4862 5.5; nd6_input, nd6_select_router).

const (
	maxRouters   = 16 // that are kept, RFC 4861 6.3.4: at least two
	maxRedirects = 64 // the oldest goes
)

// router6 is an entry of the default router list (RFC 4861 5.1).
type router6 struct {
	nif    *Netif
	addr   header.Addr
	until  int64
	rank   int8 // RFC 4191 2.1: 1 high, 0 medium, -1 low
	failed bool // it does not answer: others come first
}

// redirect6 is what a router has said of a destination.
type redirect6 struct {
	nif      *Netif
	dst, via header.Addr
}

// SetAutoconfig has the interface ask for routers and listen to them, or ends
// that (netif_set_ip6_autoconfig_enabled); what was learned stays until its time
// is up. A router, Config.Forward, listens to none (RFC 4861 6.2.7, RFC 4862 5.5).
// Errors of AddLinkLocal.
func (nif *Netif) SetAutoconfig(on bool) error {
	if on == nif.v6.autoconf {
		return nil
	}
	nif.v6.autoconf = on
	if !on {
		nif.v6.solicits = 0
		return nil
	}
	if nif.v6.on {
		nif.s.nd6Solicit(nif)
		return nil
	}
	return nif.enable6() // solicits when the address is there
}

// nd6Solicit begins to ask for routers, after a random delay, if the link-local
// address may be used (RFC 4861 6.3.7).
func (s *Stack) nd6Solicit(nif *Netif) {
	v := &nif.v6
	if s.cfg.IPv6.Follower || s.cfg.Forward || !s.isLocal(header.LinkLocalOf(v.linkID).WithZone(nif.index)) {
		return
	}
	v.solicits = nd6Solicits
	v.solicitAt = s.now + int64(s.rng.below(1000))*1_000_000
	s.nd6WakeAt(v.solicitAt)
}

// nd6Solicits sends the router solicitation that is due (nd6_send_rs).
func (s *Stack) nd6Solicits(nif *Netif) {
	v := &nif.v6
	if v.solicits == 0 || !nif.up {
		return
	}
	if s.now < v.solicitAt {
		s.nd6WakeAt(v.solicitAt)
		return
	}
	v.solicits--
	v.solicitAt = s.now + nd6SolicitEvery
	if v.solicits != 0 {
		s.nd6WakeAt(v.solicitAt)
	}
	src, ok := nif.sourceFor6(header.AddrAllRouters.WithZone(nif.index))
	opt := header.NDOptSourceLink
	if !ok {
		opt = 0
	}
	p, b := s.nd6Message(nif, header.NDRouterSolicitLen, opt)
	if p == nil {
		return
	}
	(*header.NDRouterSolicit)(b).Encode()
	s.stats.ND6.OutRouterSolicits++
	s.nd6Send(nif, p, src, header.AddrAllRouters)
}

// lifetime turns seconds of the wire into a time; all ones is for ever.
func (s *Stack) lifetime(sec uint32) int64 {
	if sec == ^uint32(0) {
		return Forever
	}
	return s.now + int64(sec)*nd6Second
}

// nd6RouterInput takes a router advertisement (RFC 4861 6.3.4).
func (s *Stack) nd6RouterInput(nif *Netif, h *header.NDRouterAdvert, opts header.NDOptions, src header.Addr) {
	if s.cfg.Forward || !nif.v6.autoconf {
		return
	}
	nif.v6.solicits = 0
	s.nd6Stale(nif, src, opts, header.NDOptSourceLink, true)
	e := ND6Event{Kind: ND6Router, Addr: src, Valid: s.now, Flags: h.Flags()}
	if t := h.Lifetime(); t != 0 {
		e.Valid = s.lifetime(uint32(t))
	}
	s.nd6Happens(nif, e)
	e = ND6Event{Kind: ND6Params, Hops: h.HopLimit(), Retrans: h.RetransTimer(), Reachable: h.ReachableTime()}
	if e.Reachable > 3_600_000 { // RFC 4861 6.2.1
		e.Reachable = 0
	}
	for o, ok := opts.Next(); ok; o, ok = opts.Next() {
		switch o.Type() {
		case header.NDOptMTU:
			e.MTU = o.MTU()
		case header.NDOptPrefix:
			if p, ok := o.Prefix(); ok {
				s.nd6PrefixInput(nif, &p)
			}
		}
	}
	s.nd6Happens(nif, e)
}

// nd6PrefixInput takes a prefix of an advertisement: as on link (RFC 4861 6.3.4),
// and to make an address of (RFC 4862 5.5.3).
func (s *Stack) nd6PrefixInput(nif *Netif, p *header.NDPrefix) {
	a := header.FromNetip(p.Prefix.Addr())
	if a.NeedsZone() || a.IsMulticast() || a.Is4() {
		return
	}
	bits := uint8(p.Prefix.Bits())
	if p.Flags&header.NDPrefixOnLink != 0 {
		valid := s.now
		if p.Valid != 0 {
			valid = s.lifetime(p.Valid)
		}
		s.nd6Happens(nif, ND6Event{Kind: ND6Prefix, Addr: a, Bits: bits, Valid: valid})
	}
	// RFC 4862 5.5.3 (c), (d): the identifier has 64 bits, so has the prefix.
	if p.Flags&header.NDPrefixAutonomous == 0 || p.Preferred > p.Valid || bits != 64 {
		return
	}
	e := ND6Event{Kind: ND6Address, Addr: a.WithInterfaceID(nif.v6.linkID), Bits: bits,
		Valid: s.lifetime(p.Valid), Preferred: s.lifetime(p.Preferred)}
	switch x := nif.addr6(e.Addr); {
	case x == nil:
		if p.Valid == 0 {
			return
		}
	case !x.auto:
		return
	default:
		// RFC 4862 5.5.3 (e): nobody can end an address at once.
		const twoHours = 7200 * nd6Second
		switch left := x.valid - s.now; {
		case e.Valid > s.now+twoHours || e.Valid > x.valid:
		case x.valid != Forever && left <= twoHours:
			e.Valid = x.valid
		default:
			e.Valid = s.now + twoHours
		}
	}
	s.nd6Happens(nif, e)
}

func prefixOf(a header.Addr, bits uint8) netip.Prefix { return netip.PrefixFrom(a.Netip(), int(bits)) }

// nd6TakeRouter adds, refreshes or, with a life that is over, removes a default
// router.
func (s *Stack) nd6TakeRouter(nif *Netif, e *ND6Event) {
	list := s.nd6.routers
	if e.Valid <= s.now {
		s.routerGone(nif, e.Addr)
		return
	}
	rank := int8(0)
	switch e.Flags >> 3 & 3 { // RFC 4191 2.1, 2.2: 10 is taken for 00
	case 1:
		rank = 1
	case 3:
		rank = -1
	}
	s.nd6WakeAt(e.Valid)
	for i := range list {
		if r := &list[i]; r.nif == nif && r.addr == e.Addr {
			if r.until = e.Valid; r.rank != rank {
				r.rank = rank
				s.pathGen++
			}
			return
		}
	}
	if len(list) < maxRouters {
		s.nd6.routers = append(list, router6{nif: nif, addr: e.Addr, until: e.Valid, rank: rank})
		s.pathGen++
	}
}

// routerGone takes a router off the list.
func (s *Stack) routerGone(nif *Netif, a header.Addr) {
	for i := range s.nd6.routers {
		if r := &s.nd6.routers[i]; r.nif == nif && r.addr == a {
			s.nd6.routers = removeAt(s.nd6.routers, i)
			s.pathGen++
			return
		}
	}
}

// dropRouters forgets the routers and redirects of an interface.
func (s *Stack) dropRouters(nif *Netif) {
	for i := len(s.nd6.routers) - 1; i >= 0; i-- {
		if s.nd6.routers[i].nif == nif {
			s.nd6.routers = removeAt(s.nd6.routers, i)
		}
	}
	for i := range s.nd6.redirects {
		if s.nd6.redirects[i].nif == nif {
			s.nd6.redirects[i] = redirect6{}
		}
	}
	s.pathGen++
}

// nd6Routers removes the routers whose time is up.
func (s *Stack) nd6Routers() {
	for i := len(s.nd6.routers) - 1; i >= 0; i-- {
		if r := &s.nd6.routers[i]; s.now >= r.until {
			s.routerGone(r.nif, r.addr)
		} else {
			s.nd6WakeAt(r.until)
		}
	}
}

// nd6Prefixes removes the prefixes that are on link no more.
func (s *Stack) nd6Prefixes(nif *Netif) {
	list := nif.v6.prefixes
	for i := len(list) - 1; i >= 0; i-- {
		switch p := &list[i]; {
		case p.refs > 0:
		case s.now >= p.until:
			list = removeAt(list, i)
			s.pathGen++
		default:
			s.nd6WakeAt(p.until)
		}
	}
	nif.v6.prefixes = list
}

// routerFailed and routerWorks note whether a router answers.
func (s *Stack) routerFailed(nif *Netif, a header.Addr) {
	for i := range s.nd6.routers {
		if r := &s.nd6.routers[i]; r.nif == nif && r.addr == a {
			r.failed = true
			s.pathGen++
		}
	}
	for i := range s.nd6.redirects { // RFC 4861 7.3.3: ask the first hop again
		if d := &s.nd6.redirects[i]; d.nif == nif && d.via == a {
			*d = redirect6{}
			s.pathGen++
		}
	}
}

func (s *Stack) routerWorks(n *neighbor) {
	if !n.router {
		return
	}
	for i := range s.nd6.routers {
		if r := &s.nd6.routers[i]; r.failed && r.nif == n.nif && r.addr == n.addr {
			r.failed = false
			s.pathGen++
		}
	}
}

// defaultRouter is the router for what no route leads to, nil for none: one that
// answers, as far as is known, and of these the one with the highest preference
// (RFC 4861 6.3.6, RFC 4191 3.2). If none answers, they take turns.
func (s *Stack) defaultRouter(bound *Netif) (best *router6) {
	for i := range s.nd6.routers {
		r := &s.nd6.routers[i]
		if !r.nif.up || bound != nil && bound != r.nif {
			continue
		}
		if best == nil || best.failed && !r.failed || best.failed == r.failed && r.rank > best.rank {
			best = r
		}
	}
	if best != nil && best.failed {
		for i := range s.nd6.routers {
			r := &s.nd6.routers[i]
			r.failed = r == best // that one is the last to be asked next time
		}
	}
	return best
}

// router is the default router on nif, or the zero Addr.
func (s *Stack) router(nif *Netif) header.Addr {
	if r := s.defaultRouter(nif); r != nil {
		return r.addr
	}
	return header.Addr{}
}

// nd6RedirectInput takes a redirect, if it is from the router that is in use
// (RFC 4861 8.1, 8.3).
func (s *Stack) nd6RedirectInput(nif *Netif, h *header.NDRedirect, opts header.NDOptions, src header.Addr) {
	dst, via := h.Destination().WithZone(nif.index), h.Target().WithZone(nif.index)
	pt, err := s.findPath6(header.Addr{}, dst)
	if s.cfg.Forward || err != nil || pt.nif != nif || pt.nextHop != src || s.isLocal(via) {
		s.stats.ND6.InErrors++
		return
	}
	s.nd6Stale(nif, via, opts, header.NDOptTargetLink, via != dst)
	s.nd6Happens(nif, ND6Event{Kind: ND6Redirect, Addr: dst, Via: via})
}

func (s *Stack) nd6TakeRedirect(nif *Netif, e *ND6Event) {
	d := &s.nd6
	s.pathGen++
	for i := range d.redirects {
		if r := &d.redirects[i]; r.nif == nif && r.dst == e.Addr {
			r.via = e.Via
			return
		}
	}
	r := redirect6{nif: nif, dst: e.Addr, via: e.Via}
	if len(d.redirects) < maxRedirects {
		d.redirects = append(d.redirects, r)
		return
	}
	d.redirects[d.nextRedir%maxRedirects] = r
	d.nextRedir++
}

// redirected is where packets for dst were redirected to.
func (s *Stack) redirected(nif *Netif, dst header.Addr) (header.Addr, bool) {
	for i := range s.nd6.redirects {
		if r := &s.nd6.redirects[i]; r.nif == nif && r.dst == dst {
			return r.via, true
		}
	}
	return header.Addr{}, false
}

// Router6 is an entry of the list of default routers as Routers6 shows it.
type Router6 struct {
	Netif *Netif
	Addr  netip.Addr
	Until int64
}

// Routers6 are the default routers that have advertised themselves.
func (s *Stack) Routers6() []Router6 {
	out := make([]Router6, 0, len(s.nd6.routers))
	for _, r := range s.nd6.routers {
		out = append(out, Router6{Netif: r.nif, Addr: s.netip(r.addr), Until: r.until})
	}
	return out
}
