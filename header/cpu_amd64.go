//go:build !purego

package header

// cpuid runs the CPUID instruction.
func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)

// xgetbv reads the low half of XCR0: which registers the system saves.
func xgetbv() (eax uint32)

// Bits of CPUID and XCR0 (Intel SDM volume 2A "CPUID", volume 1 13.3).
const (
	cpuOSXSAVE  = 1 << 27 // leaf 1 ECX
	cpuAVX      = 1 << 28 // leaf 1 ECX
	cpuAVX2     = 1 << 5  // leaf 7 EBX, as below
	cpuBMI2     = 1 << 8
	cpuAVX512F  = 1 << 16
	cpuAVX512BW = 1 << 30
	xcrAVX      = 1<<1 | 1<<2
	xcrAVX512   = xcrAVX | 1<<5 | 1<<6 | 1<<7
)

// detect tells which vector instructions both the CPU and the system support.
func detect() (avx2, avx512 bool) {
	maxLeaf, _, _, _ := cpuid(0, 0)
	if maxLeaf < 7 {
		return false, false
	}
	const need = cpuOSXSAVE | cpuAVX
	if _, _, ecx, _ := cpuid(1, 0); ecx&need != need {
		return false, false
	}
	xcr := xgetbv()
	_, ebx, _, _ := cpuid(7, 0)
	avx2 = xcr&xcrAVX == xcrAVX && ebx&cpuAVX2 != 0
	const need512 = cpuAVX512F | cpuAVX512BW | cpuBMI2
	return avx2, avx2 && xcr&xcrAVX512 == xcrAVX512 && ebx&need512 == need512
}
