//go:build !purego

package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func init() {
	if hasAVX2 {
		addAssembly("AVX2", checksumAVX2, checksumCopyAVX2, 32)
	}
	if hasAVX512 {
		addAssembly("AVX512", checksumAVX512, checksumCopyAVX512, 1)
	}
}

// TestDetectIsConsistent holds that AVX-512 is never used where AVX2 is not,
// and that the CPU names itself.
func TestDetectIsConsistent(t *testing.T) {
	avx2, avx512 := detect()
	require.True(t, avx2 || !avx512)
	maxLeaf, ebx, ecx, edx := cpuid(0, 0)
	require.NotZero(t, maxLeaf)
	require.NotZero(t, ebx|ecx|edx, "vendor")
}

// TestChecksumWithoutVectors runs Checksum as on a CPU that has no vectors, or
// AVX2 only.
func TestChecksumWithoutVectors(t *testing.T) {
	avx2, avx512 := hasAVX2, hasAVX512
	defer func() { hasAVX2, hasAVX512 = avx2, avx512 }()
	src, dst := randomBytes(2000, 3), make([]byte, 2000)
	for _, on := range []bool{avx2, false} {
		hasAVX2, hasAVX512 = on, false
		for n := range len(src) {
			want := plainSum(src[:n], 5)
			require.Equal(t, want, Checksum(src[:n], 5))
			clear(dst)
			require.Equal(t, want, ChecksumCopy(dst, src[:n], 5))
			require.Equal(t, src[:n], dst[:n])
			require.Zero(t, dst[n])
		}
	}
}
