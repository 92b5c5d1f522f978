//go:build dpdk

package dpdktest

/*
#cgo pkg-config: libdpdk
#include <rte_ethdev.h>
#include "card.h"
*/
import "C"

import "net/netip"

// Offload is a set of what cards do.
type Offload uint32

// Offloads, by the names that package offload has for them.
const (
	TxIPCsum Offload = 1 << iota
	TxTCPCsum
	TxUDPCsum
	TSO
	USO
	VLANInsert
	MultiSeg
	FastFree
	RxCsum
	LRO
	VLANStrip

	AllOffloads Offload = 1<<iota - 1
)

// offloads are their bits, by the order above.
var offloads = [...]struct{ tx, rx uint64 }{
	{C.RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, 0},
	{C.RTE_ETH_TX_OFFLOAD_TCP_CKSUM, 0},
	{C.RTE_ETH_TX_OFFLOAD_UDP_CKSUM, 0},
	{C.RTE_ETH_TX_OFFLOAD_TCP_TSO, 0},
	{C.RTE_ETH_TX_OFFLOAD_UDP_TSO, 0},
	{C.RTE_ETH_TX_OFFLOAD_VLAN_INSERT, 0},
	{C.RTE_ETH_TX_OFFLOAD_MULTI_SEGS, 0},
	{C.RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE, 0},
	{0, C.RTE_ETH_RX_OFFLOAD_TCP_CKSUM | C.RTE_ETH_RX_OFFLOAD_UDP_CKSUM | C.RTE_ETH_RX_OFFLOAD_IPV4_CKSUM},
	{0, C.RTE_ETH_RX_OFFLOAD_TCP_LRO},
	{0, C.RTE_ETH_RX_OFFLOAD_VLAN_STRIP},
}

// Pretend has devices that are opened from now on say that they can do these, beside
// what they can. They can't be started. 0: no more.
func Pretend(set Offload) {
	var tx, rx uint64
	for i, o := range offloads {
		if set>>i&1 != 0 {
			tx |= o.tx
			rx |= o.rx
		}
	}
	C.card_pretend(C.uint64_t(tx), C.uint64_t(rx))
}

// Asked are the offloads that the last device was configured with.
func Asked() (set Offload) {
	var tx, rx C.uint64_t
	C.card_asked(&tx, &rx)
	for i, o := range offloads {
		if uint64(tx)&o.tx == o.tx && uint64(rx)&o.rx == o.rx {
			set |= 1 << i
		}
	}
	return set
}

// Rule is a rule as a device is told: addresses and ports with their masks, and how
// many items of each kind its pattern has.
type Rule struct {
	Ingress                    bool
	Queue                      int
	Ether, IP4, IP6, TCP, UDP  int
	EtherType, EtherTypeMask   uint16
	Src, SrcMask, Dst, DstMask netip.Addr
	Proto, ProtoMask           uint8
	SrcPort, SrcPortMask       uint16
	DstPort, DstPortMask       uint16
}

// TakeRules has every device take all rules, or none but its own.
func TakeRules(on bool) {
	v := C.int(0)
	if on {
		v = 1
	}
	C.card_rules(v)
}

// LastRule is the last rule that was taken, and how many are in force.
func LastRule() (Rule, int) {
	var r C.struct_card_rule
	n := C.card_last(&r)
	addr := func(a [16]C.uint8_t) netip.Addr {
		var b [16]byte
		for i := range a {
			b[i] = byte(a[i])
		}
		if r.ip4 != 0 {
			return netip.AddrFrom4([4]byte(b[:4]))
		}
		return netip.AddrFrom16(b)
	}
	return Rule{
		Ingress: r.ingress != 0, Queue: int(r.queue),
		Ether: int(r.eth), IP4: int(r.ip4), IP6: int(r.ip6), TCP: int(r.tcp), UDP: int(r.udp),
		EtherType: uint16(r.ether_type), EtherTypeMask: uint16(r.ether_mask),
		SrcPort: uint16(r.sport), SrcPortMask: uint16(r.sport_mask), DstPort: uint16(r.dport), DstPortMask: uint16(r.dport_mask),
		Proto: uint8(r.proto), ProtoMask: uint8(r.proto_mask),
		Src: addr(r.src), SrcMask: addr(r.src_mask), Dst: addr(r.dst), DstMask: addr(r.dst_mask),
	}, int(n)
}

// TakeAddresses has every device take all addresses and groups that it is told, or
// none but those that it has room for.
func TakeAddresses(on bool) {
	v := C.int(0)
	if on {
		v = 1
	}
	C.card_addresses(v)
}

// Addresses are those that were added and not removed since, and the groups.
func Addresses() (hosts, groups [][6]byte) {
	var raw [C.CARD_MOST][6]C.uint8_t
	list := func(n C.int) (all [][6]byte) {
		for _, r := range raw[:n] {
			var a [6]byte
			for i := range r {
				a[i] = byte(r[i])
			}
			all = append(all, a)
		}
		return all
	}
	hosts = list(C.card_hosts(&raw[0]))
	groups = list(C.card_groups(&raw[0]))
	return hosts, groups
}
