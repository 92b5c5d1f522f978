package rss

import "github.com/shardstack/shardstack/header"

// Hash6 is the hash of an IPv6 frame with ports (TCP or UDP); ports are in host
// order. All 128 bits of the addresses are hashed, whatever they are: an
// IPv4-mapped address is that of an IPv6 frame here.
func (h *Hasher) Hash6(src, dst header.Addr, sport, dport uint16) uint32 {
	return h.hash6(src, dst, uint32(sport)<<16|uint32(dport))
}

// Hash6Addr is the hash of an IPv6 frame by its addresses only: fragments, and
// protocols without ports.
func (h *Hasher) Hash6Addr(src, dst header.Addr) uint32 {
	return h.hash6(src, dst, 0)
}

// tables6 is hash6 by table: the way of processors without a carry-less
// multiplication.
func (h *Hasher) tables6(src, dst header.Addr, ports uint32) uint32 {
	t := &h.tab
	a := word((*[8]byteTable)(t[0:8]), src.Hi()) ^ word((*[8]byteTable)(t[8:16]), src.Lo())
	b := word((*[8]byteTable)(t[16:24]), dst.Hi()) ^ word((*[8]byteTable)(t[24:32]), dst.Lo())
	c := t[32][byte(ports>>24)] ^ t[33][byte(ports>>16)] ^ t[34][byte(ports>>8)] ^ t[35][byte(ports)]
	return a ^ b ^ c
}

// HashTuple is Hash4 if both addresses are IPv4, else Hash6.
func (h *Hasher) HashTuple(src, dst header.Addr, sport, dport uint16) uint32 {
	if src.Is4() && dst.Is4() {
		return h.Hash4(src.Uint32(), dst.Uint32(), sport, dport)
	}
	return h.Hash6(src, dst, sport, dport)
}

// HashAddrs is Hash4Addr if both addresses are IPv4, else Hash6Addr.
func (h *Hasher) HashAddrs(src, dst header.Addr) uint32 {
	if src.Is4() && dst.Is4() {
		return h.Hash4Addr(src.Uint32(), dst.Uint32())
	}
	return h.Hash6Addr(src, dst)
}
