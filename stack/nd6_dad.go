package stack

import (
	"github.com/shardstack/shardstack/header"
)

// Duplicate address detection and the lives of addresses (RFC 4862 5.4, 5.5.4).

// nd6Addresses goes on with what the interface's addresses wait for.
func (s *Stack) nd6Addresses(nif *Netif) {
	for i := 0; i < len(nif.v6.addrs); i++ {
		a := &nif.v6.addrs[i]
		if s.now >= a.valid {
			nif.remove6(i)
			i--
			continue
		}
		s.nd6WakeAt(a.valid)
		switch a.state {
		case addrTentative:
			if !s.cfg.IPv6.Follower && nif.up {
				s.nd6Detect(nif, a)
			}
		case addrPreferred:
			if s.now >= a.preferred {
				a.state = addrDeprecated
				s.pathGen++ // new paths choose another source
			} else {
				s.nd6WakeAt(a.preferred)
			}
		}
	}
}

// nd6Detect sends the next probe for a tentative address, or makes it ours when
// all were sent and nobody has objected (RFC 4862 5.4).
func (s *Stack) nd6Detect(nif *Netif, a *addr6) {
	if s.now < a.probeAt {
		s.nd6WakeAt(a.probeAt)
		return
	}
	if int(a.probes) >= s.cfg.IPv6.DADTransmits {
		s.nd6Happens(nif, ND6Event{Kind: ND6Ready, Addr: a.addr})
		return
	}
	a.probes++
	a.probeAt = s.now + nif.v6.retrans
	s.nd6WakeAt(a.probeAt)
	s.nd6Ask(nif, a.addr, header.Addr{}, a.addr.SolicitedNode())
}

// nd6TakeAddress takes an address that was made of a router's prefix, or new
// lifetimes of it (RFC 4862 5.5.3).
func (s *Stack) nd6TakeAddress(nif *Netif, e *ND6Event) {
	a := nif.addr6(e.Addr)
	if a == nil {
		if nif.enable6() != nil || nif.autos6() >= maxAutos6 {
			return
		}
		nif.addAddr6(addr6{addr: e.Addr, prefix: prefixOf(e.Addr, e.Bits), auto: true, valid: e.Valid, preferred: e.Preferred}, true)
		return
	}
	if !a.auto {
		return
	}
	a.valid, a.preferred = e.Valid, e.Preferred
	switch {
	case a.state == addrDeprecated && s.now < a.preferred:
		a.state = addrPreferred
		s.pathGen++
	case a.state == addrPreferred && s.now >= a.preferred:
		a.state = addrDeprecated
		s.pathGen++
	}
	s.nd6WakeAt(min(a.valid, a.preferred))
}

// What routers can make an interface have, however many prefixes they advertise.
const (
	maxAutos6    = 16
	maxPrefixes6 = 64
)

// autos6 is how many addresses are made of routers' prefixes.
func (nif *Netif) autos6() (n int) {
	for i := range nif.v6.addrs {
		if nif.v6.addrs[i].auto {
			n++
		}
	}
	return n
}

// nd6Down forgets what the link has told, as the next time it may be another
// (RFC 4862 5.3.2); nd6Up begins anew.
func (s *Stack) nd6Down(nif *Netif) {
	v := &nif.v6
	s.dropRouters(nif)
	for i := len(v.prefixes) - 1; i >= 0; i-- {
		if v.prefixes[i].refs <= 0 {
			v.prefixes = removeAt(v.prefixes, i)
		}
	}
	for i := len(v.addrs) - 1; i >= 0; i-- {
		if v.addrs[i].auto {
			nif.remove6(i)
		}
	}
	v.hops, v.mtu, v.solicits = 0, 0, 0
}

// nd6Up looks for duplicates of all addresses again.
func (s *Stack) nd6Up(nif *Netif) {
	if !nif.v6.on {
		return
	}
	s.mldAgain(nif)
	if s.cfg.IPv6.DADTransmits < 0 {
		return
	}
	for i := range nif.v6.addrs {
		a := &nif.v6.addrs[i]
		if a.state == addrDuplicate {
			nif.join(a.addr.SolicitedNode())
		}
		a.state, a.probes, a.probeAt = addrTentative, 0, s.now
	}
	s.localRebuild()
	s.pathGen++
	s.nd6WakeAt(s.now)
}
