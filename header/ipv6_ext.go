package header

import "encoding/binary"

// IPv6FragmentLen is the length of a fragment header in bytes.
const IPv6FragmentLen = 8

// MaxIPv6Extensions is how many extension headers the walker follows. RFC 8200
// 4.1 knows at most seven in a packet; a longer chain only burns cycles, and
// RFC 8504 5.3 allows to refuse it.
const MaxIPv6Extensions = 8

// IPv6Fragment is a view of a fragment header (RFC 8200 4.5):
//
//	0 next header | 1 reserved | 2 offset (13 bits), reserved (2), M (1) | 4 identification
type IPv6Fragment [IPv6FragmentLen]byte

// NextHeader returns what the fragmentable part starts with.
func (h *IPv6Fragment) NextHeader() Protocol { return Protocol(h[0]) }

// Offset returns where the payload belongs in the fragmentable part, in bytes.
func (h *IPv6Fragment) Offset() uint16 { return binary.BigEndian.Uint16(h[2:4]) &^ 7 }

// More returns the M flag: this is not the last fragment.
func (h *IPv6Fragment) More() bool { return h[3]&1 != 0 }

// ID returns the identification.
func (h *IPv6Fragment) ID() uint32 { return binary.BigEndian.Uint32(h[4:8]) }

// Encode fills the whole header; off is in bytes and a multiple of 8 (its three
// low bits are dropped).
func (h *IPv6Fragment) Encode(next Protocol, off uint16, more bool, id uint32) {
	h[0], h[1] = uint8(next), 0
	v := off &^ 7
	if more {
		v |= 1
	}
	binary.BigEndian.PutUint16(h[2:4], v)
	binary.BigEndian.PutUint32(h[4:8], id)
}

// IPv6OptAction is what the two high bits of an unknown option's type ask of a
// node that does not know it (RFC 8200 4.2).
type IPv6OptAction uint8

// The actions.
const (
	IPv6OptSkip          IPv6OptAction = iota // go on with the next option
	IPv6OptDrop                               // drop silently
	IPv6OptReport                             // drop, parameter problem code 2
	IPv6OptReportUnicast                      // the same, but not to a multicast destination
)

// IPv6Extensions is what lies between an IPv6 header and the upper layer.
// Offsets are in bytes from the start of the walked payload. For the pointer of
// an ICMPv6 parameter problem, which counts from the IPv6 header on, add
// IPv6Len.
type IPv6Extensions struct {
	Protocol    Protocol // of what is at Off: upper layer, or data of a fragment
	Off         int      // end of the walked headers, at most the payload's length
	NextOff     int      // the next-header byte that gave Protocol; -2 = in the IPv6 header
	Fragment    int      // offset of the fragment header; -1 = none
	Routing     int      // offset of the last routing header; -1 = none
	Options     int      // offset of an unknown option with an action; -1 = none
	Action      IPv6OptAction
	RouterAlert bool // RFC 2711, in hop-by-hop options
	Jumbo       int  // offset of a jumbo payload option (RFC 2675); 0 = none
}

// nextOffFixed is where the next-header byte of the fixed header lies as seen
// from the payload.
const nextOffFixed = 6 - IPv6Len

// ParseIPv6Extensions walks the extension headers in the payload b, the first
// of which is next, and sets all of *x (RFC 8200 4). It stops in front of an
// upper layer, of ESP, of NoNext and of unknown protocols, and behind the
// header of a fragment, whose data is no header until it is reassembled; an
// atomic fragment, whole in itself, is walked through (RFC 6946 4).
//
// On a fault Off and NextOff tell where. Options that ask for the packet to be
// dropped are not a fault: the first is in Options and Action.
func ParseIPv6Extensions(next Protocol, b []byte, x *IPv6Extensions) Fault {
	*x = IPv6Extensions{Protocol: next, NextOff: nextOffFixed, Fragment: -1, Routing: -1, Options: -1}
	for n := 0; ; n++ {
		switch x.Protocol {
		case ProtoHopByHop, ProtoRouting, ProtoFragment, ProtoDestOpts, ProtoAH:
		default:
			return OK
		}
		if n == MaxIPv6Extensions {
			return FaultIPv6ExtMany
		}
		if x.Protocol == ProtoHopByHop && n > 0 {
			return FaultIPv6Order // RFC 8200 4.1: only directly after the IPv6 header
		}
		h := b[x.Off:]
		if len(h) < 8 {
			return FaultIPv6Ext
		}
		size := extLen(x.Protocol, h[1])
		if size > len(h) {
			return FaultIPv6Ext
		}
		done, f := x.take(h[:size])
		if f != OK {
			return f
		}
		x.Protocol, x.NextOff = Protocol(h[0]), x.Off
		x.Off += size
		if done {
			return OK
		}
	}
}

// extLen returns the length in bytes of the extension header p whose second
// byte is n. AH counts in units of 4 and from 2 on (RFC 4302 2.2), fragment
// headers have one length, all others count in units of 8 (RFC 8200 4).
func extLen(p Protocol, n byte) int {
	switch p {
	case ProtoFragment:
		return IPv6FragmentLen
	case ProtoAH:
		return (int(n) + 2) << 2
	}
	return (int(n) + 1) << 3
}

// take notes what the header h, of kind x.Protocol at x.Off, says. done: what
// follows is not to be walked.
func (x *IPv6Extensions) take(h []byte) (done bool, f Fault) {
	switch x.Protocol {
	case ProtoFragment:
		x.Fragment = x.Off
		fh := (*IPv6Fragment)(h)
		return fh.Offset() != 0 || fh.More(), OK
	case ProtoRouting:
		x.Routing = x.Off
	case ProtoHopByHop, ProtoDestOpts:
		return false, x.options(h)
	}
	return false, OK
}

// Options of IPv6 (IANA "Destination Options and Hop-by-Hop Options").
const (
	ipv6OptPad1        = 0
	ipv6OptPadN        = 1
	ipv6OptRouterAlert = 5
)

// options walks the TLVs of a hop-by-hop or destination options header h
// (RFC 8200 4.2).
func (x *IPv6Extensions) options(h []byte) Fault {
	for i := 2; i < len(h); {
		typ := h[i]
		if typ == ipv6OptPad1 {
			i++
			continue
		}
		if i+1 >= len(h) || i+2+int(h[i+1]) > len(h) {
			return FaultIPv6Option
		}
		n := int(h[i+1])
		switch {
		case typ == ipv6OptPadN:
		case typ == ipv6OptRouterAlert && n == 2 && x.Protocol == ProtoHopByHop:
			x.RouterAlert = true
		case typ == ipv6OptJumbo && n == ipv6OptJumboLen && x.Protocol == ProtoHopByHop:
			x.Jumbo = x.Off + i
		case typ>>6 != 0 && x.Options < 0:
			x.Options, x.Action = x.Off+i, IPv6OptAction(typ>>6)
		}
		i += 2 + n
	}
	return OK
}
