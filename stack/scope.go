package stack

import (
	"net/netip"
	"strconv"

	"github.com/shardstack/shardstack/header"
)

// Zones (RFC 4007): inside the stack, an address of link-local scope carries the
// index of its interface (header.Addr.WithZone). Applications write it as
// "fe80::1%name", or with the index instead of the name.

// scoped is an application's address as the stack has it. Without a zone, one of
// link-local scope is on the default zone: the first interface that has IPv6
// (RFC 4007 6), as with lwIP's ip6_addr_select_zone.
func (s *Stack) scoped(a netip.Addr) header.Addr {
	if a.Is4() {
		return header.AddrFrom4(a.As4())
	}
	x := header.FromNetip(a.Unmap())
	if x.NeedsZone() {
		x = x.WithZone(s.zone(a.Zone()))
	}
	return x
}

// zone is the number of a zone; 0: there is no such interface.
func (s *Stack) zone(name string) uint8 {
	if name == "" {
		for _, nif := range s.netifs {
			if nif.v6.on {
				return nif.index
			}
		}
		return 0
	}
	for _, nif := range s.netifs {
		if nif.name == name {
			return nif.index
		}
	}
	if n, err := strconv.ParseUint(name, 10, 8); err == nil && s.netifAt(uint8(n)) != nil {
		return uint8(n)
	}
	return 0
}

// netifAt is the interface with an index, nil if there is none.
func (s *Stack) netifAt(index uint8) *Netif {
	if index == 0 || int(index) > len(s.netifs) {
		return nil
	}
	return s.netifs[index-1]
}

// netip is an address as applications have it.
func (s *Stack) netip(a header.Addr) netip.Addr {
	if nif := s.netifAt(a.Zone()); nif != nil {
		// The interface keeps the name's handle alive: nothing is allocated.
		return a.Unzoned().Netip().WithZone(nif.name)
	}
	return a.Netip()
}

// addrPort is an end as applications have it. The zero address is "any".
func (s *Stack) addrPort(a header.Addr, port uint16) netip.AddrPort {
	if a.IsZero() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), port)
	}
	return netip.AddrPortFrom(s.netip(a), port)
}

// Scoped converts an application's address to the stack's form, in which
// addresses of link-local scope carry the index of their interface. Netip is the
// way back. Hooks and flows have addresses in this form.
func (s *Stack) Scoped(a netip.Addr) header.Addr { return s.scoped(a) }

// Netip: see Scoped.
func (s *Stack) Netip(a header.Addr) netip.Addr { return s.netip(a) }

// family says which packets a PCB that is bound to no address takes, as lwIP's
// IPADDR_TYPE_ANY, V4 and V6 do.
type family uint8

const (
	familyAny family = iota // netip.Addr{}: both
	family4                 // 0.0.0.0
	family6                 // ::
)

// takes reports whether packets to local are of the family.
func (f family) takes(local header.Addr) bool {
	return f == familyAny || local.Is4() == (f == family4)
}

// clashes reports whether two PCBs that are bound to no address take the same
// packets.
func (f family) clashes(g family) bool { return f == familyAny || g == familyAny || f == g }

// bindAddr splits an application's address into the stack's form, zero for all
// kinds of "any", and the family.
func (s *Stack) bindAddr(a netip.Addr) (header.Addr, family) {
	switch {
	case !a.IsValid():
		return header.Addr{}, familyAny
	case a.Unmap() == netip.IPv4Unspecified():
		return header.Addr{}, family4
	case a.WithZone("") == netip.IPv6Unspecified():
		return header.Addr{}, family6
	case a.Unmap().Is4():
		return s.scoped(a), family4
	}
	return s.scoped(a), family6
}

// peerAddr is an application's address of a remote end; zero for any "any".
func (s *Stack) peerAddr(a netip.Addr) header.Addr {
	if !a.IsValid() || a.IsUnspecified() {
		return header.Addr{}
	}
	return s.scoped(a)
}
