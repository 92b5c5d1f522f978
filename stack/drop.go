package stack

// DropReason says why a packet went nowhere. Every drop has one, and every
// reason is a counter in Stats.Drops.
type DropReason uint8

// The reasons, by layer.
const (
	DropNone DropReason = iota

	DropEthShort        // frame shorter than its headers
	DropEthUnknownProto // EtherType that nobody handles
	DropEthNotForUs     // unicast frame for another MAC
	DropVLAN            // tagged for another VLAN, or malformed tag
	DropNetifDown       // the interface is down
	DropTxQueueFull     // the port took no more frames

	DropARPMalformed  // ARP gate
	DropARPQueueFull  // too many packets wait for one address, of either family
	DropARPUnresolved // resolution failed, by ARP or neighbour discovery
	DropNeighborTableFull

	DropIPMalformed     // version, lengths, options
	DropIPChecksum      // header checksum
	DropIPBadSource     // broadcast or multicast source (RFC 1122 3.2.1.3)
	DropIPNotForUs      // destination is not ours and forwarding is off
	DropIPGroup         // for a group that we are not in, as messages to routers are
	DropIPTTL           // TTL ran out while forwarding
	DropIPUnknownProto  // no handler for the protocol
	DropIPNoRoute       // outgoing: no route or source address
	DropIPFragMalformed // overlapping, beyond 65,535, or wrong length
	DropIPFragTimeout   // reassembly ran out of time
	DropIPFragMem       // reassembly ran out of memory
	DropIPNeedsFrag     // too big and DF is set
	DropIPSourceRoute   // source-routed packets are refused
	DropIPForwardLoop   // would leave where it came from, or may not be forwarded
	DropIPLinkGroup     // unicast packet in a broadcast or multicast frame (RFC 1122 3.3.6)
	DropIPFragDuplicate // the same fragment again
	DropIPTooLong       // outgoing: over 65,535 bytes
	DropIPExtension     // IPv6 option that is not known and asks for this

	DropICMPMalformed
	DropICMPChecksum
	DropICMPIgnored // type that is not handled, or echo to a group

	DropND6Malformed // gates of neighbour and multicast listener discovery

	DropUDPMalformed
	DropUDPChecksum
	DropUDPNoPort
	DropUDPBadDest // outgoing address or port that can't be

	DropTCPMalformed // gate or options
	DropTCPChecksum
	DropTCPBadDest    // broadcast or multicast (RFC 9293 3.9.2.3)
	DropTCPNoConn     // no connection and no listener: RST sent
	DropTCPBacklog    // the listener's backlog is full
	DropTCPMem        // no PCB or buffer
	DropTCPSeq        // outside the receive window
	DropTCPAck        // acknowledges what was never sent
	DropTCPPAWS       // old duplicate by timestamp (RFC 7323 5)
	DropTCPState      // the state has no use for it
	DropTCPOutOfOrder // out-of-order queue is full
	DropTCPAfterClose // data for a connection its user closed: RST sent
	DropTCPRefused    // the application refuses data
	DropTCPZeroWindow // data beyond a closed window

	DropNoBuf // a copy or a header needed a buffer and there was none
	DropHook  // a hook ate it

	NumDropReasons
)

var dropNames = [NumDropReasons]string{
	"none",
	"eth_short", "eth_unknown_proto", "eth_not_for_us", "vlan", "netif_down", "tx_queue_full",
	"arp_malformed", "arp_queue_full", "arp_unresolved", "neighbor_table_full",
	"ip_malformed", "ip_checksum", "ip_bad_source", "ip_not_for_us", "ip_group", "ip_ttl", "ip_unknown_proto",
	"ip_no_route", "ip_frag_malformed", "ip_frag_timeout", "ip_frag_mem", "ip_needs_frag",
	"ip_source_route", "ip_forward_loop", "ip_link_group", "ip_frag_duplicate", "ip_too_long", "ip_extension",
	"icmp_malformed", "icmp_checksum", "icmp_ignored", "nd6_malformed",
	"udp_malformed", "udp_checksum", "udp_no_port", "udp_bad_dest",
	"tcp_malformed", "tcp_checksum", "tcp_bad_dest", "tcp_no_conn", "tcp_backlog", "tcp_mem",
	"tcp_seq", "tcp_ack", "tcp_paws", "tcp_state", "tcp_out_of_order", "tcp_after_close",
	"tcp_refused", "tcp_zero_window",
	"no_buf", "hook",
}

// String returns the reason's name in snake case, as statistics print it.
func (r DropReason) String() string {
	if r < NumDropReasons {
		return dropNames[r]
	}
	return "unknown"
}
