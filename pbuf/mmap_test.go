//go:build linux

package pbuf

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

func TestMapMemory(t *testing.T) {
	for _, huge := range []HugePolicy{HugeAuto, HugeTransparent, HugeNever} {
		for _, size := range []int{1, 4096, 4097, hugePageSize - 1, hugePageSize, 3*hugePageSize + 1} {
			for _, prefault := range []bool{false, true} {
				m, err := mapMemory(size, huge, AnyNode, prefault)
				require.NoError(t, err)
				require.GreaterOrEqual(t, int(m.size), size)
				require.Zero(t, m.base%4096)
				if size >= hugePageSize {
					require.Zero(t, m.base%hugePageSize, "may be backed by huge pages")
				}
				if huge == HugeNever {
					require.Equal(t, PagesBase, m.pages)
				}
				if huge == HugeTransparent {
					require.NotEqual(t, PagesHuge, m.pages)
				}
				b := bytesAt(m.base, size)
				require.Zero(t, bytes.Count(b, []byte{1}))
				b[0], b[size-1] = 1, 1
				require.NoError(t, m.unmap())
			}
		}
	}
	require.NoError(t, mapping{}.unmap())
}

// TestHugeRequire has one of two outcomes, as the machine has huge pages or not.
func TestHugeRequire(t *testing.T) {
	pl, err := NewPool(Config{HugePages: HugeRequire, Small: 64, Buffers: 64, Jumbo: -1})
	if err != nil {
		require.ErrorIs(t, err, ErrNoHugePages)
		require.Nil(t, pl)
		return
	}
	require.Equal(t, PagesHuge, pl.Pages())
	require.Zero(t, len(pl.Memory())%hugePageSize)
	require.NoError(t, pl.Close())
}

// TestNUMANode prefers a node that every machine has, and one that none has.
func TestNUMANode(t *testing.T) {
	m, err := mapMemory(1<<20, HugeNever, Node(0), true)
	if err != nil {
		testenv.Missing(t, "memory policies of the kernel: %v", err)
	}
	require.NoError(t, m.unmap())
	_, err = mapMemory(1<<20, HugeNever, Node(maxNodes-1), false)
	require.ErrorContains(t, err, "NUMA node 1023")
}

func TestMapTooMuch(t *testing.T) {
	_, err := NewPool(Config{Small: -1, Buffers: -1, Jumbo: maxCount, JumboRoom: MaxRoom})
	require.Error(t, err)
	for _, pl := range pools {
		require.True(t, pl == nil || pl.Cap(ClassJumbo) != maxCount, "still registered")
	}
	_, err = NewRegion(1 << 60)
	require.Error(t, err)
}
