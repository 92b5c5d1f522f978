package header

import (
	"encoding/binary"
	"strconv"
)

// EthernetLen is the length of an Ethernet II header in bytes.
const EthernetLen = 14

// EtherType names what an Ethernet frame carries (IEEE 802.3 3.2.6).
type EtherType uint16

// EtherTypes (IANA "IEEE 802 Numbers").
const (
	EtherTypeIPv4 EtherType = 0x0800 // RFC 894
	EtherTypeARP  EtherType = 0x0806 // RFC 826
	EtherTypeVLAN EtherType = 0x8100 // IEEE 802.1Q customer tag
	EtherTypeIPv6 EtherType = 0x86dd // RFC 2464
	EtherTypeQinQ EtherType = 0x88a8 // IEEE 802.1ad service tag
)

// EtherTypeMin is the first value that is a type; below it the field is an
// IEEE 802.3 frame length (RFC 1122 2.3.3).
const EtherTypeMin EtherType = 0x0600

// String returns the usual name of the type, or its number in hexadecimal.
func (t EtherType) String() string {
	switch t {
	case EtherTypeIPv4:
		return "IPv4"
	case EtherTypeARP:
		return "ARP"
	case EtherTypeVLAN:
		return "VLAN"
	case EtherTypeIPv6:
		return "IPv6"
	case EtherTypeQinQ:
		return "QinQ"
	}
	return "0x" + strconv.FormatUint(uint64(t), 16)
}

// MAC is an Ethernet address.
type MAC [6]byte

// Broadcast is the MAC that every station listens to.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// IsMulticast tells whether m is a group address (IEEE 802 I/G bit); the
// broadcast address is one of them.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// IsBroadcast tells whether m is the broadcast address.
func (m MAC) IsBroadcast() bool { return m == Broadcast }

// IsZero tells whether m is 00:00:00:00:00:00, which is no station's address.
func (m MAC) IsZero() bool { return m == MAC{} }

// String formats m as "02:00:00:00:00:01".
func (m MAC) String() string {
	const digits = "0123456789abcdef"
	var b [17]byte
	for i, v := range m {
		b[3*i], b[3*i+1] = digits[v>>4], digits[v&15]
		if i < 5 {
			b[3*i+2] = ':'
		}
	}
	return string(b[:])
}

// Ethernet is a view of an Ethernet II header (RFC 894):
//
//	0 destination MAC | 6 source MAC | 12 type
type Ethernet [EthernetLen]byte

// ParseEthernet is the gate of frames: b holds at least a header. What lies
// behind it may be padded up to 60 bytes, so lengths come from the next header.
func ParseEthernet(b []byte) (*Ethernet, Fault) {
	if len(b) < EthernetLen {
		return nil, FaultEthShort
	}
	return (*Ethernet)(b), OK
}

// Dst returns the destination MAC.
func (h *Ethernet) Dst() MAC { return MAC(h[0:6]) }

// Src returns the source MAC.
func (h *Ethernet) Src() MAC { return MAC(h[6:12]) }

// Type returns the EtherType; below EtherTypeMin it is a length.
func (h *Ethernet) Type() EtherType { return EtherType(binary.BigEndian.Uint16(h[12:14])) }

// SetDst sets the destination MAC.
func (h *Ethernet) SetDst(m MAC) { *(*MAC)(h[0:6]) = m }

// SetSrc sets the source MAC.
func (h *Ethernet) SetSrc(m MAC) { *(*MAC)(h[6:12]) = m }

// SetType sets the EtherType.
func (h *Ethernet) SetType(t EtherType) { binary.BigEndian.PutUint16(h[12:14], uint16(t)) }

// Encode fills the whole header.
func (h *Ethernet) Encode(dst, src MAC, typ EtherType) {
	h.SetDst(dst)
	h.SetSrc(src)
	h.SetType(typ)
}
