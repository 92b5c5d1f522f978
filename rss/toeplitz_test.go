package rss

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// toeplitzBits is the hash as Microsoft's specification writes it down: for
// each bit of the input from the left, XOR in the leftmost 32 bits of the key
// if the bit is set, then shift the key left by one. It is the oracle of every
// test in this package.
func toeplitzBits(key, input []byte) uint32 {
	var hash uint32
	window := binary.BigEndian.Uint32(key)
	next := 32
	for _, b := range input {
		for bit := 7; bit >= 0; bit-- {
			if b>>bit&1 != 0 {
				hash ^= window
			}
			window = window<<1 | uint32(key[next/8]>>(7-next%8)&1)
			next++
			if next == len(key)*8 {
				next = 0 // past the last input bit: not used any more
			}
		}
	}
	return hash
}

// input4 and input6 lay out what a card hashes; n ports are appended.
func input4(src, dst uint32, ports ...uint16) []byte {
	b := binary.BigEndian.AppendUint32(nil, src)
	b = binary.BigEndian.AppendUint32(b, dst)
	for _, p := range ports {
		b = binary.BigEndian.AppendUint16(b, p)
	}
	return b
}

func input6(src, dst header.Addr, ports ...uint16) []byte {
	s, d := src.As16(), dst.As16()
	b := append(s[:], d[:]...)
	for _, p := range ports {
		b = binary.BigEndian.AppendUint16(b, p)
	}
	return b
}

func addr(t testing.TB, s string) header.Addr {
	t.Helper()
	a, err := netip.ParseAddr(s)
	require.NoError(t, err)
	return header.FromNetip(a)
}

func randomKey(t testing.TB, r *rand.Rand) Key {
	t.Helper()
	b := make([]byte, MinKeyLen+r.IntN(MaxKeyLen-MinKeyLen+1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	k, err := NewKey(b)
	require.NoError(t, err)
	return k
}

// randomAddrs draws two addresses of one family.
func randomAddrs(r *rand.Rand, v6 bool) (a, b header.Addr) {
	if !v6 {
		return header.AddrFrom4Uint(r.Uint32()), header.AddrFrom4Uint(r.Uint32())
	}
	draw := func() header.Addr {
		var x [16]byte
		binary.BigEndian.PutUint64(x[:], r.Uint64()|1<<63) // never IPv4-mapped
		binary.BigEndian.PutUint64(x[8:], r.Uint64())
		return header.AddrFrom16(x)
	}
	return draw(), draw()
}

// The published vectors of "Verifying the RSS Hash Calculation".
var microsoftVectors = []struct {
	dst          string
	dport        uint16
	src          string
	sport        uint16
	addrs, tuple uint32
}{
	{"161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178},
	{"65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea},
	{"12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a},
	{"209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f},
	{"202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2},
	{"3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5, 0x40207d3d},
	{"ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c, 0xdde51bbf},
	{"fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x4b61e985, 0x02d1feef},
}

func TestMicrosoftVectors(t *testing.T) {
	h := NewHasher(DefaultKey)
	for _, v := range microsoftVectors {
		src, dst := addr(t, v.src), addr(t, v.dst)
		require.Equal(t, v.addrs, h.HashAddrs(src, dst), "%s > %s", v.src, v.dst)
		require.Equal(t, v.tuple, h.HashTuple(src, dst, v.sport, v.dport), "%s > %s", v.src, v.dst)
		if src.Is4() {
			require.Equal(t, v.addrs, h.Hash4Addr(src.Uint32(), dst.Uint32()))
			require.Equal(t, v.tuple, h.Hash4(src.Uint32(), dst.Uint32(), v.sport, v.dport))
		} else {
			require.Equal(t, v.addrs, h.Hash6Addr(src, dst))
			require.Equal(t, v.tuple, h.Hash6(src, dst, v.sport, v.dport))
		}
	}
}

// The oracle itself must satisfy the vectors, or it proves nothing.
func TestOracleMicrosoftVectors(t *testing.T) {
	key := DefaultKey.Bytes()
	for _, v := range microsoftVectors {
		src, dst := addr(t, v.src), addr(t, v.dst)
		addrs, tuple := input6(src, dst), input6(src, dst, v.sport, v.dport)
		if src.Is4() {
			addrs = input4(src.Uint32(), dst.Uint32())
			tuple = input4(src.Uint32(), dst.Uint32(), v.sport, v.dport)
		}
		require.Equal(t, v.addrs, toeplitzBits(key, addrs), "%s > %s", v.src, v.dst)
		require.Equal(t, v.tuple, toeplitzBits(key, tuple), "%s > %s", v.src, v.dst)
	}
}

func TestHashesMatchOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		key := randomKey(t, r)
		h, raw := NewHasher(key), key.Bytes()
		for range 20 {
			sport, dport := uint16(r.Uint32()), uint16(r.Uint32())
			a, b := randomAddrs(r, false)
			s, d := a.Uint32(), b.Uint32()
			require.Equal(t, toeplitzBits(raw, input4(s, d, sport, dport)), h.Hash4(s, d, sport, dport))
			require.Equal(t, toeplitzBits(raw, input4(s, d)), h.Hash4Addr(s, d))
			require.Equal(t, h.Hash4(s, d, sport, dport), h.HashTuple(a, b, sport, dport))
			require.Equal(t, h.Hash4Addr(s, d), h.HashAddrs(a, b))

			// IPv4-mapped addresses in an IPv6 frame are hashed at full length.
			require.Equal(t, toeplitzBits(raw, input6(a, b, sport, dport)), h.Hash6(a, b, sport, dport))

			a, b = randomAddrs(r, true)
			require.Equal(t, toeplitzBits(raw, input6(a, b, sport, dport)), h.Hash6(a, b, sport, dport))
			require.Equal(t, toeplitzBits(raw, input6(a, b)), h.Hash6Addr(a, b))
			require.Equal(t, h.Hash6(a, b, sport, dport), h.tables6(a, b, uint32(sport)<<16|uint32(dport)))
			require.Equal(t, h.Hash6(a, b, sport, dport), h.HashTuple(a, b, sport, dport))
			require.Equal(t, h.Hash6Addr(a, b), h.HashAddrs(a, b))
		}
	}
}

// Each single input bit picks its own window of the key.
func TestEachInputBit(t *testing.T) {
	h, raw := NewHasher(DefaultKey), DefaultKey.Bytes()
	for bit := range inputLen * 8 {
		var in [inputLen]byte
		in[bit/8] = 0x80 >> (bit % 8)
		src := header.AddrFrom16([16]byte(in[0:16]))
		dst := header.AddrFrom16([16]byte(in[16:32]))
		sport, dport := binary.BigEndian.Uint16(in[32:]), binary.BigEndian.Uint16(in[34:])
		want := toeplitzBits(raw, in[:])
		require.Equal(t, want, h.Hash6(src, dst, sport, dport), "bit %d", bit)
		require.Equal(t, want, h.tables6(src, dst, uint32(sport)<<16|uint32(dport)), "bit %d", bit)
	}
}

func TestMixedFamiliesHashAsIPv6(t *testing.T) {
	h := NewHasher(DefaultKey)
	a, b := addr(t, "192.0.2.1"), addr(t, "2001:db8::1")
	require.Equal(t, h.Hash6(a, b, 1, 2), h.HashTuple(a, b, 1, 2))
	require.Equal(t, h.Hash6(b, a, 1, 2), h.HashTuple(b, a, 1, 2))
	require.Equal(t, h.Hash6Addr(a, b), h.HashAddrs(a, b))
}

func TestSymmetricKey(t *testing.T) {
	h := NewHasher(SymmetricKey)
	plain := NewHasher(DefaultKey)
	r := rand.New(rand.NewPCG(2, 2))
	differ := 0
	for i := range 1000 {
		a, b := randomAddrs(r, i%2 == 0)
		p, q := uint16(r.Uint32()), uint16(r.Uint32())
		require.Equal(t, h.HashTuple(a, b, p, q), h.HashTuple(b, a, q, p))
		require.Equal(t, h.HashAddrs(a, b), h.HashAddrs(b, a))
		if plain.HashTuple(a, b, p, q) != plain.HashTuple(b, a, q, p) {
			differ++
		}
	}
	require.Greater(t, differ, 990, "another key is not symmetric")
}

// The bytes of a key past the 40th are a card's, no hash depends on them.
func TestKeyTailDoesNotMatter(t *testing.T) {
	long, err := NewKey(append(DefaultKey.Bytes(), 0xde, 0xad, 0xbe, 0xef))
	require.NoError(t, err)
	a, b := addr(t, "2001:db8::1"), addr(t, "2001:db8::ffff")
	require.Equal(t, NewHasher(DefaultKey).Hash6(a, b, 65535, 65535), NewHasher(long).Hash6(a, b, 65535, 65535))
}

func TestZeroKeyIsDefault(t *testing.T) {
	h := NewHasher(Key{})
	require.Equal(t, DefaultKey, h.Key())
	require.Equal(t, NewHasher(DefaultKey).Hash4(1, 2, 3, 4), h.Hash4(1, 2, 3, 4))
}

func TestHashesDoNotAllocate(t *testing.T) {
	h := NewHasher(DefaultKey)
	a, b := addr(t, "2001:db8::1"), addr(t, "2001:db8::2")
	c, d := addr(t, "192.0.2.1"), addr(t, "192.0.2.2")
	var sum uint32
	require.Zero(t, testing.AllocsPerRun(100, func() {
		sum += h.HashTuple(a, b, 1, 2) + h.HashAddrs(a, b) + h.HashTuple(c, d, 1, 2) + h.HashAddrs(c, d)
	}))
	require.NotZero(t, sum)
}
