//go:build !purego

package header

// The assembly checks nothing: n bytes lie at p, src and dst. It touches no
// byte outside of them.

// checksumAVX2 is Checksum of n >= 32 bytes.
//
//go:noescape
func checksumAVX2(p *byte, n int, sum uint16) uint16

// checksumCopyAVX2 is ChecksumCopy of n >= 32 bytes.
//
//go:noescape
func checksumCopyAVX2(dst, src *byte, n int, sum uint16) uint16

// checksumAVX512 is Checksum of n >= 0 bytes.
//
//go:noescape
func checksumAVX512(p *byte, n int, sum uint16) uint16

// checksumCopyAVX512 is ChecksumCopy of n >= 0 bytes.
//
//go:noescape
func checksumCopyAVX512(dst, src *byte, n int, sum uint16) uint16

var hasAVX2, hasAVX512 = detect()
