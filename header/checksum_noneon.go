//go:build !arm64 || purego

package header

// There is no such assembly: a constant, so that the compiler drops the calls.
const hasNEON = false

func checksumNEON(*byte, int, uint16) uint16              { panic("unreachable") }
func checksumCopyNEON(_, _ *byte, _ int, _ uint16) uint16 { panic("unreachable") }
