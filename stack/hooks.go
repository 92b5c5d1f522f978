package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Hooks replace or extend single decisions of the stack. A nil field is the
// plain behaviour, which is lwIP's. Each hook has one call site, runs on the
// stack's thread in the middle of that decision, and may not call back into
// the stack (no Input, Poll, Flush, Write, Close …); it may read its arguments
// and keep none of them unless its comment says so.
//
// A hook that takes a packet and returns true has eaten it: it owns it and
// must free it.
type Hooks struct {
	// UnknownEthProtocol is given frames whose EtherType the stack does not
	// handle, payload at the Ethernet header. True: eaten. Nil: dropped as
	// DropEthUnknownProto. (LWIP_HOOK_UNKNOWN_ETH_PROTOCOL)
	UnknownEthProtocol func(nif *Netif, p *pbuf.Pbuf) bool
	// VLANCheck says whether a tagged frame is for this interface. Nil: the
	// VLAN id equals Netif's, or is 0 (priority tag). (LWIP_HOOK_VLAN_CHECK)
	VLANCheck func(nif *Netif, tci uint16) bool
	// VLANSet gives the tag of an outgoing frame, or a negative number for
	// none. Nil: Netif's VLAN if it has one. (LWIP_HOOK_VLAN_SET)
	VLANSet func(nif *Netif, p *pbuf.Pbuf, dst header.MAC, typ header.EtherType) int32

	// ARPGetGateway chooses the next hop for a destination that is not on
	// link; ok false drops the packet. Nil: the route's gateway.
	// (LWIP_HOOK_ETHARP_GET_GW)
	ARPGetGateway func(nif *Netif, dst header.Addr) (gw header.Addr, ok bool)
	// NeighborProbe is asked before an ARP request or a neighbour solicitation is
	// sent for target; true:
	// the hook resolves it itself (Stack.AddNeighbor later) and nothing is
	// sent. Nil: the request is sent.
	NeighborProbe func(nif *Netif, target header.Addr) bool
	// NeighborLearned is told that nif's IPv4 neighbour addr has this MAC, whenever
	// that is new, or is the answer to a request, which may have been another
	// shard's. A group of shards tells the others with Stack.LearnNeighbor.
	NeighborLearned func(nif *Netif, addr header.Addr, mac header.MAC)

	// IP4Input sees each IPv4 packet after the header gate, payload at the IP
	// header. True: eaten. (LWIP_HOOK_IP4_INPUT)
	IP4Input func(nif *Netif, p *pbuf.Pbuf) bool
	// IP4Route chooses the interface for a packet from src (may be unset) to
	// dst; nil result: the routing table decides. (LWIP_HOOK_IP4_ROUTE_SRC)
	IP4Route func(src, dst header.Addr) *Netif
	// IP4CanForward says whether a packet to dst may be forwarded: 1 yes, 0
	// no, -1 the stack decides. (LWIP_HOOK_IP4_CANFORWARD)
	IP4CanForward func(p *pbuf.Pbuf, dst header.Addr) int

	// IP6Input sees each IPv6 packet after the header gate, payload at the IPv6
	// header. True: eaten. (LWIP_HOOK_IP6_INPUT)
	IP6Input func(nif *Netif, p *pbuf.Pbuf) bool
	// IP6Route chooses the interface for a packet from src (may be unset) to dst;
	// nil result: prefixes, routes and routers decide. Addresses as Stack.Scoped
	// gives them. (LWIP_HOOK_IP6_ROUTE)
	IP6Route func(src, dst header.Addr) *Netif
	// ND6GetGateway chooses the next hop for a destination that is not on link; ok
	// false drops the packet. Nil: a redirect, the route's gateway, or a router.
	// (LWIP_HOOK_ND6_GET_GW)
	ND6GetGateway func(nif *Netif, dst header.Addr) (gw header.Addr, ok bool)
	// ND6Happened is told what neighbour discovery or path MTU discovery has found
	// out, after it took effect. A group of shards tells the others with
	// Stack.ApplyND6.
	ND6Happened func(nif *Netif, e ND6Event)

	// Steer is offered packets whose ports the NIC could not see, payload at the
	// Ethernet header: reassembled datagrams, and ICMP errors about a flow. hash
	// is what the NIC would have computed for the flow's incoming packets. True:
	// eaten, to be given to Input of the shard whose flow it is. Nil: the packet
	// stays here.
	Steer func(nif *Netif, p *pbuf.Pbuf, hash uint32) bool

	// TCPISN gives the initial sequence number of a connection. Nil: RFC 6528
	// with SipHash-2-4. (LWIP_HOOK_TCP_ISN)
	TCPISN func(local header.Addr, lport uint16, remote header.Addr, rport uint16) header.Seq
	// TCPInPacket sees each segment with the PCB it was found to belong to and
	// its parsed header, before any state is touched. True: eaten.
	// (LWIP_HOOK_TCP_INPACKET_PCB)
	TCPInPacket func(pcb *TCP, h *header.TCP, opts []byte, p *pbuf.Pbuf) bool
	// TCPOutOptionLen gives how many bytes of options, a multiple of 4 and at
	// most 40 with the stack's own length n included, a segment will carry.
	// Nil: n. (LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH)
	TCPOutOptionLen func(pcb *TCP, n int) int
	// TCPOutAddOptions writes the extra bytes that TCPOutOptionLen asked for.
	// (LWIP_HOOK_TCP_OUT_ADD_TCPOPTS)
	TCPOutAddOptions func(pcb *TCP, h *header.TCP, opts []byte)
	// TCPSegmentLen caps the payload of the next segment made by Write; max
	// is what the stack would use, which is more than the MSS where segments are
	// cut later (TCPConfig.GSO). Nil: max.
	TCPSegmentLen func(pcb *TCP, max int) int
	// TCPSplit sees an unsent segment of n bytes that the window lets out only
	// in part; it returns how many bytes to send now, 0 to wait. Nil: of a
	// segment longer than the MSS a multiple of the MSS, if that is worth it;
	// else wait, unless half of the largest window or the persist timer says
	// otherwise (RFC 9293 3.8.6.2.1).
	TCPSplit func(pcb *TCP, n, window int) int
	// TCPPartialAck is told when an acknowledgement covers the first n bytes
	// of a queued segment, after the segment was trimmed.
	TCPPartialAck func(pcb *TCP, n int)
	// TCPPort chooses the local port of a connection from local to
	// remote:rport; attempt counts up from 0 until the stack finds the tuple
	// free, and start is where RFC 6056 algorithm 4 begins: the choice is best a
	// function of their sum. 0: no port left. Nil: algorithm 4 over the configured
	// range. Shards set this to the port solver of package rss.
	TCPPort func(local, remote header.Addr, rport uint16, start, attempt uint32) uint16
	// UDPPort is TCPPort for connected UDP PCBs that are not bound.
	UDPPort func(local, remote header.Addr, rport uint16, start, attempt uint32) uint16
	// PortTaken reports whether the flow that a port just chosen would make is
	// another stack's with the same addresses, as that of a shard which had the
	// port before. Nil: it is not.
	PortTaken func(proto header.Protocol, local, remote header.Addr, lport, rport uint16) bool
	// PingID chooses the identifier of a new Ping's echo requests; id is a
	// random one. Nil: id. Shards set this, as replies are steered by it.
	PingID func(id uint16) uint16
	// TCPLookup finds the connection or listener for a segment for which the
	// flow table has none. Nil or nil result: the listeners decide.
	TCPLookup func(local header.Addr, lport uint16, remote header.Addr, rport uint16) *TCP
	// CongestionControl makes the congestion controller of a new connection.
	// Nil, or a
	// nil result: the one that TCPConfig.Congestion or SetCongestionControl
	// names.
	CongestionControl func(pcb *TCP) CongestionControl

	// AllocPbuf replaces the pool for packets that the stack makes. Nil:
	// Config.Pool. The result may be nil.
	AllocPbuf func(l pbuf.Layer, n int, k pbuf.Kind) *pbuf.Pbuf
	// LargeMemory is told of memory on the Go heap that holds the PCBs of thousands
	// of connections, or is to: n bytes from start on, 96 KiB for each chunk in use
	// when the connections become so many, and from then on 3 MiB at a time that
	// are not touched yet. It is for advice to the operating system, such as huge
	// pages. Nil: none is given.
	LargeMemory func(start, n uintptr)
	// MemAvailable is called when a PCB or a neighbour entry that was missing
	// before is free again. (LWIP_HOOK_MEMP_AVAILABLE)
	MemAvailable func(what string)
}
