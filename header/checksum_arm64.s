//go:build !purego

#include "textflag.h"

// The loops widen: the 32-bit halves of a vector are added to 64-bit lanes,
// which have room for 2^32 of them and so lose no carry.

// 16 bytes of zeros, then 16 bytes of ones: loading 16 bytes at offset r gives
// a mask for the last r bytes of a vector.
DATA ·tailMask<>+0x00(SB)/8, $0
DATA ·tailMask<>+0x08(SB)/8, $0
DATA ·tailMask<>+0x10(SB)/8, $-1
DATA ·tailMask<>+0x18(SB)/8, $-1
GLOBL ·tailMask<>(SB), RODATA|NOPTR, $32

// ACC adds the low half of the vector v to lo and the high half to hi.
#define ACC(v, lo, hi) \
	VUADDW  v.S2, lo.D2, lo.D2 \
	VUADDW2 v.S4, hi.D2, hi.D2

// ACC4 adds V16 to V19 to the eight accumulators V0 to V7.
#define ACC4 \
	ACC(V16, V0, V1) \
	ACC(V17, V2, V3) \
	ACC(V18, V4, V5) \
	ACC(V19, V6, V7)

// CLEAR makes the accumulators zero.
#define CLEAR \
	VEOR V0.B16, V0.B16, V0.B16 \
	VEOR V1.B16, V1.B16, V1.B16 \
	VEOR V2.B16, V2.B16, V2.B16 \
	VEOR V3.B16, V3.B16, V3.B16 \
	VEOR V4.B16, V4.B16, V4.B16 \
	VEOR V5.B16, V5.B16, V5.B16 \
	VEOR V6.B16, V6.B16, V6.B16 \
	VEOR V7.B16, V7.B16, V7.B16

// MASK16 keeps the last r bytes of V16, r being 16 plus the negative rest in
// R2.
#define MASK16 \
	MOVD $·tailMask<>+16(SB), R5   \
	ADD  R2, R5                    \
	VLD1 (R5), [V17.B16]           \
	VAND V17.B16, V16.B16, V16.B16

// REDUCE adds the accumulators to R3, reduces the sum to 16 bits and swaps
// these to network order: x plus x turned by half its width has the end-around
// sum in its upper half.
#define REDUCE \
	VADD  V1.D2, V0.D2, V0.D2 \
	VADD  V3.D2, V2.D2, V2.D2 \
	VADD  V5.D2, V4.D2, V4.D2 \
	VADD  V7.D2, V6.D2, V6.D2 \
	VADD  V2.D2, V0.D2, V0.D2 \
	VADD  V6.D2, V4.D2, V4.D2 \
	VADD  V4.D2, V0.D2, V0.D2 \
	VMOV  V0.D[0], R5         \
	VMOV  V0.D[1], R6         \
	ADDS  R5, R3              \
	ADCS  R6, R3              \
	ADC   ZR, R3              \
	ROR   $32, R3, R5         \
	ADD   R5, R3              \
	LSR   $32, R3             \
	RORW  $16, R3, R5         \
	ADDW  R5, R3              \
	LSRW  $16, R3             \
	REV16W R3, R3

// func checksumNEON(p *byte, n int, sum uint16) uint16
// n is at least 16.
TEXT ·checksumNEON(SB), NOSPLIT, $0-26
	MOVD   p+0(FP), R1
	MOVD   n+8(FP), R2
	MOVHU  sum+16(FP), R3
	REV16W R3, R3
	CLEAR

	// An odd last byte goes by itself, so that the masked vector at the end
	// starts at an even offset.
	TBZ   $0, R2, even
	SUB   $1, R2
	MOVBU (R1)(R2), R5
	ADD   R5, R3

even:
	SUBS $64, R2
	BLT  under64

loop:
	VLD1.P 64(R1), [V16.B16, V17.B16, V18.B16, V19.B16]
	ACC4
	SUBS   $64, R2
	BGE    loop

under64:
	ADDS $48, R2
	BLT  tail

vectors:
	VLD1.P 16(R1), [V16.B16]
	ACC(V16, V0, V1)
	SUBS   $16, R2
	BGE    vectors

tail:
	// R2 is -16 plus the bytes left: the last vector is at R1+R2.
	ADD  R2, R1
	VLD1 (R1), [V16.B16]
	MASK16
	ACC(V16, V0, V1)
	REDUCE
	MOVH R3, ret+24(FP)
	RET

// func checksumCopyNEON(dst, src *byte, n int, sum uint16) uint16
// n is at least 16.
TEXT ·checksumCopyNEON(SB), NOSPLIT, $0-34
	MOVD   dst+0(FP), R0
	MOVD   src+8(FP), R1
	MOVD   n+16(FP), R2
	MOVHU  sum+24(FP), R3
	REV16W R3, R3
	CLEAR
	TBZ    $0, R2, even
	SUB    $1, R2
	MOVBU  (R1)(R2), R5
	MOVB   R5, (R0)(R2)
	ADD    R5, R3

even:
	SUBS $64, R2
	BLT  under64

loop:
	VLD1.P 64(R1), [V16.B16, V17.B16, V18.B16, V19.B16]
	VST1.P [V16.B16, V17.B16, V18.B16, V19.B16], 64(R0)
	ACC4
	SUBS   $64, R2
	BGE    loop

under64:
	ADDS $48, R2
	BLT  tail

vectors:
	VLD1.P 16(R1), [V16.B16]
	VST1.P [V16.B16], 16(R0)
	ACC(V16, V0, V1)
	SUBS   $16, R2
	BGE    vectors

tail:
	// The last vector is stored whole: some of it for the second time.
	ADD  R2, R1
	ADD  R2, R0
	VLD1 (R1), [V16.B16]
	VST1 [V16.B16], (R0)
	MASK16
	ACC(V16, V0, V1)
	REDUCE
	MOVH R3, ret+32(FP)
	RET
