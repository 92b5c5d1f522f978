package header

import "math/bits"

// Addresses of link-local scope mean nothing without the link they are on
// (RFC 4007 6). A zone, the number of an interface, is held in bits 16 to 31 of
// such an address, which are 0 on the wire (RFC 4291 2.5.6), as the KAME stack
// did: so one Addr stays a key that can be compared, whatever its scope. What is
// made for the wire (IPv6.Encode and the setters, sums of pseudo-headers) leaves
// zones out.

const (
	zoneShift = 32
	zoneMask  = uint64(0xffff) << zoneShift
)

// NeedsZone tells whether a has a meaning on one link only: a unicast address in
// fe80::/10, or a multicast address of interface-local or link-local scope
// (RFC 4291 2.7).
func (a Addr) NeedsZone() bool {
	if top := a.hi >> 48; top>>6 == 0xfe80>>6 {
		return true
	} else if top>>8 == 0xff {
		return top&0xf == 1 || top&0xf == 2
	}
	return false
}

// Zone returns the number of the interface of an address of link-local scope, 0
// for one that has none, and for all others.
func (a Addr) Zone() uint8 {
	if a.NeedsZone() {
		return uint8(a.hi >> zoneShift)
	}
	return 0
}

// WithZone returns an address of link-local scope in zone z, 1 … 255, or out of
// all zones with 0; any other address as it is.
func (a Addr) WithZone(z uint8) Addr {
	if a.NeedsZone() {
		a.hi = a.hi&^zoneMask | uint64(z)<<zoneShift
	}
	return a
}

// Unzoned returns the address as it stands on the wire.
func (a Addr) Unzoned() Addr { return a.WithZone(0) }

// DirtyZone tells whether an address read from the wire has bits where a zone
// belongs: no node has such an address (RFC 4291 2.5.6).
func (a Addr) DirtyZone() bool { return a.hi&zoneMask != 0 && a.NeedsZone() }

// InterfaceID returns the modified EUI-64 interface identifier of m (RFC 4291
// appendix A, RFC 2464 4): the last eight bytes of an address.
func (m MAC) InterfaceID() uint64 {
	v := m.Uint64()
	return (v>>24<<40 | 0xfffe<<24 | v&0xffffff) ^ 1<<57
}

// WithInterfaceID returns the address of the /64 prefix of a with an interface
// identifier.
func (a Addr) WithInterfaceID(id uint64) Addr { return Addr{a.hi, id} }

// LinkLocalOf returns the link-local address of an interface identifier, without
// zone (RFC 4291 2.5.6).
func LinkLocalOf(id uint64) Addr { return Addr{0xfe80 << 48, id} }

// Groups that every node or router is in (RFC 4291 2.7.1, RFC 3810 5.2.14).
var (
	AddrAllNodes       = Addr{0xff02 << 48, 1}
	AddrAllRouters     = Addr{0xff02 << 48, 2}
	AddrMLDv2Routers   = Addr{0xff02 << 48, 0x16}
	addrAllNodesOnNode = Addr{0xff01 << 48, 1}
)

// IsAllNodes tells whether a is the group of all nodes on the link or the
// interface, in any zone.
func (a Addr) IsAllNodes() bool {
	u := a.Unzoned()
	return u == AddrAllNodes || u == addrAllNodesOnNode
}

// Scope returns the scope of an IPv6 address as multicast addresses have it
// (RFC 4291 2.7, RFC 6724 3.1): 1 interface, 2 link, 5 site, 14 global. Loopback
// counts as of link scope.
func (a Addr) Scope() uint8 {
	switch {
	case a.hi>>56 == 0xff:
		return uint8(a.hi>>48) & 0xf
	case a.hi>>54 == 0xfe80>>6, a.hi == 0 && a.lo == 1:
		return 2
	case a.hi>>54 == 0xfec0>>6:
		return 5
	}
	return 14
}

// CommonPrefix returns how many of their first bits a and b have in common, 0
// to 128.
func (a Addr) CommonPrefix(b Addr) int {
	n := bits.LeadingZeros64(a.hi ^ b.hi)
	if n == 64 {
		n += bits.LeadingZeros64(a.lo ^ b.lo)
	}
	return n
}
