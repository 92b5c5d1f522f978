package header

import "encoding/binary"

// Lengths of neighbour discovery messages without options, in bytes.
const (
	NDSolicitLen       = 24
	NDAdvertLen        = 24
	NDRouterSolicitLen = 8
	NDRouterAdvertLen  = 16
	NDRedirectLen      = 40
)

// NDHopLimit is the hop limit that all neighbour discovery is sent with and
// must arrive with: no router forwards it so (RFC 4861 3.1).
const NDHopLimit = 255

// Flags of a neighbour advertisement (RFC 4861 4.4).
const (
	NDFlagRouter    uint8 = 0x80
	NDFlagSolicited uint8 = 0x40
	NDFlagOverride  uint8 = 0x20
)

// Flags of a router advertisement (RFC 4861 4.2).
const (
	NDFlagManaged uint8 = 0x80
	NDFlagOther   uint8 = 0x40
)

// NDSolicit is a view of a neighbour solicitation (RFC 4861 4.3):
//
//	0 ICMPv6 type, code, checksum | 4 reserved | 8 target
type NDSolicit [NDSolicitLen]byte

// NDAdvert is a view of a neighbour advertisement (RFC 4861 4.4):
//
//	0 ICMPv6 type, code, checksum | 4 flags | 8 target
type NDAdvert [NDAdvertLen]byte

// NDRouterSolicit is a view of a router solicitation (RFC 4861 4.1):
//
//	0 ICMPv6 type, code, checksum | 4 reserved
type NDRouterSolicit [NDRouterSolicitLen]byte

// NDRouterAdvert is a view of a router advertisement (RFC 4861 4.2):
//
//	0 ICMPv6 type, code, checksum | 4 hop limit | 5 flags | 6 router lifetime
//	8 reachable time | 12 retransmission timer
type NDRouterAdvert [NDRouterAdvertLen]byte

// NDRedirect is a view of a redirect (RFC 4861 4.5):
//
//	0 ICMPv6 type, code, checksum | 4 reserved | 8 target | 24 destination
type NDRedirect [NDRedirectLen]byte

// ndGate checks what RFC 4861 asks of all messages: hop limit 255 (it came
// from this link), code 0, length, whole options of length over 0.
func ndGate(ip *IPv6, b []byte, size int) (NDOptions, Fault) {
	if len(b) < size {
		return NDOptions{}, FaultNDShort
	}
	if ip.HopLimit() != NDHopLimit {
		return NDOptions{}, FaultNDHopLimit
	}
	if b[1] != 0 {
		return NDOptions{}, FaultNDCode
	}
	return parseNDOptions(b[size:])
}

// ParseNDSolicit is the gate of neighbour solicitations, all of RFC 4861 7.1.1
// but the checksum: b is the whole ICMPv6 message of the packet ip. From the
// unspecified source, as in duplicate address detection, it must go to a
// solicited-node address and name no link address.
func ParseNDSolicit(ip *IPv6, b []byte) (*NDSolicit, NDOptions, Fault) {
	opts, f := ndGate(ip, b, NDSolicitLen)
	if f != OK {
		return nil, NDOptions{}, f
	}
	h := (*NDSolicit)(b)
	if h.Target().IsMulticast() {
		return nil, NDOptions{}, FaultNDAddr
	}
	if ip.Src().IsZero() {
		if d := ip.Dst(); d != d.SolicitedNode() {
			return nil, NDOptions{}, FaultNDAddr
		}
		if opts.Has(NDOptSourceLink) {
			return nil, NDOptions{}, FaultNDOption
		}
	}
	return h, opts, OK
}

// ParseNDAdvert is the gate of neighbour advertisements, all of RFC 4861 7.1.2
// but the checksum: b is the whole ICMPv6 message of the packet ip. To a
// multicast destination the solicited flag must not be set.
func ParseNDAdvert(ip *IPv6, b []byte) (*NDAdvert, NDOptions, Fault) {
	opts, f := ndGate(ip, b, NDAdvertLen)
	if f != OK {
		return nil, NDOptions{}, f
	}
	h := (*NDAdvert)(b)
	if h.Target().IsMulticast() || ip.Dst().IsMulticast() && h.Flags()&NDFlagSolicited != 0 {
		return nil, NDOptions{}, FaultNDAddr
	}
	return h, opts, OK
}

// ParseNDRouterSolicit is the gate of router solicitations, all of RFC 4861
// 6.1.1 but the checksum: b is the whole ICMPv6 message of the packet ip. From
// the unspecified source it must name no link address.
func ParseNDRouterSolicit(ip *IPv6, b []byte) (*NDRouterSolicit, NDOptions, Fault) {
	opts, f := ndGate(ip, b, NDRouterSolicitLen)
	if f != OK {
		return nil, NDOptions{}, f
	}
	if ip.Src().IsZero() && opts.Has(NDOptSourceLink) {
		return nil, NDOptions{}, FaultNDOption
	}
	return (*NDRouterSolicit)(b), opts, OK
}

// ParseNDRouterAdvert is the gate of router advertisements, all of RFC 4861
// 6.1.2 but the checksum: b is the whole ICMPv6 message of the packet ip. The
// source must be link-local.
func ParseNDRouterAdvert(ip *IPv6, b []byte) (*NDRouterAdvert, NDOptions, Fault) {
	opts, f := ndGate(ip, b, NDRouterAdvertLen)
	if f != OK {
		return nil, NDOptions{}, f
	}
	if !ip.Src().IsLinkLocal() {
		return nil, NDOptions{}, FaultNDAddr
	}
	return (*NDRouterAdvert)(b), opts, OK
}

// ParseNDRedirect is the gate of redirects, all of RFC 4861 8.1 but the
// checksum and that the source is the router in use: b is the whole ICMPv6
// message of the packet ip. The source must be link-local, the destination not
// multicast, the target link-local or the destination itself.
func ParseNDRedirect(ip *IPv6, b []byte) (*NDRedirect, NDOptions, Fault) {
	opts, f := ndGate(ip, b, NDRedirectLen)
	if f != OK {
		return nil, NDOptions{}, f
	}
	h := (*NDRedirect)(b)
	t, d := h.Target(), h.Destination()
	if !ip.Src().IsLinkLocal() || d.IsMulticast() || !t.IsLinkLocal() && t != d {
		return nil, NDOptions{}, FaultNDAddr
	}
	return h, opts, OK
}

// getAddr reads an address in network order.
func getAddr(b *[16]byte) Addr {
	return Addr{binary.BigEndian.Uint64(b[0:8]), binary.BigEndian.Uint64(b[8:16])}
}

// Target returns the address that is asked for.
func (h *NDSolicit) Target() Addr { return getAddr((*[16]byte)(h[8:24])) }

// Encode fills the 24 bytes with a checksum of 0.
func (h *NDSolicit) Encode(target Addr) {
	(*ICMPv6)(h[0:8]).Encode(ICMPv6NeighborSol, 0, 0)
	putAddr((*[16]byte)(h[8:24]), target.Unzoned())
}

// Flags returns NDFlagRouter, NDFlagSolicited and NDFlagOverride.
func (h *NDAdvert) Flags() uint8 { return h[4] }

// Target returns the address that is advertised.
func (h *NDAdvert) Target() Addr { return getAddr((*[16]byte)(h[8:24])) }

// Encode fills the 24 bytes with a checksum of 0.
func (h *NDAdvert) Encode(target Addr, flags uint8) {
	(*ICMPv6)(h[0:8]).Encode(ICMPv6NeighborAdv, 0, uint32(flags)<<24)
	putAddr((*[16]byte)(h[8:24]), target.Unzoned())
}

// Encode fills the 8 bytes with a checksum of 0.
func (h *NDRouterSolicit) Encode() { (*ICMPv6)(h[0:8]).Encode(ICMPv6RouterSolicit, 0, 0) }

// HopLimit returns the hop limit that hosts should use; 0 = not said.
func (h *NDRouterAdvert) HopLimit() uint8 { return h[4] }

// Flags returns NDFlagManaged, NDFlagOther and others.
func (h *NDRouterAdvert) Flags() uint8 { return h[5] }

// Lifetime returns how long the router may be the default router, in seconds;
// 0 = it is none.
func (h *NDRouterAdvert) Lifetime() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// ReachableTime returns in milliseconds how long a neighbour counts as
// reachable once confirmed; 0 = not said.
func (h *NDRouterAdvert) ReachableTime() uint32 { return binary.BigEndian.Uint32(h[8:12]) }

// RetransTimer returns the time between solicitations in milliseconds; 0 = not
// said.
func (h *NDRouterAdvert) RetransTimer() uint32 { return binary.BigEndian.Uint32(h[12:16]) }

// NDRouterAdvertFields is what varies in a router advertisement; units as in
// the accessors.
type NDRouterAdvertFields struct {
	HopLimit      uint8
	Flags         uint8
	Lifetime      uint16
	ReachableTime uint32
	RetransTimer  uint32
}

// Encode fills the 16 bytes with a checksum of 0.
func (h *NDRouterAdvert) Encode(f *NDRouterAdvertFields) {
	rest := uint32(f.HopLimit)<<24 | uint32(f.Flags)<<16 | uint32(f.Lifetime)
	(*ICMPv6)(h[0:8]).Encode(ICMPv6RouterAdvert, 0, rest)
	binary.BigEndian.PutUint32(h[8:12], f.ReachableTime)
	binary.BigEndian.PutUint32(h[12:16], f.RetransTimer)
}

// Target returns the better first hop; equal to Destination if that is on the
// link.
func (h *NDRedirect) Target() Addr { return getAddr((*[16]byte)(h[8:24])) }

// Destination returns the address whose first hop changes.
func (h *NDRedirect) Destination() Addr { return getAddr((*[16]byte)(h[24:40])) }

// Encode fills the 40 bytes with a checksum of 0.
func (h *NDRedirect) Encode(target, destination Addr) {
	(*ICMPv6)(h[0:8]).Encode(ICMPv6Redirect, 0, 0)
	putAddr((*[16]byte)(h[8:24]), target)
	putAddr((*[16]byte)(h[24:40]), destination)
}
