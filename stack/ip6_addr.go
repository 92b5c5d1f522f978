package stack

import (
	"net/netip"
	"slices"

	"github.com/shardstack/shardstack/header"
)

// addr6State is the state of an address (RFC 4862 2).
type addr6State uint8

const (
	addrTentative  addr6State = iota // being looked for duplicates of: not ours yet
	addrDuplicate                    // another node has it
	addrPreferred                    // may be used without restriction
	addrDeprecated                   // ours, but not for new connections
)

// addr6 is an IPv6 address of an interface.
type addr6 struct {
	addr             header.Addr // in the interface's zone if of link-local scope
	prefix           netip.Prefix
	net              prefix // its network, on link if onLink
	state            addr6State
	auto             bool // made of a router's prefix (RFC 4862 5.5)
	onLink           bool // its prefix counts as on link because of it
	probes           uint8
	probeAt          int64 // when duplicate address detection goes on
	valid, preferred int64 // until when
}

// usable reports whether the address is ours.
func (a *addr6) usable() bool { return a.state >= addrPreferred }

// prefix6 is a network that is on link (RFC 4861 5.1).
type prefix6 struct {
	net   prefix
	until int64
	refs  int // addresses that were configured with it
}

// netif6 is what an interface has of IPv6.
type netif6 struct {
	on       bool // it has a link-local address
	autoconf bool // it listens to routers (RFC 4862)
	hops     uint8
	mtu      int // as a router says; 0: that of the interface
	addrs    []addr6
	prefixes []prefix6
	groups   []group6
	mld      mldState
	// RFC 4861 6.3.2. reachable is a random value about base, until renewAt.
	base, reachable, retrans int64
	renewAt                  int64
	solicits                 uint8 // router solicitations left
	solicitAt                int64
	linkID                   uint64
	zoned                    netip.Addr // keeps the handle of the zone's name alive
}

// enable6 gives the interface its link-local address (RFC 4291 2.8,
// netif_create_ip6_linklocal_address). ErrIf: the MTU is too small (RFC 8200 5).
func (nif *Netif) enable6() error {
	v := &nif.v6
	if v.on {
		return nil
	}
	if nif.mtu < header.IPv6MinMTU {
		return ErrIf
	}
	v.on = true
	v.linkID = nif.mac.InterfaceID()
	v.zoned = netip.IPv6LinkLocalAllNodes().WithZone(nif.name)
	v.retrans, v.base = nd6Retrans, nd6Reachable
	nif.s.nd6Renew(nif)
	if nif.s.cfg.Forward {
		nif.join(header.AddrAllRouters)
	}
	a := header.LinkLocalOf(v.linkID)
	nif.addAddr6(addr6{
		addr: a.WithZone(nif.index), prefix: netip.PrefixFrom(a.Netip(), 64), valid: Forever, preferred: Forever,
	}, false)
	return nil
}

// AddLinkLocal gives the interface its link-local address, made of its MAC, if it
// has none; any other IPv6 address brings it along. ErrIf: IPv6 needs an MTU of
// 1280 (RFC 8200 5).
func (nif *Netif) AddLinkLocal() error { return nif.enable6() }

// addStatic6 is AddAddr of an IPv6 address. Until it is known that nobody else
// has it (Config.IPv6.DADTransmits), it is not used (RFC 4862 5.4).
func (nif *Netif) addStatic6(p netip.Prefix) error {
	a := header.FromNetip(p.Addr()).WithZone(nif.index)
	if a.IsMulticast() || a.IsZero() || a.IsLoopback() || header.FromNetip(p.Addr()).DirtyZone() {
		return ErrVal
	}
	if nif.s.isLocal(a) || nif.addr6(a) != nil {
		return ErrUse
	}
	if err := nif.enable6(); err != nil {
		return err
	}
	if nif.addr6(a) != nil { // the link-local address that enable6 has made
		return nil
	}
	x := addr6{addr: a, prefix: p, valid: Forever, preferred: Forever}
	if !a.NeedsZone() {
		x.net, x.onLink = makePrefix(p.Masked()), true
		nif.addPrefix6(x.net, Forever, 1)
	}
	nif.addAddr6(x, false)
	return nil
}

// addAddr6 adds an address and begins duplicate address detection, at once or, if
// many nodes may do so at the same time, after a random delay (RFC 4862 5.4.2).
func (nif *Netif) addAddr6(a addr6, delay bool) {
	s := nif.s
	a.state = addrTentative
	a.probeAt = s.now
	if delay {
		a.probeAt += int64(s.rng.below(1000)) * 1_000_000
	}
	nif.join(a.addr.SolicitedNode())
	nif.v6.addrs = append(nif.v6.addrs, a)
	switch {
	case s.cfg.IPv6.DADTransmits < 0:
		nif.ready6(a.addr)
	case s.cfg.IPv6.Follower: // another shard does it, and tells
	case nif.up && a.probeAt == s.now:
		s.nd6Detect(nif, nif.addr6(a.addr))
	default:
		s.nd6WakeAt(a.probeAt)
	}
}

// addr6 is the interface's address a in any state, or nil.
func (nif *Netif) addr6(a header.Addr) *addr6 {
	for i := range nif.v6.addrs {
		if nif.v6.addrs[i].addr == a {
			return &nif.v6.addrs[i]
		}
	}
	return nil
}

// ready6 makes a tentative address ours: nobody else has it.
func (nif *Netif) ready6(a header.Addr) {
	x := nif.addr6(a)
	if x == nil || x.state != addrTentative {
		return
	}
	s := nif.s
	x.state = addrPreferred
	if s.now >= x.preferred {
		x.state = addrDeprecated
	}
	s.locals.add(a).nif = nif
	s.arpAddrsChanged()
	s.pathGen++
	if a.NeedsZone() && nif.v6.autoconf {
		s.nd6Solicit(nif)
	}
	s.nd6WakeAt(min(x.valid, x.preferred))
}

// duplicate6 gives up an address that another node has (RFC 4862 5.4.5). It stays
// listed, as a duplicate, until it is deleted.
func (nif *Netif) duplicate6(a header.Addr) {
	if x := nif.addr6(a); x != nil && x.state == addrTentative {
		x.state = addrDuplicate
		nif.s.stats.ND6.Duplicates++
		nif.leave(a.SolicitedNode())
	}
}

// delAddr6 takes an address away; false: there is none such.
func (nif *Netif) delAddr6(p netip.Prefix) bool {
	p = netip.PrefixFrom(p.Addr().WithZone(""), p.Bits())
	i := slices.IndexFunc(nif.v6.addrs, func(a addr6) bool { return a.prefix == p })
	if i < 0 {
		return false
	}
	nif.remove6(i)
	return true
}

// remove6 takes address i away. Connections that use it are aborted.
func (nif *Netif) remove6(i int) {
	s := nif.s
	a := nif.v6.addrs[i]
	nif.v6.addrs = removeAt(nif.v6.addrs, i)
	if a.state != addrDuplicate {
		nif.leave(a.addr.SolicitedNode())
	}
	if a.onLink {
		nif.addPrefix6(a.net, 0, -1)
	}
	s.localRebuild()
	s.arpAddrsChanged()
	s.pathGen++
	if a.usable() {
		s.tcpAddrGone(a.addr)
	}
}

// addPrefix6 notes a network that is on link until then, and how many addresses
// more vouch for it; or, with until in the past and none that does, the end of
// that.
func (nif *Netif) addPrefix6(net prefix, until int64, refs int) {
	list := nif.v6.prefixes
	i := slices.IndexFunc(list, func(p prefix6) bool { return p.net == net })
	if i < 0 && refs == 0 && len(list) >= maxPrefixes6 {
		return
	}
	if i < 0 {
		i = slices.IndexFunc(list, func(p prefix6) bool { return p.net.bits < net.bits })
		if i < 0 {
			i = len(list)
		}
		list = slices.Insert(list, i, prefix6{net: net})
	}
	p := &list[i]
	p.refs += refs
	if refs == 0 {
		p.until = until
	}
	if p.until > nif.s.now {
		nif.s.nd6WakeAt(p.until)
	} else if p.refs <= 0 {
		list = slices.Delete(list, i, i+1)
	}
	nif.v6.prefixes = list
	nif.s.pathGen++
}

// onLink6 reports whether a is a neighbour of the interface: by its scope, or
// because its network is on link (RFC 4861 5.2), and how long that prefix is.
func (nif *Netif) onLink6(a header.Addr) (bits int, ok bool) {
	if a.NeedsZone() {
		return 128, a.Zone() == nif.index
	}
	for i := range nif.v6.prefixes { // longest first
		p := &nif.v6.prefixes[i]
		if p.net.contains(a) && (p.refs > 0 || nif.s.now < p.until) {
			return p.net.bits, true
		}
	}
	return 0, false
}

// hopLimit6 is the hop limit of packets for which nobody has chosen one: what a
// router advertises (RFC 4861 6.3.4), else the stack's.
func (nif *Netif) hopLimit6() uint8 {
	if nif.v6.hops != 0 {
		return nif.v6.hops
	}
	return nif.s.cfg.TTL
}

// mtu6 is the longest IPv6 packet on the link.
func (nif *Netif) mtu6() int {
	if m := nif.v6.mtu; m != 0 {
		return min(m, nif.mtu)
	}
	return nif.mtu
}

// Addr6 is an IPv6 address of an interface as Addrs6 shows it. Times are those of
// the stack's clock, Forever for no end.
type Addr6 struct {
	Prefix                           netip.Prefix
	Tentative, Duplicate, Deprecated bool
	Auto                             bool // made of a router's prefix
	Valid, Preferred                 int64
}

// Addrs6 are the interface's IPv6 addresses in any state (netif_ip6_addr_state),
// in the order they were added.
func (nif *Netif) Addrs6() []Addr6 {
	out := make([]Addr6, 0, len(nif.v6.addrs))
	for _, a := range nif.v6.addrs {
		out = append(out, Addr6{Prefix: a.prefix, Tentative: a.state == addrTentative, Duplicate: a.state == addrDuplicate,
			Deprecated: a.state == addrDeprecated, Auto: a.auto, Valid: a.valid, Preferred: a.preferred})
	}
	return out
}
