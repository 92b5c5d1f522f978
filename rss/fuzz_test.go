package rss

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// FuzzHashFrame feeds arbitrary bytes: no panic, nothing is read past the end,
// and the hash is the one of the header fields that the kind names.
func FuzzHashFrame(f *testing.F) {
	for _, c := range frameCases() {
		f.Add(c.f.bytes(f))
	}
	f.Add([]byte{})
	h := NewHasher(DefaultKey)
	f.Fuzz(func(t *testing.T, b []byte) {
		hash, kind := h.HashFrame(b[:len(b):len(b)])
		if kind == KindNone {
			require.Zero(t, hash)
			return
		}
		off := header.EthernetLen
		for range maxTags {
			if typ := header.EtherType(b[off-2])<<8 | header.EtherType(b[off-1]); typ == header.EtherTypeVLAN || typ == header.EtherTypeQinQ {
				off += header.VLANLen
			}
		}
		in := b[off+12 : off+20]
		if kind >= KindIPv6 {
			in = b[off+8 : off+40]
		}
		addrs := toeplitzBits(DefaultKey.Bytes(), in)
		if !kind.HasPorts() {
			require.Equal(t, addrs, hash)
			return
		}
		// By linearity what remains is the hash of the ports, of which at
		// least one place behind the addresses must hold a pair.
		found := false
		for at := off + header.IPv4Len; at+4 <= len(b) && !found; at++ {
			found = toeplitzBits(DefaultKey.Bytes(), append(append([]byte{}, in...), b[at:at+4]...)) == hash
		}
		require.True(t, found)
	})
}

// FuzzSolver takes any key, table, queue, range and flow, and compares the
// solver's ports with those found by hashing each port of the range.
func FuzzSolver(f *testing.F) {
	f.Add(DefaultKey.Bytes(), []byte{0, 1, 2, 3}, uint8(1), uint16(49152), uint16(65535), uint64(0x0a000001), false)
	f.Add(SymmetricKey.Bytes(), []byte{7, 7, 1}, uint8(7), uint16(1), uint16(65535), uint64(1), true)
	f.Add(make([]byte, 40), []byte{5}, uint8(5), uint16(1000), uint16(1000), uint64(2), true)
	f.Add([]byte{1, 2, 4, 8}, []byte{0, 0, 0, 0, 0, 0, 0, 1}, uint8(1), uint16(255), uint16(1025), uint64(3), false)
	f.Fuzz(func(t *testing.T, keyBytes, entryBytes []byte, queue uint8, lo, hi uint16, flow uint64, v6 bool) {
		// Short keys and tables are repeated, so that poor ones are common.
		if len(keyBytes) == 0 || len(entryBytes) == 0 {
			return
		}
		raw := make([]byte, MinKeyLen)
		for i := range raw {
			raw[i] = keyBytes[i%len(keyBytes)]
		}
		key, err := NewKey(raw)
		require.NoError(t, err)
		entries := make([]uint16, 64<<(entryBytes[0]%4))
		for i := range entries {
			entries[i] = uint16(entryBytes[i%len(entryBytes)])
		}
		reta, err := FromEntries(entries)
		require.NoError(t, err)

		h := NewHasher(key)
		s, err := NewSolver(h, reta, uint16(queue), lo, hi)
		if lo == 0 || lo > hi {
			require.ErrorIs(t, err, ErrRange)
			return
		}
		remote, local := header.AddrFrom4Uint(uint32(flow)), header.AddrFrom4Uint(uint32(flow>>32))
		if v6 {
			remote, local = header.AddrFrom16([16]byte{0x20, 1, 15: byte(flow)}), header.AddrFrom16([16]byte{0xfe, 0x80, 14: byte(flow >> 8)})
		}
		rport := uint16(flow >> 16)
		var want [1 << 16]bool
		count := uint32(0)
		for p := uint32(lo); p <= uint32(hi); p++ {
			if reta.Queue(h.HashTuple(remote, local, rport, uint16(p))) == uint16(queue) {
				want[p] = true
				count++
			}
		}
		if err != nil {
			require.ErrorIs(t, err, ErrNoPort)
			require.Zero(t, count)
			return
		}
		ports := s.Ports(remote, local, rport)
		require.Equal(t, count, ports.Count())
		for i := range count {
			p := ports.Port(i)
			require.True(t, want[p], "port %d", p)
			want[p] = false // each once
		}
	})
}
