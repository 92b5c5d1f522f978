package stack

import (
	"github.com/shardstack/shardstack/header"
)

// nudState is what neighbour unreachability detection (RFC 4861 7.3) knows of a
// neighbour whose MAC is known.
type nudState uint8

const (
	nudNone      nudState = iota // not IPv6, or static
	nudReachable                 // it was heard of not long ago
	nudStale                     // not heard of; nobody asks as long as nothing is sent
	nudDelay                     // something was sent: an upper layer may hear of it
	nudProbe                     // it is being asked
)

// nd6Sent notes that a packet goes to a neighbour: if it was not heard of for
// long, it is going to be asked (RFC 4861 7.3.3).
func (s *Stack) nd6Sent(n *neighbor) {
	if n.nud == nudStale {
		n.nud, n.asked = nudDelay, s.now
		s.arpWakeAt(s.now + nd6DelayProbe)
	}
}

// nd6Hint notes that an upper layer has heard of a neighbour: it is reachable
// (RFC 4861 7.3.1, nd6_reachability_hint).
func (s *Stack) nd6Hint(n *neighbor) {
	if n.nud > nudNone {
		n.confirmed = s.now
		if n.nud != nudReachable {
			s.nd6Confirm(n)
		}
	}
}

// nd6Confirm makes a neighbour REACHABLE.
func (s *Stack) nd6Confirm(n *neighbor) {
	n.nud, n.confirmed, n.tries = nudReachable, s.now, 0
	s.arpWakeAt(s.now + n.nif.v6.reachable)
	s.routerWorks(n)
}

// nd6LearnStale books what a node has said of itself by sending something: its
// entry is made or, if the MAC is another, changed, and STALE (RFC 4861 7.2.3,
// 6.3.4).
func (s *Stack) nd6LearnStale(nif *Netif, e *ND6Event) {
	n := s.arp.find(nif, e.Addr)
	if n == nil {
		if n = s.newNeighbor(nif, e.Addr); n == nil {
			return
		}
	}
	if !n.dynamic() {
		return
	}
	n.router = n.router || e.Flags&header.NDFlagRouter != 0
	if n.usable() && n.mac == e.MAC {
		return
	}
	n.nud = nudStale
	s.neighborResolved(n, e.MAC)
}

// nd6LearnAdvert books what an advertisement says (RFC 4861 7.2.5).
func (s *Stack) nd6LearnAdvert(nif *Netif, e *ND6Event) {
	n := s.arp.find(nif, e.Addr)
	if n == nil || !n.dynamic() {
		return // RFC 4861 7.2.5: nobody wants to know
	}
	solicited := e.Flags&header.NDFlagSolicited != 0
	if n.state == neighPending {
		if !e.HasMAC {
			return
		}
		n.router = e.Flags&header.NDFlagRouter != 0
		n.nud = nudStale
		s.neighborResolved(n, e.MAC)
		if solicited {
			s.nd6Confirm(n)
		}
		return
	}
	changed := e.HasMAC && n.mac != e.MAC
	if changed && e.Flags&header.NDFlagOverride == 0 {
		if n.nud == nudReachable {
			n.nud = nudStale
		}
		return
	}
	if changed {
		n.setMAC(e.MAC)
		n.nud = nudStale
		s.stats.ND6.Updates++
	}
	if solicited {
		s.nd6Confirm(n)
	}
	if was := n.router; e.Flags&header.NDFlagRouter != 0 {
		n.router = true
	} else if n.router = false; was {
		s.routerGone(nif, n.addr) // RFC 4861 7.2.5: it routes no more
	}
}

// nd6Resolve asks for an IPv6 neighbour's MAC, all that are in its solicited-node
// group or, once it is known, itself (RFC 4861 7.2.2, 7.3.3).
func (s *Stack) nd6Resolve(n *neighbor) {
	if h := s.hooks.NeighborProbe; h != nil && h(n.nif, n.addr) {
		return
	}
	src, ok := n.nif.sourceFor6(n.addr)
	if !ok {
		return
	}
	if p := n.queue.Head(); p != nil { // RFC 4861 7.2.2: rather that of the packet that waits
		if from := (*header.IPv6)(p.Payload()).Src().WithZone(n.nif.index); s.localNetif(from) == n.nif {
			src = from
		}
	}
	dst := n.addr
	if !n.usable() {
		dst = dst.SolicitedNode()
	}
	s.nd6Ask(n.nif, n.addr, src, dst)
}

// nd6Query asks, and sees to it that the timer asks again.
func (s *Stack) nd6Query(n *neighbor) {
	n.tries++
	n.asked = s.now
	s.arpWakeAt(s.now + n.nif.v6.retrans)
	s.nd6Resolve(n)
}

// nd6Age brings an IPv6 entry of the neighbour table up to date (RFC 4861 7.3.3).
// It may remove it.
func (s *Stack) nd6Age(n *neighbor) {
	switch {
	case n.state == neighPending:
		s.nd6RetryPending(n)
	case n.nud == nudReachable:
		v := &n.nif.v6
		if s.now >= v.renewAt {
			s.nd6Renew(n.nif)
		}
		if end := n.confirmed + v.reachable; s.now < end {
			s.arpWakeAt(end)
			return
		}
		n.nud = nudStale
		s.arpWakeAt(s.now + int64(s.cfg.ARP.MaxAge))
	case n.nud == nudStale:
		if end := max(n.confirmed, n.used) + int64(s.cfg.ARP.MaxAge); s.now < end {
			s.arpWakeAt(end)
			return
		}
		s.stats.ND6.Expired++
		s.removeNeighbor(n, DropARPUnresolved)
	case n.nud == nudDelay:
		if end := n.asked + nd6DelayProbe; s.now < end {
			s.arpWakeAt(end)
			return
		}
		n.nud, n.tries = nudProbe, 0
		s.nd6Query(n)
	case n.nud == nudProbe:
		if end := n.asked + n.nif.v6.retrans; s.now < end {
			s.arpWakeAt(end)
		} else if n.tries < nd6Unicasts {
			s.nd6Query(n)
		} else {
			s.nd6Unreachable(n)
		}
	}
}

// nd6RetryPending repeats a question or gives up: then who sent what waited is
// told, if it was not us (RFC 4861 7.2.2).
func (s *Stack) nd6RetryPending(n *neighbor) {
	switch due := n.asked + n.nif.v6.retrans; {
	case n.tries == 0: // looked up, nothing sent yet
	case s.now < due:
		s.arpWakeAt(due)
	case n.tries < nd6Multicasts:
		s.nd6Query(n)
	default:
		for p := n.queue.Pop(); p != nil; p = n.queue.Pop() {
			if p.Flags&flagForwarded != 0 {
				s.icmp6Error(n.nif, p, header.ICMPv6DstUnreachable, header.ICMPv6AddrUnreachable, 0)
			}
			s.drop(p, DropARPUnresolved)
		}
		s.nd6Unreachable(n)
	}
}

// nd6Unreachable forgets a neighbour that does not answer; if it is a router,
// another is taken (RFC 4861 7.3.3, 6.3.6).
func (s *Stack) nd6Unreachable(n *neighbor) {
	s.stats.ND6.Unreachable++
	nif, addr := n.nif, n.addr
	s.removeNeighbor(n, DropARPUnresolved)
	s.routerFailed(nif, addr)
}
