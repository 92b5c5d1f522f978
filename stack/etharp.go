package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Address resolution (RFC 826, RFC 1122 2.3.2, RFC 5227):
//
//	neighborOutput → arpQuery: ask, and ask again (arpTimer) until arpInput
//	learns the answer or the tries are used up.
//
// An entry lives for MaxAge after the neighbour was last heard of. One that is
// in use is asked for again in the last tenth of that, its station first, then
// everybody, so that traffic does not stop for it (ETHARP_STATE_STABLE_REREQUESTING).

const (
	arpRetry  = 1_000_000_000 // RFC 1122 2.3.2.1: at most one request a second
	arpDefend = 10 * arpRetry // RFC 5227 1.1: DEFEND_INTERVAL
)

func (s *Stack) arpInit() {
	s.arp.init(s.cfg.ARP.Size)
	s.arp.timer = s.every(arpRetry, (*Stack).arpTimer)
}

// arpClose frees the packets that wait.
func (s *Stack) arpClose() {
	s.eachNeighbor(func(n *neighbor) { n.queue.FreeAll() })
}

// arpInput takes an ARP packet, payload at the ARP header, from the station
// linkSrc. It owns p.
func (s *Stack) arpInput(nif *Netif, linkSrc header.MAC, p *pbuf.Pbuf) {
	h, fault := header.ParseARP(p.Payload())
	if fault != 0 || !validStation(linkSrc) || !validStation(h.SenderMAC()) {
		// RFC 1812 3.3.2: no station is a broadcast or multicast address.
		s.drop(p, DropARPMalformed)
		return
	}
	mac, sender, target := h.SenderMAC(), h.SenderIP(), h.TargetIP()
	forUs := nif.hasAddr(target)
	switch {
	case nif.hasAddr(sender):
		if mac != nif.mac {
			s.arpConflict(nif, sender)
		}
	case !sender.IsUnspecified() && !sender.IsMulticast() && !nif.isBroadcast(sender):
		// RFC 826: update what we know; add only who wants something of us.
		s.arpLearn(nif, sender, mac, forUs && nif.onLink(sender), forUs && h.Op() == header.ARPReply)
	}
	switch h.Op() { // RFC 826: looked at last
	case header.ARPRequest:
		s.stats.ARP.InRequests++
		if forUs {
			s.arpReply(nif, h)
		}
	case header.ARPReply:
		s.stats.ARP.InReplies++
	default:
		s.drop(p, DropARPMalformed)
		return
	}
	p.Free()
}

// validStation reports whether m can be the address of a station.
func validStation(m header.MAC) bool { return !m.IsMulticast() && !m.IsZero() }

// arpReply answers a request for one of our addresses (RFC 826); a probe, whose
// sender is 0.0.0.0, as well (RFC 5227 2.1.1).
func (s *Stack) arpReply(nif *Netif, req *header.ARP) {
	f := header.ARPFields{
		Op: header.ARPReply, SenderMAC: nif.mac, SenderIP: req.TargetIP(),
		TargetMAC: req.SenderMAC(), TargetIP: req.SenderIP(),
	}
	if s.arpSend(nif, f.TargetMAC, &f) {
		s.stats.ARP.OutReplies++
	}
}

// arpSend sends an ARP packet. False: no buffer (counted).
func (s *Stack) arpSend(nif *Netif, dst header.MAC, f *header.ARPFields) bool {
	p := s.alloc(pbuf.LayerLink, header.ARPLen, pbuf.KindRAM)
	if p == nil {
		s.stats.Drops[DropNoBuf]++
		return false
	}
	(*header.ARP)(p.Payload()).Encode(f)
	s.ethernetOutput(nif, p, dst, header.EtherTypeARP)
	return true
}

// arpConflict deals with another station that uses our address: it is told, but
// not more often than every 10 s, that the address is ours (RFC 5227 2.4 (c)).
func (s *Stack) arpConflict(nif *Netif, addr header.Addr) {
	s.stats.ARP.Conflicts++
	for i := range nif.addrs {
		if a := &nif.addrs[i]; a.addr == addr && (a.defended == 0 || s.now >= a.defended+arpDefend) {
			a.defended = s.now
			s.arpAnnounce(nif, addr)
		}
	}
}

// arpAnnounce tells everybody that addr is ours: a gratuitous request for our
// own address (RFC 5227 3, etharp_gratuitous).
func (s *Stack) arpAnnounce(nif *Netif, addr header.Addr) {
	f := header.ARPFields{Op: header.ARPRequest, SenderMAC: nif.mac, SenderIP: addr, TargetIP: addr}
	if addr.Is4() && !addr.IsLoopback() && s.arpSend(nif, header.Broadcast, &f) {
		s.stats.ARP.OutRequests++
	}
}

// arpLearn books that addr has this MAC. create: make an entry if there is
// none; confirms: an answer to us, which NeighborLearned hears of even if it is
// no news, because another shard may have asked.
func (s *Stack) arpLearn(nif *Netif, addr header.Addr, mac header.MAC, create, confirms bool) {
	n := s.arp.find(nif, addr)
	if n == nil && create {
		n = s.newNeighbor(nif, addr)
	}
	if n == nil || !n.dynamic() {
		return
	}
	news := n.state == neighPending || n.mac != mac
	s.neighborResolved(n, mac)
	if h := s.hooks.NeighborLearned; h != nil && (news || confirms) {
		h(nif, addr, mac)
	}
}

// LearnNeighbor books that nif's neighbour addr has this MAC, as an ARP packet
// for us would. A group of shards calls it on those that did not receive the
// packet; NeighborLearned is not called. Static entries stay.
func (s *Stack) LearnNeighbor(nif *Netif, addr header.Addr, mac header.MAC) {
	n := s.arp.find(nif, addr)
	if n == nil && addr.Is4() && nif.onLink(addr) && !nif.hasAddr(addr) {
		n = s.newNeighbor(nif, addr)
	}
	if n != nil && n.dynamic() && validStation(mac) {
		s.neighborResolved(n, mac)
	}
}

// neighborResolved makes an entry stable and sends what waited for it.
func (s *Stack) neighborResolved(n *neighbor, mac header.MAC) {
	if n.state != neighStatic {
		n.state = neighStable
		s.arpWakeAt(s.now + int64(s.cfg.ARP.MaxAge)*9/10)
	}
	n.setMAC(mac)
	n.confirmed, n.tries = s.now, 0
	if n.addr.Is4() {
		s.stats.ARP.Updates++
	} else {
		s.stats.ND6.Updates++
	}
	for p := n.queue.Pop(); p != nil; p = n.queue.Pop() {
		s.neighborOutput(n.nif, n, p, n.etherType())
	}
}

// arpQuery asks for a neighbour's MAC (etharp_query) and sees to it that
// arpTimer asks again.
func (s *Stack) arpQuery(n *neighbor) {
	if !n.addr.Is4() {
		s.nd6Query(n)
		return
	}
	dst := header.Broadcast
	if n.usable() && s.now < n.confirmed+int64(s.cfg.ARP.MaxAge)*19/20 {
		dst = n.mac // RFC 1122 2.3.2.1 (2): unicast poll
	}
	n.tries++
	n.asked = s.now
	s.arpWakeAt(s.now + arpRetry)
	s.arpRequest(n, dst)
}

// arpRequest sends a request for a neighbour to dst (etharp_request_dst).
func (s *Stack) arpRequest(n *neighbor, dst header.MAC) {
	if h := s.hooks.NeighborProbe; h != nil && h(n.nif, n.addr) {
		return
	}
	src, ok := n.nif.sourceFor(n.addr)
	if !ok {
		return
	}
	f := header.ARPFields{Op: header.ARPRequest, SenderMAC: n.nif.mac, SenderIP: src, TargetIP: n.addr}
	if s.arpSend(n.nif, dst, &f) {
		s.stats.ARP.OutRequests++
	}
}

// arpWakeAt makes arpTimer run at that time at the latest.
func (s *Stack) arpWakeAt(at int64) {
	c := &s.cyclic[s.arp.timer]
	if !c.active || at < c.at {
		c.active, c.at = true, at
	}
}

// arpTimer asks again, refreshes and ages out what is due, and sets the timer
// to when the next entry is (etharp_tmr).
func (s *Stack) arpTimer() {
	s.stopCyclic(s.arp.timer)
	s.eachNeighbor(func(n *neighbor) {
		switch {
		case n.dynamic() && !n.addr.Is4():
			s.nd6Age(n)
		case n.state == neighPending:
			s.arpRetryPending(n)
		case n.state == neighStable:
			s.arpAge(n)
		}
	})
}

// arpRetryPending repeats a request or gives up: then what waited is dropped,
// and who sent it is told if it was not us (RFC 1812 5.2.7.1, code 1).
func (s *Stack) arpRetryPending(n *neighbor) {
	switch due := n.asked + arpRetry; {
	case n.tries == 0: // looked up, nothing sent yet
	case s.now < due:
		s.arpWakeAt(due)
	case int(n.tries) < s.cfg.ARP.Retries:
		s.arpQuery(n)
	default:
		for p := n.queue.Pop(); p != nil; p = n.queue.Pop() {
			if p.Flags&flagForwarded != 0 {
				s.icmpError(n.nif, p, header.ICMPv4DstUnreachable, header.ICMPv4HostUnreachable, 0)
			}
			s.drop(p, DropARPUnresolved)
		}
		s.removeNeighbor(n, DropARPUnresolved)
	}
}

// arpAge refreshes an entry in the last tenth of its life, if it was used within
// the last second, and removes it at the end.
func (s *Stack) arpAge(n *neighbor) {
	maxAge := int64(s.cfg.ARP.MaxAge)
	end, old := n.confirmed+maxAge, n.confirmed+maxAge*9/10
	switch {
	case s.now >= end:
		s.stats.ARP.Expired++
		s.removeNeighbor(n, DropARPUnresolved)
		return
	case s.now < old:
		s.arpWakeAt(old)
		return
	case n.used != 0 && n.used+arpRetry >= s.now && (n.tries == 0 || n.asked+2*arpRetry <= s.now):
		s.arpQuery(n)
	}
	s.arpWakeAt(min(end, s.now+arpRetry))
}

// arpFlush drops an interface's dynamic entries (etharp_cleanup_netif).
func (s *Stack) arpFlush(nif *Netif) {
	s.eachNeighbor(func(n *neighbor) {
		if n.nif == nif && n.state != neighStatic {
			s.removeNeighbor(n, DropNetifDown)
		}
	})
	s.pathGen++
}

// arpAddrsChanged removes what the table holds because of, or in spite of, our
// own addresses, after they have changed.
func (s *Stack) arpAddrsChanged() {
	s.eachNeighbor(func(n *neighbor) {
		if n.state != neighStatic && (!n.dynamic() || s.isLocal(n.addr) || n.nif.isBroadcast(n.addr)) {
			s.removeNeighbor(n, DropARPUnresolved)
		}
	})
}

// scoped is an address on the interface's link as the stack has it, whatever zone
// ip says.
func (nif *Netif) scoped(ip netip.Addr) header.Addr {
	if nif == nil {
		return header.Addr{}
	}
	return header.FromNetip(ip.Unmap()).WithZone(nif.index)
}

// AddNeighbor sets the MAC of a neighbour for good, in place of what ARP or
// neighbour discovery says (etharp_add_static_entry). ErrVal: not an address or MAC of a single host;
// ErrMem: Config.ARP.Size static entries exist.
func (s *Stack) AddNeighbor(nif *Netif, ip netip.Addr, mac header.MAC) error {
	a := nif.scoped(ip)
	if nif == nil || nif.s != s || !a.Is4() && !nif.v6.on || a.IsUnspecified() || a.IsMulticast() || nif.isBroadcast(a) ||
		s.isLocal(a) || !validStation(mac) {
		return ErrVal
	}
	n := s.arp.find(nif, a)
	if n == nil {
		if n = s.newNeighbor(nif, a); n == nil {
			return ErrMem
		}
	}
	n.state, n.nud = neighStatic, nudNone
	s.neighborResolved(n, mac)
	return nil
}

// DelNeighbor forgets a neighbour, static or not (etharp_remove_static_entry).
// ErrVal: it is not known.
func (s *Stack) DelNeighbor(nif *Netif, ip netip.Addr) error {
	a := nif.scoped(ip)
	if nif == nil || nif.s != s {
		return ErrVal
	}
	n := s.arp.find(nif, a)
	if n == nil || n.state != neighStatic && !n.dynamic() {
		return ErrVal
	}
	s.removeNeighbor(n, DropARPUnresolved)
	return nil
}

// Neighbor is an entry of the neighbour table, as Neighbors shows it.
type Neighbor struct {
	Netif    *Netif
	Addr     netip.Addr
	MAC      header.MAC
	Static   bool
	Resolved bool  // MAC is valid
	Age      int64 // ns since it was last confirmed, if resolved
	Waiting  int   // packets that wait for it
}

// Neighbors is a copy of the neighbour table, in no order.
func (s *Stack) Neighbors() []Neighbor {
	var out []Neighbor
	s.eachNeighbor(func(n *neighbor) {
		if n.state != neighStatic && !n.dynamic() {
			return
		}
		e := Neighbor{Netif: n.nif, Addr: s.netip(n.addr), MAC: n.mac, Static: n.state == neighStatic,
			Resolved: n.usable(), Waiting: n.queue.Len()}
		if e.Resolved {
			e.Age = s.now - n.confirmed
		}
		out = append(out, e)
	})
	return out
}
