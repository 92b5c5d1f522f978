package header

import (
	"encoding/binary"
	"net/netip"
)

// Neighbour discovery option types (RFC 4861 4.6; RDNSS by RFC 8106).
const (
	NDOptSourceLink uint8 = 1
	NDOptTargetLink uint8 = 2
	NDOptPrefix     uint8 = 3
	NDOptRedirected uint8 = 4
	NDOptMTU        uint8 = 5
	NDOptRDNSS      uint8 = 25
)

// Lengths of options as the encoders write them, in bytes.
const (
	NDLinkAddrLen = 8
	NDPrefixLen   = 32
	NDMTULen      = 8
)

// NDOptions are the options of a neighbour discovery message, checked by the
// message's gate: lengths are over 0 and within the message. It is an iterator:
//
//	for o, ok := opts.Next(); ok; o, ok = opts.Next() { … }
type NDOptions struct{ b []byte }

// NDOption is one option with its type and length bytes, a multiple of 8 long.
// It aliases the packet.
type NDOption []byte

// parseNDOptions checks that b is a row of whole options (RFC 4861 4.6).
func parseNDOptions(b []byte) (NDOptions, Fault) {
	for r := b; len(r) > 0; {
		if len(r) < 8 {
			return NDOptions{}, FaultNDOption
		}
		n := int(r[1]) << 3
		if n == 0 || n > len(r) {
			return NDOptions{}, FaultNDOption
		}
		r = r[n:]
	}
	return NDOptions{b}, OK
}

// Next returns the next option and steps behind it; ok is false at the end.
func (o *NDOptions) Next() (opt NDOption, ok bool) {
	if len(o.b) < 8 {
		return nil, false
	}
	n := int(o.b[1]) << 3
	opt, o.b = NDOption(o.b[:n]), o.b[n:]
	return opt, true
}

// Has tells whether an option of type typ is still to come.
func (o NDOptions) Has(typ uint8) bool {
	for opt, ok := o.Next(); ok; opt, ok = o.Next() {
		if opt.Type() == typ {
			return true
		}
	}
	return false
}

// LinkAddr returns the MAC of the first option of type typ (NDOptSourceLink or
// NDOptTargetLink) that is still to come.
func (o NDOptions) LinkAddr(typ uint8) (m MAC, ok bool) {
	for opt, more := o.Next(); more; opt, more = o.Next() {
		if opt.Type() == typ {
			return opt.LinkAddr(), true
		}
	}
	return MAC{}, false
}

// Type returns the option's type.
func (o NDOption) Type() uint8 { return o[0] }

// Body returns what follows type and length.
func (o NDOption) Body() []byte { return o[2:] }

// LinkAddr returns the Ethernet address of a source or target link-layer
// address option (RFC 2464 6).
func (o NDOption) LinkAddr() MAC { return MAC(o[2:8]) }

// MTU returns the MTU of an MTU option in bytes (RFC 4861 4.6.4).
func (o NDOption) MTU() uint32 { return binary.BigEndian.Uint32(o[4:8]) }

// Flags of a prefix (RFC 4861 4.6.2).
const (
	NDPrefixOnLink     uint8 = 0x80
	NDPrefixAutonomous uint8 = 0x40
)

// NDPrefix is what a prefix information option says (RFC 4861 4.6.2). The
// lifetimes are in seconds, 0xffffffff = for ever.
type NDPrefix struct {
	Prefix    netip.Prefix // masked
	Flags     uint8        // NDPrefixOnLink, NDPrefixAutonomous
	Valid     uint32       // lifetime
	Preferred uint32       // lifetime
}

// Prefix returns the contents of a prefix information option; ok is false if
// the option is not 32 bytes long or the prefix has more than 128 bits.
func (o NDOption) Prefix() (p NDPrefix, ok bool) {
	if len(o) != NDPrefixLen || o[2] > 128 {
		return NDPrefix{}, false
	}
	a := netip.AddrFrom16([16]byte(o[16:32]))
	return NDPrefix{
		Prefix:    netip.PrefixFrom(a, int(o[2])).Masked(),
		Flags:     o[3],
		Valid:     binary.BigEndian.Uint32(o[4:8]),
		Preferred: binary.BigEndian.Uint32(o[8:12]),
	}, true
}

// PutNDLinkAddr writes a link-layer address option of type typ
// (NDOptSourceLink or NDOptTargetLink) to b, which has room for it, and returns
// the bytes written: 8.
func PutNDLinkAddr(b []byte, typ uint8, m MAC) int {
	o := (*[NDLinkAddrLen]byte)(b)
	o[0], o[1] = typ, 1
	*(*MAC)(o[2:8]) = m
	return NDLinkAddrLen
}

// PutNDMTU writes an MTU option to b, which has room for it, and returns the
// bytes written: 8.
func PutNDMTU(b []byte, mtu uint32) int {
	o := (*[NDMTULen]byte)(b)
	binary.BigEndian.PutUint32(o[0:4], uint32(NDOptMTU)<<24|1<<16)
	binary.BigEndian.PutUint32(o[4:8], mtu)
	return NDMTULen
}

// PutNDPrefix writes a prefix information option to b, which has room for it,
// and returns the bytes written: 32.
func PutNDPrefix(b []byte, p *NDPrefix) int {
	o := (*[NDPrefixLen]byte)(b)
	o[0], o[1], o[2], o[3] = NDOptPrefix, NDPrefixLen/8, uint8(p.Prefix.Bits()), p.Flags
	binary.BigEndian.PutUint32(o[4:8], p.Valid)
	binary.BigEndian.PutUint32(o[8:12], p.Preferred)
	binary.BigEndian.PutUint32(o[12:16], 0)
	*(*[16]byte)(o[16:32]) = p.Prefix.Addr().As16()
	return NDPrefixLen
}
