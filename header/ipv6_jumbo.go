package header

import "encoding/binary"

// Jumbograms (RFC 2675) are IPv6 packets with more than 65,535 bytes behind the
// header: its length is 0, and the first thing behind it is a hop-by-hop options
// header with the length in 32 bits. Between hosts of one machine they save work;
// few links carry them.

// IPv6JumboLen is the length in bytes of a hop-by-hop options header that has
// nothing but the jumbo payload option.
const IPv6JumboLen = 8

const (
	ipv6OptJumbo    = 0xc2 // RFC 2675 2
	ipv6OptJumboLen = 4
)

// IPv6Jumbo is a view of such a header:
//
//	0 next header | 1 length (0) | 2 option type | 3 option length | 4 jumbo payload length
type IPv6Jumbo [IPv6JumboLen]byte

// Encode fills the whole header; n is how many bytes follow the IPv6 header, this
// one included, and over 65,535 (RFC 2675 2).
func (h *IPv6Jumbo) Encode(next Protocol, n uint32) {
	h[0], h[1] = byte(next), 0
	h[2], h[3] = ipv6OptJumbo, ipv6OptJumboLen
	binary.BigEndian.PutUint32(h[4:8], n)
}

// NextHeader returns what follows.
func (h *IPv6Jumbo) NextHeader() Protocol { return Protocol(h[0]) }

// PayloadLen returns how many bytes follow the IPv6 header.
func (h *IPv6Jumbo) PayloadLen() uint32 { return binary.BigEndian.Uint32(h[4:8]) }

// IsJumbo reports whether the IPv6 header at the start of b says by its length of
// 0 that a jumbo payload option follows (RFC 2675 3).
func (h *IPv6) IsJumbo() bool { return h[4] == 0 && h[5] == 0 && Protocol(h[6]) == ProtoHopByHop }

// ParseIPv6Jumbo is the gate of jumbograms: b, which ParseIPv6 has passed and
// which IsJumbo, is the first part of a packet of n bytes, with all of its
// hop-by-hop options. payloadLen is as ParseIPv6's, and over 65,535. On
// FaultIPv6Jumbo at is where the fault is that RFC 2675 3 has reported, in bytes
// from the IPv6 header on.
func ParseIPv6Jumbo(b []byte, n int) (payloadLen, at int, f Fault) {
	opts := b[IPv6Len:]
	if len(opts) < 8 || extLen(ProtoHopByHop, opts[1]) > len(opts) {
		return 0, 0, FaultIPv6Ext
	}
	x := IPv6Extensions{Protocol: ProtoHopByHop, Options: -1}
	if f := x.options(opts[:extLen(ProtoHopByHop, opts[1])]); f != OK {
		return 0, 0, f
	}
	if x.Jumbo == 0 { // then the length of 0 can't be meant
		return 0, 4, FaultIPv6Jumbo
	}
	size := binary.BigEndian.Uint32(opts[x.Jumbo+2:])
	switch {
	case size <= 0xffff:
		return 0, IPv6Len + x.Jumbo + 2, FaultIPv6Jumbo
	case uint64(size) > uint64(max(n-IPv6Len, 0)):
		return 0, 0, FaultIPv6Payload
	}
	return int(size), 0, OK
}
