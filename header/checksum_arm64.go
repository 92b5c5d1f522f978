//go:build !purego

package header

// hasNEON: Go runs on no arm64 without it.
const hasNEON = true

// The assembly checks nothing: n bytes lie at p, src and dst. It touches no
// byte outside of them.

// checksumNEON is Checksum of n >= 16 bytes.
//
//go:noescape
func checksumNEON(p *byte, n int, sum uint16) uint16

// checksumCopyNEON is ChecksumCopy of n >= 16 bytes.
//
//go:noescape
func checksumCopyNEON(dst, src *byte, n int, sum uint16) uint16
