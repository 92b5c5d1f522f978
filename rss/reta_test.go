package rss

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewRETARoundRobin(t *testing.T) {
	for size := 64; size <= 512; size *= 2 {
		for _, queues := range []int{1, 2, 3, 7, 48, 64} {
			r, err := NewRETA(size, queues)
			require.NoError(t, err)
			require.Equal(t, size, r.Size())
			require.NoError(t, r.Validate(queues))
			total := 0
			for q := range queues {
				share := r.Share(uint16(q))
				require.InDelta(t, size/queues, share, 1)
				total += share
			}
			require.Equal(t, size, total)
			for i, q := range r.Entries() {
				require.Equal(t, uint16(i%queues), q)
			}
		}
	}
}

func TestRETASizes(t *testing.T) {
	for _, size := range []int{-64, 0, 1, 32, 63, 65, 96, 100, 511, 513, 1024, 1 << 20} {
		_, err := NewRETA(size, 1)
		require.ErrorIs(t, err, ErrRETA, "%d", size)
		if size >= 0 {
			_, err = FromEntries(make([]uint16, size))
			require.ErrorIs(t, err, ErrRETA, "%d", size)
		}
	}
	for _, queues := range []int{-1, 0, 65} {
		_, err := NewRETA(64, queues)
		require.ErrorIs(t, err, ErrQueue, "%d", queues)
	}
}

// A card looks at the low bits of the hash only.
func TestRETAQueueUsesLowBits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for size := 64; size <= 512; size *= 2 {
		entries := make([]uint16, size)
		for i := range entries {
			entries[i] = uint16(r.Uint32())
		}
		reta, err := FromEntries(entries)
		require.NoError(t, err)
		require.Equal(t, entries, reta.Entries())
		for range 2000 {
			hash := r.Uint32()
			require.Equal(t, entries[int(hash)%size], reta.Queue(hash))
		}
	}
}

func TestRETASet(t *testing.T) {
	a, err := NewRETA(64, 4)
	require.NoError(t, err)
	b := a
	require.NoError(t, a.Set(63, 9))
	require.NotEqual(t, a, b)
	require.Equal(t, uint16(9), a.Entries()[63])
	for hash := uint32(63); hash < 4096; hash += 64 {
		require.Equal(t, uint16(9), a.Queue(hash))
		require.Equal(t, uint16(3), b.Queue(hash), "copies are independent")
	}
	for _, i := range []int{-1, 64, 511} {
		require.ErrorIs(t, a.Set(i, 0), ErrRETA)
	}
}

func TestRETAValidate(t *testing.T) {
	r, err := NewRETA(128, 8)
	require.NoError(t, err)
	require.NoError(t, r.Validate(8))
	require.NoError(t, r.Validate(100))
	require.ErrorIs(t, r.Validate(7), ErrQueue)
	require.ErrorIs(t, r.Validate(0), ErrQueue)
	require.NoError(t, r.Set(127, 8))
	require.ErrorIs(t, r.Validate(8), ErrQueue)
}

func TestZeroRETA(t *testing.T) {
	var r RETA
	require.Zero(t, r.Size())
	require.Empty(t, r.Entries())
	require.Zero(t, r.Queue(0xffffffff))
	require.NoError(t, r.Validate(1))
	require.ErrorIs(t, r.Set(0, 1), ErrRETA)
}
