package header

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// guarded returns a page that lies between two that can't be touched: one byte
// read or written in front of it or behind it ends the test program.
func guarded(t *testing.T) []byte {
	t.Helper()
	page := os.Getpagesize()
	m, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Munmap(m)) })
	require.NoError(t, syscall.Mprotect(m[:page], syscall.PROT_NONE))
	require.NoError(t, syscall.Mprotect(m[2*page:], syscall.PROT_NONE))
	return m[page : 2*page : 2*page]
}

// TestChecksumStaysInside sums and copies data that ends at the end of a page
// and data that starts at its start.
func TestChecksumStaysInside(t *testing.T) {
	src, dst := guarded(t), guarded(t)
	copy(src, randomBytes(len(src), 8))
	for n := range len(src) + 1 {
		front, back := src[:n:n], src[len(src)-n:]
		for i := range sums {
			if f := &sums[i]; n >= f.min && n <= f.max {
				require.Equal(t, plainSum(front, 0), f.sum(front, 0), f.name)
				require.Equal(t, plainSum(back, 0), f.sum(back, 0), f.name)
			}
		}
		for i := range copies {
			if f := &copies[i]; n >= f.min {
				require.Equal(t, plainSum(front, 0), f.sum(dst[len(dst)-n:], front, 0), f.name)
				require.Equal(t, plainSum(back, 0), f.sum(dst[:n:n], back, 0), f.name)
			}
		}
	}
}
