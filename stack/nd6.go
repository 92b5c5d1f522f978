package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Neighbour discovery (RFC 4861, nd6.c). What arrives is taken apart here; what
// follows from it is an event (nd6_event.go), so that a group of shards can give
// it to all. The table of neighbours is that of ARP (neighbor.go); its IPv6
// entries live by nd6_neighbor.go, routers and prefixes by nd6_router.go, our own
// addresses by nd6_dad.go.

// The constants of RFC 4861 10, in nanoseconds.
const (
	nd6Second        = 1_000_000_000
	nd6Reachable     = 30 * nd6Second // REACHABLE_TIME
	nd6Retrans       = 1 * nd6Second  // RETRANS_TIMER
	nd6DelayProbe    = 5 * nd6Second  // DELAY_FIRST_PROBE_TIME
	nd6Multicasts    = 3              // MAX_MULTICAST_SOLICIT
	nd6Unicasts      = 3              // MAX_UNICAST_SOLICIT
	nd6Solicits      = 3              // MAX_RTR_SOLICITATIONS
	nd6SolicitEvery  = 4 * nd6Second  // RTR_SOLICITATION_INTERVAL
	nd6RenewInterval = 2 * 3600 * nd6Second
)

// nd6State is its part of a Stack.
type nd6State struct {
	timer     int // index of the cyclic timer
	routers   []router6
	redirects []redirect6
	nextRedir int
}

func (s *Stack) nd6Init() { s.nd6.timer = s.every(nd6Second, (*Stack).nd6Timer) }

// nd6WakeAt makes nd6Timer run at that time at the latest.
func (s *Stack) nd6WakeAt(at int64) {
	if at == Forever {
		return
	}
	c := &s.cyclic[s.nd6.timer]
	if !c.active || at < c.at {
		c.active, c.at = true, at
	}
}

// nd6Timer does what is due and sets the timer to what is due next (nd6_tmr).
func (s *Stack) nd6Timer() {
	s.stopCyclic(s.nd6.timer)
	for _, nif := range s.netifs {
		if nif.v6.on {
			s.nd6Addresses(nif)
			s.nd6Solicits(nif)
			s.nd6Prefixes(nif)
			s.mldTimer(nif)
		}
	}
	s.nd6Routers()
}

// nd6Input takes a neighbour discovery message, payload at the ICMPv6 header,
// whose checksum is right and which lies in one buffer; ip is its IPv6 header. It
// owns p.
func (s *Stack) nd6Input(nif *Netif, p *pbuf.Pbuf, ip *header.IPv6, src, dst header.Addr) {
	b := p.Payload()
	var fault header.Fault
	st := &s.stats.ND6
	switch b[0] {
	case header.ICMPv6NeighborSol:
		st.InSolicits++
		var h *header.NDSolicit
		var opts header.NDOptions
		if h, opts, fault = header.ParseNDSolicit(ip, b); fault == 0 {
			s.nd6SolicitInput(nif, h, opts, src)
		}
	case header.ICMPv6NeighborAdv:
		st.InAdverts++
		var h *header.NDAdvert
		var opts header.NDOptions
		if h, opts, fault = header.ParseNDAdvert(ip, b); fault == 0 {
			s.nd6AdvertInput(nif, h, opts)
		}
	case header.ICMPv6RouterSolicit:
		st.InRouterSolicits++
		var opts header.NDOptions
		if _, opts, fault = header.ParseNDRouterSolicit(ip, b); fault == 0 && s.cfg.Forward {
			s.nd6Stale(nif, src, opts, header.NDOptSourceLink, false) // RFC 4861 6.2.6
		}
	case header.ICMPv6RouterAdvert:
		st.InRouterAdverts++
		var h *header.NDRouterAdvert
		var opts header.NDOptions
		if h, opts, fault = header.ParseNDRouterAdvert(ip, b); fault == 0 {
			s.nd6RouterInput(nif, h, opts, src)
		}
	case header.ICMPv6Redirect:
		st.InRedirects++
		var h *header.NDRedirect
		var opts header.NDOptions
		if h, opts, fault = header.ParseNDRedirect(ip, b); fault == 0 {
			s.nd6RedirectInput(nif, h, opts, src)
		}
	}
	if fault != 0 {
		st.InErrors++
		s.drop(p, DropND6Malformed)
		return
	}
	p.Free()
}

// nd6SolicitInput answers a question for one of our addresses (RFC 4861 7.2.3).
// About one that is tentative it is no question, but another node that wants the
// address, too, or uses it (RFC 4862 5.4.3).
func (s *Stack) nd6SolicitInput(nif *Netif, h *header.NDSolicit, opts header.NDOptions, src header.Addr) {
	target := h.Target().WithZone(nif.index)
	if s.localNetif(target) != nif {
		if src.IsZero() && nif.tentative(target) {
			s.nd6Happens(nif, ND6Event{Kind: ND6Duplicate, Addr: target})
		}
		return
	}
	to, flags := src, header.NDFlagSolicited|header.NDFlagOverride
	if src.IsZero() {
		to, flags = header.AddrAllNodes, header.NDFlagOverride
	} else {
		s.nd6Stale(nif, src, opts, header.NDOptSourceLink, false)
	}
	s.nd6Advertise(nif, target, to, flags)
}

// tentative reports whether a is an address that we want, but do not have yet.
func (nif *Netif) tentative(a header.Addr) bool {
	x := nif.addr6(a)
	return x != nil && x.state == addrTentative
}

// nd6AdvertInput learns from an advertisement (RFC 4861 7.2.5, RFC 4862 5.4.4).
func (s *Stack) nd6AdvertInput(nif *Netif, h *header.NDAdvert, opts header.NDOptions) {
	target := h.Target().WithZone(nif.index)
	if nif.tentative(target) {
		s.nd6Happens(nif, ND6Event{Kind: ND6Duplicate, Addr: target})
		return
	}
	if s.isLocal(target) {
		s.stats.ND6.Conflicts++
		return
	}
	mac, ok := opts.LinkAddr(header.NDOptTargetLink)
	if ok && !validStation(mac) {
		s.stats.ND6.InErrors++
		return
	}
	s.nd6Happens(nif, ND6Event{Kind: ND6Advert, Addr: target, MAC: mac, HasMAC: ok, Flags: h.Flags()})
}

// nd6Stale learns the link address of a node that has sent us something with an
// option of that type (RFC 4861 7.2.3, 6.2.6, 6.3.4, 8.3).
func (s *Stack) nd6Stale(nif *Netif, addr header.Addr, opts header.NDOptions, typ uint8, router bool) {
	mac, ok := opts.LinkAddr(typ)
	if !ok || !validStation(mac) || addr.IsZero() || s.isLocal(addr) {
		return
	}
	var flags uint8
	if router {
		flags = header.NDFlagRouter
	}
	n := s.arp.find(nif, addr)
	if n != nil && n.usable() && n.mac == mac && (n.router || !router) {
		return // no news
	}
	s.nd6Happens(nif, ND6Event{Kind: ND6Stale, Addr: addr, MAC: mac, HasMAC: true, Flags: flags})
}

// nd6Message makes room for an ICMPv6 message of n bytes with an option for a
// link address behind it, if opt; nil: no buffer.
func (s *Stack) nd6Message(nif *Netif, n int, opt uint8) (p *pbuf.Pbuf, b []byte) {
	size := n
	if opt != 0 {
		size += header.NDLinkAddrLen
	}
	p = s.alloc(pbuf.LayerTransport, size, pbuf.KindRAM)
	if p == nil {
		s.stats.Drops[DropNoBuf]++
		return nil, nil
	}
	b = p.Payload()
	if opt != 0 {
		header.PutNDLinkAddr(b[n:], opt, nif.mac)
	}
	return p, b
}

// nd6Send sends a message on nif. It owns p.
func (s *Stack) nd6Send(nif *Netif, p *pbuf.Pbuf, src, dst header.Addr) {
	s.icmp6Sum(p, src, dst)
	s.stats.ICMP6.OutMsgs++
	s.ip6Link(nif, p, &header.IPv6Fields{HopLimit: header.NDHopLimit, NextHeader: header.ProtoICMPv6, Src: src, Dst: dst})
}

// nd6Advertise sends a neighbour advertisement for one of our addresses (RFC 4861
// 7.2.4).
func (s *Stack) nd6Advertise(nif *Netif, target, to header.Addr, flags uint8) {
	p, b := s.nd6Message(nif, header.NDAdvertLen, header.NDOptTargetLink)
	if p == nil {
		return
	}
	if s.cfg.Forward {
		flags |= header.NDFlagRouter
	}
	(*header.NDAdvert)(b).Encode(target, flags)
	s.stats.ND6.OutAdverts++
	s.nd6Send(nif, p, target, to)
}

// nd6Ask sends a neighbour solicitation for target (RFC 4861 7.2.2), from src to
// dst: the target itself, or its solicited-node group. From the zero address it
// is a probe of duplicate address detection (RFC 4862 5.4.2).
func (s *Stack) nd6Ask(nif *Netif, target, src, dst header.Addr) {
	opt := header.NDOptSourceLink
	if src.IsZero() {
		opt = 0
	}
	p, b := s.nd6Message(nif, header.NDSolicitLen, opt)
	if p == nil {
		return
	}
	(*header.NDSolicit)(b).Encode(target)
	s.stats.ND6.OutSolicits++
	s.nd6Send(nif, p, src, dst)
}
