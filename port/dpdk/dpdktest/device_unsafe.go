//go:build dpdk

package dpdktest

/*
#cgo pkg-config: libdpdk
#include <stdlib.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include "raw.h"
*/
import "C"

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Burst is how many packets a call of the loops' bursts is about.
const Burst = C.RAW_BURST

// Mempool is a mempool of packet buffers with 2 KiB each.
type Mempool struct{ mp *C.struct_rte_mempool }

var names atomic.Int32

// NewMempool makes one of n buffers whose mbufs have a private area of so many
// bytes.
func NewMempool(n, private int) (Mempool, error) {
	name := C.CString(fmt.Sprintf("raw %d", names.Add(1)))
	defer C.free(unsafe.Pointer(name))
	mp := C.raw_mempool(name, C.uint32_t(n), C.uint16_t(private))
	if mp == nil {
		return Mempool{}, fmt.Errorf("dpdktest: no mempool of %d buffers", n)
	}
	return Mempool{mp}, nil
}

// Addr is the address of the struct rte_mempool.
func (m Mempool) Addr() uintptr { return uintptr(unsafe.Pointer(m.mp)) }

// Missing counts the buffers that are out.
func (m Mempool) Missing() int { return int(C.raw_missing(m.mp)) }

// Free gives up the memory. No buffer may be out.
func (m Mempool) Free() { C.rte_mempool_free(m.mp) }

// Device is a running device.
type Device struct {
	port C.uint16_t
	mp   Mempool
}

// Open makes a device of a devargs string and starts it. It receives in
// elements of mp.
func Open(devargs string, queues int, mp Mempool) (*Device, error) {
	text := C.CString(devargs)
	defer C.free(unsafe.Pointer(text))
	r := C.raw_open(text, C.uint16_t(queues), mp.mp)
	if r < 0 {
		return nil, fmt.Errorf("dpdktest: device %q: %w", devargs, syscall.Errno(-r))
	}
	return &Device{C.uint16_t(r), mp}, nil
}

// Named finds a device that somebody else has made, to send from mp by it.
func Named(name string, mp Mempool) (*Device, error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	d := &Device{mp: mp}
	if r := C.rte_eth_dev_get_port_by_name(text, &d.port); r < 0 {
		return nil, fmt.Errorf("dpdktest: device %q: %w", name, syscall.Errno(-r))
	}
	return d, nil
}

// Port is the device's number.
func (d *Device) Port() uint16 { return uint16(d.port) }

// Close stops the device and takes it away.
func (d *Device) Close() error {
	if r := C.raw_close(d.port); r < 0 {
		return fmt.Errorf("dpdktest: close: %w", syscall.Errno(-r))
	}
	return nil
}

// Receive receives n packets in bursts and frees them.
func (d *Device) Receive(n int) int { return int(C.raw_receive(d.port, C.uint64_t(n))) }

// Send sends n packets of so many bytes in bursts.
func (d *Device) Send(n, length int) int {
	return int(C.raw_send(d.port, d.mp.mp, C.uint64_t(n), C.uint16_t(length)))
}

// Forward sends n packets that it receives.
func (d *Device) Forward(n int) int { return int(C.raw_forward(d.port, C.uint64_t(n))) }

// Wire sends n packets of so many bytes in bursts, receives them at to and frees
// them.
func (d *Device) Wire(to *Device, n, length int) int {
	return int(C.raw_wire(d.port, to.port, d.mp.mp, C.uint64_t(n), C.uint16_t(length)))
}

// Kind says where the bytes of an mbuf are.
type Kind C.int

// Kinds of mbufs.
const (
	Plain        Kind = C.RAW_PLAIN         // in it
	Indirect     Kind = C.RAW_INDIRECT      // in another mbuf, which it holds
	External     Kind = C.RAW_EXTERNAL      // in memory of malloc's, freed by a call back
	ExternalTail Kind = C.RAW_EXTERNAL_TAIL // the first half in it, the other as External
)

// SendBytes sends one frame.
func (d *Device) SendBytes(k Kind, b []byte) error {
	r := C.raw_send_bytes(d.port, d.mp.mp, C.int(k), (*C.uint8_t)(unsafe.SliceData(b)), C.uint16_t(len(b)))
	if r < 0 {
		return fmt.Errorf("dpdktest: send: %w", syscall.Errno(-r))
	}
	return nil
}

// ExternalFreed counts the external buffers that were freed.
func ExternalFreed() int { return int(C.raw_external_freed()) }

// Sent is what a device was told of a packet.
type Sent struct {
	Len, Segs                   int
	L2Len, L3Len, L4Len, SegLen int
	VLAN                        uint16

	IPCsum, TCPCsum, UDPCsum, TSO, USO, InsertVLAN, IPv4, IPv6 bool
}

// Watch looks at all that is sent by queue 0 of the device from now on.
func (d *Device) Watch() error {
	if r := C.raw_watch(d.port); r < 0 {
		return fmt.Errorf("dpdktest: watch: %w", syscall.Errno(-r))
	}
	return nil
}

// Seen returns what was sent since the last call, at most 64 packets.
func Seen() []Sent {
	var raw [C.RAW_SEEN]C.struct_raw_sent
	list := make([]Sent, C.raw_seen(&raw[0]))
	for i := range list {
		r := &raw[i]
		has := func(bit uint64) bool { return uint64(r.ol_flags)&bit != 0 }
		l4 := uint64(r.ol_flags) & C.RTE_MBUF_F_TX_L4_MASK
		list[i] = Sent{
			Len: int(r.pkt_len), Segs: int(r.segs), VLAN: uint16(r.vlan_tci),
			L2Len: int(r.l2_len), L3Len: int(r.l3_len), L4Len: int(r.l4_len), SegLen: int(r.tso_segsz),
			IPCsum: has(C.RTE_MBUF_F_TX_IP_CKSUM), TCPCsum: l4 == C.RTE_MBUF_F_TX_TCP_CKSUM, UDPCsum: l4 == C.RTE_MBUF_F_TX_UDP_CKSUM,
			TSO: has(C.RTE_MBUF_F_TX_TCP_SEG), USO: has(C.RTE_MBUF_F_TX_UDP_SEG), InsertVLAN: has(C.RTE_MBUF_F_TX_VLAN),
			IPv4: has(C.RTE_MBUF_F_TX_IPV4), IPv6: has(C.RTE_MBUF_F_TX_IPV6),
		}
	}
	return list
}

// Sum is what a card says of a checksum.
type Sum uint8

// What it may say: nothing, or that it is right, wrong, or that nobody has made it
// for a packet that is right all the same.
const (
	SumUnknown Sum = iota
	SumGood
	SumBad
	SumNone
)

// L4 is what a card says of the type of a packet above IP.
type L4 uint32

// Types of packets; 0 is one that the card can't name.
const (
	L4TCP  L4 = C.RTE_PTYPE_L4_TCP
	L4UDP  L4 = C.RTE_PTYPE_L4_UDP
	L4Frag L4 = C.RTE_PTYPE_L4_FRAG
	L4ICMP L4 = C.RTE_PTYPE_L4_ICMP
)

// Received is what a card says of a packet, and its bytes, at most 256.
type Received struct {
	IP, Data    Sum
	Hashed      bool
	Hash        uint32
	Type        L4
	Stripped    bool
	VLAN        uint16
	LRO         bool
	SegmentSize uint16
	Bytes       []byte
}

// Dress has all packets that queue 0 of the device receives from now on be this one.
func (d *Device) Dress(r Received) error {
	raw := C.struct_raw_dress{
		packet_type: C.uint32_t(r.Type), rss: C.uint32_t(r.Hash), vlan_tci: C.uint16_t(r.VLAN),
		tso_segsz: C.uint16_t(r.SegmentSize), len: C.uint16_t(len(r.Bytes)),
	}
	for i, b := range r.Bytes {
		raw.bytes[i] = C.uint8_t(b)
	}
	flag := func(on bool, bit uint64) {
		if on {
			raw.ol_flags |= C.uint64_t(bit)
		}
	}
	flag(r.IP == SumGood, C.RTE_MBUF_F_RX_IP_CKSUM_GOOD)
	flag(r.IP == SumBad, C.RTE_MBUF_F_RX_IP_CKSUM_BAD)
	flag(r.IP == SumNone, C.RTE_MBUF_F_RX_IP_CKSUM_NONE)
	flag(r.Data == SumGood, C.RTE_MBUF_F_RX_L4_CKSUM_GOOD)
	flag(r.Data == SumBad, C.RTE_MBUF_F_RX_L4_CKSUM_BAD)
	flag(r.Data == SumNone, C.RTE_MBUF_F_RX_L4_CKSUM_NONE)
	flag(r.Hashed, C.RTE_MBUF_F_RX_RSS_HASH)
	flag(r.Stripped, C.RTE_MBUF_F_RX_VLAN|C.RTE_MBUF_F_RX_VLAN_STRIPPED)
	flag(r.LRO, C.RTE_MBUF_F_RX_LRO)
	if e := C.raw_dress(d.port, &raw); e < 0 {
		return fmt.Errorf("dpdktest: dress: %w", syscall.Errno(-e))
	}
	return nil
}

// Let ends Watch and Dress. The device is not in use.
func (d *Device) Let() { C.raw_let(d.port) }
