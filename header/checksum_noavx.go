//go:build !amd64 || purego

package header

// There is no such assembly: constants, so that the compiler drops the calls.
const hasAVX2, hasAVX512 = false, false

func checksumAVX2(*byte, int, uint16) uint16              { panic("unreachable") }
func checksumCopyAVX2(_, _ *byte, _ int, _ uint16) uint16 { panic("unreachable") }

func checksumAVX512(*byte, int, uint16) uint16              { panic("unreachable") }
func checksumCopyAVX512(_, _ *byte, _ int, _ uint16) uint16 { panic("unreachable") }
