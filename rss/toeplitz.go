package rss

import (
	"encoding/binary"
	"math/bits"
)

// Byte offsets of the destination port within the hashed inputs:
// source address, destination address, source port, destination port,
// each in network order (Microsoft RSS specification, "RSS hashing types").
const (
	offPort4 = 4 + 4 + 2   // in the 12 bytes of an IPv4 4-tuple
	offPort6 = 16 + 16 + 2 // in the 36 bytes of an IPv6 4-tuple
	inputLen = offPort6 + 2
)

// byteTable holds the contribution of one input byte to the hash, for each of
// its values: 1 KiB, 16 cache lines.
type byteTable [256]uint32

// Hasher computes Toeplitz hashes under one key, a table read for each input
// byte. A table depends only on its byte's offset, not on the family, so IPv4
// uses the first 12 KiB of the 36 KiB that IPv6 needs, which stay in the
// first-level cache. On amd64, IPv6 is hashed by carry-less multiplication
// instead (clmul_amd64.go). A Hasher is some 36 KiB, made once for a key, and
// never changes: share it between threads.
type Hasher struct {
	tab [inputLen]byteTable
	// reversed is the key as a polynomial, bit m of word n its bit 64n+m.
	reversed [MinKeyLen / 8]uint64
	key      Key
}

// NewHasher builds the tables for a key; the zero Key stands for DefaultKey.
func NewHasher(key Key) *Hasher {
	h := &Hasher{key: key.orDefault()}
	for i := range h.reversed {
		h.reversed[i] = bits.Reverse64(binary.BigEndian.Uint64(h.key.b[i*8:]))
	}
	for i := range h.tab {
		// The five key bytes that the eight windows of input byte i span.
		w := uint64(h.key.b[i])<<32 | uint64(binary.BigEndian.Uint32(h.key.b[i+1:]))
		t := &h.tab[i]
		for bit := range 8 { // from the least significant
			n := 1 << bit
			window := uint32(w >> (bit + 1))
			for v := range n {
				t[n+v] = t[v] ^ window
			}
		}
	}
	return h
}

// Key is the key that the hasher was made for.
func (h *Hasher) Key() Key { return h.key }

// Hash4 is the hash of an IPv4 frame with ports (TCP or UDP). Addresses are
// big-endian values, 10.0.0.1 is 0x0a000001; ports are in host order.
func (h *Hasher) Hash4(src, dst uint32, sport, dport uint16) uint32 {
	t := &h.tab
	// Four short chains of XOR that the processor runs side by side.
	a := t[0][byte(src>>24)] ^ t[1][byte(src>>16)] ^ t[2][byte(src>>8)]
	b := t[3][byte(src)] ^ t[4][byte(dst>>24)] ^ t[5][byte(dst>>16)]
	c := t[6][byte(dst>>8)] ^ t[7][byte(dst)] ^ t[8][byte(sport>>8)]
	d := t[9][byte(sport)] ^ t[10][byte(dport>>8)] ^ t[11][byte(dport)]
	return (a ^ b) ^ (c ^ d)
}

// Hash4Addr is the hash of an IPv4 frame by its addresses only: fragments, and
// protocols without ports.
func (h *Hasher) Hash4Addr(src, dst uint32) uint32 {
	t := &h.tab
	a := t[0][byte(src>>24)] ^ t[1][byte(src>>16)] ^ t[2][byte(src>>8)] ^ t[3][byte(src)]
	b := t[4][byte(dst>>24)] ^ t[5][byte(dst>>16)] ^ t[6][byte(dst>>8)] ^ t[7][byte(dst)]
	return a ^ b
}

// word is the part of the hash of eight input bytes, whose tables are t.
func word(t *[8]byteTable, w uint64) uint32 {
	a := t[0][byte(w>>56)] ^ t[1][byte(w>>48)] ^ t[2][byte(w>>40)] ^ t[3][byte(w>>32)]
	b := t[4][byte(w>>24)] ^ t[5][byte(w>>16)] ^ t[6][byte(w>>8)] ^ t[7][byte(w)]
	return a ^ b
}
