package stack

import (
	"math/bits"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/rss"
)

func TestFlowKeySpreadsFlowsThatDifferLittle(t *testing.T) {
	k := makeFlowKey(1, 2)
	const bits14 = 1 << 14
	f := makeFlowSlots(bits14, true)
	for name, hash := range map[string]func(i uint32) uint32{
		"ports":     func(i uint32) uint32 { return k.hash4(0xc6120001, 0xc6130001, uint16(i), 80) },
		"addresses": func(i uint32) uint32 { return k.hash4(0xc6120001+i, 0xc6130001, 4000, 80) },
		"IPv6 ports": func(i uint32) uint32 {
			return k.hash(hdr(netip.MustParseAddr("2001:db8::1")), hdr(netip.MustParseAddr("2001:db8::2")), 80, uint16(i))
		},
	} {
		used := map[uint32]bool{}
		for i := range uint32(bits14) {
			used[f.home(hash(i))] = true
		}
		// Thrown at random, 1 - 1/e of the slots have one or more: 10,357.
		require.InDelta(t, 10357, len(used), 300, name)
	}
}

// Flows of ports that follow each other are next to each other, eight a cache line of
// the table, at either end of a connection; where the lines are is the key's secret.
func TestFlowKeyKeepsNeighboursTogether(t *testing.T) {
	k := makeFlowKey(5, 6)
	f := makeFlowSlots(1<<14, true)
	lines := map[uint32]bool{}
	for first := uint16(0); first < 8000; first += slotsPerLine {
		for name, hash := range map[string]func(i uint16) uint32{
			"client": func(i uint16) uint32 { return k.hash4(0xc6120001, 0xc6130001, 80, first+i) },
			"server": func(i uint16) uint32 { return k.hash4(0xc6130001, 0xc6120001, first+i, 80) },
		} {
			slots := map[uint32]bool{}
			for i := range uint16(slotsPerLine) {
				slots[f.home(hash(i))] = true
				require.Equal(t, f.home(hash(0))/slotsPerLine, f.home(hash(i))/slotsPerLine, name)
			}
			require.Len(t, slots, slotsPerLine, name)
			lines[f.home(hash(0))/slotsPerLine] = true
		}
	}
	// 2000 thrown at 2048 lines hit 2048·(1 - 1/e^(2000/2048)) = 1277 of them.
	require.InDelta(t, 1277, len(lines), 80)
}

func TestFlowKeyIsASecret(t *testing.T) {
	a, b := makeFlowKey(1, 2), makeFlowKey(1, 3)
	differ := 0
	for i := range uint16(1000) {
		differ += bits.OnesCount32(a.hash4(1, 2, i, 80) ^ b.hash4(1, 2, i, 80))
	}
	require.InDelta(t, 16000, differ, 500)
}

func TestFlowKeyHashesIPv4AlikeInBothForms(t *testing.T) {
	k := makeFlowKey(3, 4)
	require.Equal(t, k.hash4(0xc6120001, 0xc6130002, 4000, 80), k.hash(hdr(netip.MustParseAddr("198.19.0.2")), hdr(netip.MustParseAddr("198.18.0.1")), 80, 4000))
}

// Whatever hash comes with a packet, a stack without a hasher finds its connection.
func TestOwnFlowHashIgnoresThePorts(t *testing.T) {
	h := newHost(t, hostConfig{})
	require.Nil(t, h.hasher)
	p := h.pool.Alloc(pbuf.LayerRaw, 64, pbuf.KindRAM)
	defer p.Free()
	p.Flags |= pbuf.RxHash
	require.False(t, h.knowsHash(p))
	h.Stack.hasher = rss.NewHasher(rss.DefaultKey)
	require.True(t, h.knowsHash(p))
}

func TestFlowHashIsTheNICsWithAHasher(t *testing.T) {
	own := rss.NewHasher(rss.SymmetricKey)
	h := newHost(t, hostConfig{Config: Config{Hasher: own}})
	local, remote := header.AddrFrom4Uint(0xc6120001), header.AddrFrom4Uint(0xc6130001)
	require.Equal(t, own.Hash4(0xc6130001, 0xc6120001, 80, 4000), h.hashFlow(local, remote, 4000, 80))
}
