package header

import (
	"cmp"
	"encoding/binary"
	"net/netip"
)

// Addr is an IPv4 or IPv6 address in 128 bits without pointers: it can be
// compared with ==, used as a key and stored off the Go heap. IPv4 addresses
// are held in their IPv4-mapped form ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so
// one type and one hash serve both families.
//
// The zero Addr is the IPv6 address :: and stands for "any address of either
// family" where an address may be left open. AddrFrom4Uint(0), which is
// 0.0.0.0, is a different value that stands for any IPv4 address.
type Addr struct {
	hi, lo uint64
}

// mapped4 is bits 32 to 63 of lo in an IPv4 address.
const mapped4 = 0xffff << 32

// AddrBroadcast4 is 255.255.255.255, the limited broadcast address (RFC 919).
var AddrBroadcast4 = Addr{0, mapped4 | 0xffffffff}

// AddrFrom4 returns the IPv4 address with bytes b in network order.
func AddrFrom4(b [4]byte) Addr {
	return AddrFrom4Uint(binary.BigEndian.Uint32(b[:]))
}

// AddrFrom4Uint returns the IPv4 address with the numeric value v:
// 0x7f000001 is 127.0.0.1.
func AddrFrom4Uint(v uint32) Addr { return Addr{0, mapped4 | uint64(v)} }

// AddrFrom16 returns the address with bytes b in network order. An
// IPv4-mapped b gives the IPv4 address.
func AddrFrom16(b [16]byte) Addr {
	return Addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// FromNetip converts a, dropping its zone. The invalid netip.Addr gives the
// zero Addr.
func FromNetip(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	return AddrFrom16(a.As16())
}

// Netip converts a: an IPv4 address to a plain (unmapped) netip.Addr, the zero
// Addr to netip.IPv6Unspecified().
func (a Addr) Netip() netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4(a.As4())
	}
	return netip.AddrFrom16(a.As16())
}

// Is4 tells whether a is an IPv4 address.
func (a Addr) Is4() bool { return a.hi == 0 && a.lo>>32 == 0xffff }

// As4 returns the last four bytes of a in network order: the whole address if
// a.Is4().
func (a Addr) As4() (b [4]byte) {
	binary.BigEndian.PutUint32(b[:], uint32(a.lo))
	return b
}

// As16 returns a in network order, IPv4 addresses in mapped form.
func (a Addr) As16() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return b
}

// Uint32 returns the low 32 bits of a: the value of the address if a.Is4().
func (a Addr) Uint32() uint32 { return uint32(a.lo) }

// Hi returns the first eight bytes of a as a number.
func (a Addr) Hi() uint64 { return a.hi }

// Lo returns the last eight bytes of a as a number.
func (a Addr) Lo() uint64 { return a.lo }

// IsZero tells whether a is the zero Addr: unset, any of both families.
func (a Addr) IsZero() bool { return a == Addr{} }

// IsUnspecified tells whether a names no host: the zero Addr (::) or 0.0.0.0.
func (a Addr) IsUnspecified() bool {
	return a.hi == 0 && (a.lo == 0 || a.lo == mapped4)
}

// IsMulticast tells whether a is in 224.0.0.0/4 (RFC 5771) or ff00::/8
// (RFC 4291 2.7).
func (a Addr) IsMulticast() bool {
	if a.Is4() {
		return uint32(a.lo)>>28 == 0xe
	}
	return a.hi>>56 == 0xff
}

// IsLoopback tells whether a is in 127.0.0.0/8 (RFC 1122 3.2.1.3) or is ::1
// (RFC 4291 2.5.3).
func (a Addr) IsLoopback() bool {
	if a.Is4() {
		return uint32(a.lo)>>24 == 127
	}
	return a.hi == 0 && a.lo == 1
}

// IsLinkLocal tells whether a is a unicast address in 169.254.0.0/16
// (RFC 3927) or fe80::/10 (RFC 4291 2.5.6).
func (a Addr) IsLinkLocal() bool {
	if a.Is4() {
		return uint32(a.lo)>>16 == 0xa9fe
	}
	return a.hi>>54 == 0xfe80>>6
}

// IsBroadcast tells whether a is 255.255.255.255. A subnet's directed
// broadcast address can't be told without its prefix.
func (a Addr) IsBroadcast() bool { return a == AddrBroadcast4 }

// SolicitedNode returns the solicited-node multicast address of the IPv6
// address a: ff02::1:ffXX:XXXX (RFC 4291 2.7.1).
func (a Addr) SolicitedNode() Addr {
	return Addr{0xff02 << 48, 0x1ff000000 | a.lo&0xffffff}
}

// MulticastMAC returns the group MAC that frames for the multicast address a
// are sent to: 01:00:5e and 23 bits (RFC 1112 6.4) or 33:33 and 32 bits
// (RFC 2464 7).
func (a Addr) MulticastMAC() MAC {
	if a.Is4() {
		return MAC{0x01, 0x00, 0x5e, byte(a.lo>>16) & 0x7f, byte(a.lo >> 8), byte(a.lo)}
	}
	return MAC{0x33, 0x33, byte(a.lo >> 24), byte(a.lo >> 16), byte(a.lo >> 8), byte(a.lo)}
}

// Compare orders addresses by their 128-bit value: -1, 0 or 1.
func (a Addr) Compare(b Addr) int {
	if c := cmp.Compare(a.hi, b.hi); c != 0 {
		return c
	}
	return cmp.Compare(a.lo, b.lo)
}

// String formats a as netip.Addr does: "192.0.2.1", "2001:db8::1", "::".
func (a Addr) String() string { return a.Netip().String() }
