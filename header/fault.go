package header

// Fault is what a gate found wrong with a header. The zero value, OK, means
// that nothing is. A Fault is a small dense number so that each can be the
// index of one drop counter; it is not an error and carries no allocation.
type Fault uint8

// The faults, by protocol. FaultXxxShort always means that the bytes at hand
// end before the fixed part of the header does.
const (
	OK Fault = iota

	FaultEthShort  // frame under 14 bytes
	FaultVLANShort // tag under 4 bytes

	FaultARPShort // packet under 28 bytes
	FaultARPKind  // not IPv4 over Ethernet

	FaultIPv4Short   // under 20 bytes
	FaultIPv4Version // version is not 4
	FaultIPv4IHL     // header length under 20 or beyond the total length
	FaultIPv4Total   // total length beyond the bytes at hand
	FaultIPv4Option  // option with an impossible length or pointer, or given twice

	FaultIPv6Short   // under 40 bytes
	FaultIPv6Version // version is not 6
	FaultIPv6Payload // payload length beyond the bytes at hand
	FaultIPv6Mapped  // IPv4-mapped source or destination
	FaultIPv6Zone    // link-local address with bits that are 0 by RFC 4291 2.5.6
	FaultIPv6Ext     // extension header cut short
	FaultIPv6ExtMany // more extension headers than the walker follows
	FaultIPv6Order   // hop-by-hop options not directly after the IPv6 header
	FaultIPv6Option  // option that overruns its header
	FaultIPv6Jumbo   // jumbo payload option that is missing, not allowed, or too small (RFC 2675 3)

	FaultICMPv4Short // under 8 bytes
	FaultICMPv6Short // under 8 bytes

	FaultNDShort    // message under its fixed length
	FaultNDHopLimit // hop limit is not 255: it came through a router
	FaultNDCode     // ICMPv6 code is not 0
	FaultNDAddr     // source, destination or target that the message can't have
	FaultNDOption   // option of length 0, cut short, or not allowed here

	FaultMLDShort // message, or a list of sources, that is cut short
	FaultMLDAddr  // hop limit, source or group that the message can't have

	FaultUDPShort  // under 8 bytes
	FaultUDPLength // length under 8 or beyond the bytes at hand

	FaultTCPShort  // under 20 bytes
	FaultTCPOffset // data offset under 5 or beyond the bytes at hand
	FaultTCPOption // option with an impossible length

	NumFaults // how many values there are, for arrays of counters
)

var faultNames = [NumFaults]string{
	"ok",
	"eth_short", "vlan_short",
	"arp_short", "arp_kind",
	"ipv4_short", "ipv4_version", "ipv4_ihl", "ipv4_total", "ipv4_option",
	"ipv6_short", "ipv6_version", "ipv6_payload", "ipv6_mapped", "ipv6_zone", "ipv6_ext", "ipv6_ext_many", "ipv6_order", "ipv6_option", "ipv6_jumbo",
	"icmpv4_short", "icmpv6_short",
	"nd_short", "nd_hop_limit", "nd_code", "nd_addr", "nd_option",
	"mld_short", "mld_addr",
	"udp_short", "udp_length",
	"tcp_short", "tcp_offset", "tcp_option",
}

// String returns the fault's name in snake case, as statistics print it.
func (f Fault) String() string {
	if f < NumFaults {
		return faultNames[f]
	}
	return "unknown"
}
