package header

import "strconv"

// Protocol is an IP protocol number: IPv4 Protocol, IPv6 Next Header.
type Protocol uint8

// Protocol numbers (IANA "Assigned Internet Protocol Numbers"). Those that
// are IPv6 extension headers are listed apart.
const (
	ProtoICMP   Protocol = 1
	ProtoIGMP   Protocol = 2
	ProtoTCP    Protocol = 6
	ProtoUDP    Protocol = 17
	ProtoICMPv6 Protocol = 58
	ProtoNone   Protocol = 59 // IPv6: nothing follows (RFC 8200 4.7)

	ProtoHopByHop Protocol = 0  // RFC 8200 4.3
	ProtoRouting  Protocol = 43 // RFC 8200 4.4
	ProtoFragment Protocol = 44 // RFC 8200 4.5
	ProtoESP      Protocol = 50 // RFC 4303; not walked: the rest is encrypted
	ProtoAH       Protocol = 51 // RFC 4302
	ProtoDestOpts Protocol = 60 // RFC 8200 4.6
)

// String returns the usual name of the protocol, or its number.
func (p Protocol) String() string {
	switch p {
	case ProtoICMP:
		return "ICMP"
	case ProtoIGMP:
		return "IGMP"
	case ProtoTCP:
		return "TCP"
	case ProtoUDP:
		return "UDP"
	case ProtoICMPv6:
		return "ICMPv6"
	case ProtoNone:
		return "none"
	case ProtoHopByHop:
		return "hop-by-hop"
	case ProtoRouting:
		return "routing"
	case ProtoFragment:
		return "fragment"
	case ProtoESP:
		return "ESP"
	case ProtoAH:
		return "AH"
	case ProtoDestOpts:
		return "destination options"
	}
	return strconv.Itoa(int(p))
}

// ECN is the two-bit congestion field at the end of the IPv4 TOS and the IPv6
// traffic class (RFC 3168 5).
const (
	ECNMask   uint8 = 3
	ECNNotECT uint8 = 0
	ECNECT1   uint8 = 1
	ECNECT0   uint8 = 2
	ECNCE     uint8 = 3
)
