//go:build !purego

#include "textflag.h"

// Both loops add 64-bit lanes twice: whole, which loses carries (S), and
// shifted right by 32, which does not (H). The low halves alone are then
// L = S - H<<32, exactly, as they fit 64 bits; L + H is the sum, because
// 2^32 = 1 modulo 2^16-1. That is three cheap instructions a vector. H has
// room for 2^32 vectors a lane.

// 32 bytes of zeros, then 32 bytes of ones: loading 32 bytes at offset r gives
// a mask for the last r bytes of a vector.
DATA ·tailMask<>+0x00(SB)/8, $0
DATA ·tailMask<>+0x08(SB)/8, $0
DATA ·tailMask<>+0x10(SB)/8, $0
DATA ·tailMask<>+0x18(SB)/8, $0
DATA ·tailMask<>+0x20(SB)/8, $-1
DATA ·tailMask<>+0x28(SB)/8, $-1
DATA ·tailMask<>+0x30(SB)/8, $-1
DATA ·tailMask<>+0x38(SB)/8, $-1
GLOBL ·tailMask<>(SB), RODATA|NOPTR, $64

// ACC adds the vector v to S and H; v is lost.
#define ACC(v, s, h) \
	VPADDQ v, s, s     \
	VPSRLQ $32, v, v   \
	VPADDQ v, h, h

// FOLD reduces AX to 16 bits and swaps its bytes to network order: x plus x
// turned by half its width has the end-around sum in its upper half.
#define FOLD \
	MOVQ AX, DX   \
	RORQ $32, DX  \
	ADDQ DX, AX   \
	SHRQ $32, AX  \
	MOVL AX, DX   \
	RORL $16, DX  \
	ADDL DX, AX   \
	SHRL $16, AX  \
	ROLW $8, AX

// REDUCE256 adds the lanes of S (Y0) and H (Y4) to AX.
#define REDUCE256 \
	VPSLLQ $32, Y4, Y5      \
	VPSUBQ Y5, Y0, Y0       \
	VPADDQ Y4, Y0, Y0       \
	VEXTRACTI128 $1, Y0, X1 \
	VPADDQ X1, X0, X0       \
	VPSRLDQ $8, X0, X1      \
	VPADDQ X1, X0, X0       \
	VMOVQ X0, DX            \
	ADDQ DX, AX             \
	ADCQ $0, AX

// func checksumAVX2(p *byte, n int, sum uint16) uint16
// n is at least 32.
TEXT ·checksumAVX2(SB), NOSPLIT, $0-26
	MOVQ    p+0(FP), SI
	MOVQ    n+8(FP), CX
	MOVWLZX sum+16(FP), AX
	ROLW    $8, AX
	VPXOR   X0, X0, X0
	VPXOR   X4, X4, X4

	// An odd last byte goes by itself, so that the masked vector at the end
	// starts at an even offset.
	TESTQ   $1, CX
	JZ      even
	MOVBLZX -1(SI)(CX*1), DX
	ADDQ    DX, AX
	DECQ    CX

even:
	SUBQ  $128, CX
	JLT   under128
	VPXOR X1, X1, X1
	VPXOR X2, X2, X2
	VPXOR X3, X3, X3
	VPXOR X5, X5, X5
	VPXOR X6, X6, X6
	VPXOR X7, X7, X7

loop:
	VMOVDQU (SI), Y8
	VMOVDQU 32(SI), Y9
	VMOVDQU 64(SI), Y10
	VMOVDQU 96(SI), Y11
	ADDQ    $128, SI
	ACC(Y8, Y0, Y4)
	ACC(Y9, Y1, Y5)
	ACC(Y10, Y2, Y6)
	ACC(Y11, Y3, Y7)
	SUBQ    $128, CX
	JGE     loop
	VPADDQ  Y1, Y0, Y0
	VPADDQ  Y3, Y2, Y2
	VPADDQ  Y2, Y0, Y0
	VPADDQ  Y5, Y4, Y4
	VPADDQ  Y7, Y6, Y6
	VPADDQ  Y6, Y4, Y4

under128:
	ADDQ $96, CX
	JLT  tail

vectors:
	VMOVDQU (SI), Y8
	ADDQ    $32, SI
	ACC(Y8, Y0, Y4)
	SUBQ    $32, CX
	JGE     vectors

tail:
	// CX is -32 plus the bytes left: the last vector is at SI+CX.
	LEAQ    ·tailMask<>+32(SB), DX
	VMOVDQU (DX)(CX*1), Y9
	VPAND   (SI)(CX*1), Y9, Y9
	ACC(Y9, Y0, Y4)
	REDUCE256
	VZEROUPPER
	FOLD
	MOVW    AX, ret+24(FP)
	RET

// func checksumCopyAVX2(dst, src *byte, n int, sum uint16) uint16
// n is at least 32.
TEXT ·checksumCopyAVX2(SB), NOSPLIT, $0-34
	MOVQ    dst+0(FP), DI
	MOVQ    src+8(FP), SI
	MOVQ    n+16(FP), CX
	MOVWLZX sum+24(FP), AX
	ROLW    $8, AX
	VPXOR   X0, X0, X0
	VPXOR   X4, X4, X4
	TESTQ   $1, CX
	JZ      even
	MOVBLZX -1(SI)(CX*1), DX
	MOVB    DX, -1(DI)(CX*1)
	ADDQ    DX, AX
	DECQ    CX

even:
	SUBQ  $128, CX
	JLT   under128
	VPXOR X1, X1, X1
	VPXOR X2, X2, X2
	VPXOR X3, X3, X3
	VPXOR X5, X5, X5
	VPXOR X6, X6, X6
	VPXOR X7, X7, X7

loop:
	VMOVDQU (SI), Y8
	VMOVDQU 32(SI), Y9
	VMOVDQU 64(SI), Y10
	VMOVDQU 96(SI), Y11
	ADDQ    $128, SI
	VMOVDQU Y8, (DI)
	VMOVDQU Y9, 32(DI)
	VMOVDQU Y10, 64(DI)
	VMOVDQU Y11, 96(DI)
	ADDQ    $128, DI
	ACC(Y8, Y0, Y4)
	ACC(Y9, Y1, Y5)
	ACC(Y10, Y2, Y6)
	ACC(Y11, Y3, Y7)
	SUBQ    $128, CX
	JGE     loop
	VPADDQ  Y1, Y0, Y0
	VPADDQ  Y3, Y2, Y2
	VPADDQ  Y2, Y0, Y0
	VPADDQ  Y5, Y4, Y4
	VPADDQ  Y7, Y6, Y6
	VPADDQ  Y6, Y4, Y4

under128:
	ADDQ $96, CX
	JLT  tail

vectors:
	VMOVDQU (SI), Y8
	VMOVDQU Y8, (DI)
	ADDQ    $32, SI
	ADDQ    $32, DI
	ACC(Y8, Y0, Y4)
	SUBQ    $32, CX
	JGE     vectors

tail:
	// The last vector is stored whole: some of it for the second time.
	VMOVDQU (SI)(CX*1), Y8
	VMOVDQU Y8, (DI)(CX*1)
	LEAQ    ·tailMask<>+32(SB), DX
	VPAND   (DX)(CX*1), Y8, Y8
	ACC(Y8, Y0, Y4)
	REDUCE256
	VZEROUPPER
	FOLD
	MOVW    AX, ret+32(FP)
	RET

// TAILMASK sets K1 to as many ones as CX, 0 to 64, says.
#define TAILMASK \
	MOVQ  $-1, DX     \
	BZHIQ CX, DX, DX  \
	KMOVQ DX, K1

// TAILBACK has the last vector end where the bytes do, behind TAILMASK: what a
// vector reaches of the next cache line would be fetched, although it is masked. Its
// beginning stays even: CX is rounded up, and the byte behind an odd last one masked.
#define TAILBACK \
	INCQ  CX          \
	ANDQ  $~1, CX     \
	MOVL  $64, R8     \
	SUBQ  CX, R8      \
	SHLXQ R8, DX, DX  \
	KMOVQ DX, K1

// REDUCE512 adds the lanes of S (Z0) and H (Z4) to AX.
#define REDUCE512 \
	VEXTRACTI64X4 $1, Z0, Y1 \
	VEXTRACTI64X4 $1, Z4, Y5 \
	VPADDQ Y1, Y0, Y0        \
	VPADDQ Y5, Y4, Y4        \
	REDUCE256

// func checksumAVX512(p *byte, n int, sum uint16) uint16
TEXT ·checksumAVX512(SB), NOSPLIT, $0-26
	MOVQ    p+0(FP), SI
	MOVQ    n+8(FP), CX
	MOVWLZX sum+16(FP), AX
	ROLW    $8, AX
	VPXOR   X0, X0, X0
	VPXOR   X4, X4, X4
	SUBQ    $256, CX
	JLT     under256

	// Up to the next cache line by itself: each vector that is not aligned is in
	// two of them. Not where that is an odd number of bytes.
	MOVQ  SI, R8
	NEGQ  R8
	ANDQ  $63, R8
	JZ    aligned
	TESTQ $1, R8
	JNZ   aligned
	MOVQ  $-1, DX
	BZHIQ R8, DX, DX
	KMOVQ DX, K1
	VMOVDQU8.Z (SI), K1, Z8
	ACC(Z8, Z0, Z4)
	ADDQ  R8, SI
	SUBQ  R8, CX
	JLT   under256

aligned:
	VPXOR   X1, X1, X1
	VPXOR   X2, X2, X2
	VPXOR   X3, X3, X3
	VPXOR   X5, X5, X5
	VPXOR   X6, X6, X6
	VPXOR   X7, X7, X7

loop:
	VMOVDQU64 (SI), Z8
	VMOVDQU64 64(SI), Z9
	VMOVDQU64 128(SI), Z10
	VMOVDQU64 192(SI), Z11
	ADDQ      $256, SI
	ACC(Z8, Z0, Z4)
	ACC(Z9, Z1, Z5)
	ACC(Z10, Z2, Z6)
	ACC(Z11, Z3, Z7)
	SUBQ      $256, CX
	JGE       loop
	VPADDQ    Z1, Z0, Z0
	VPADDQ    Z3, Z2, Z2
	VPADDQ    Z2, Z0, Z0
	VPADDQ    Z5, Z4, Z4
	VPADDQ    Z7, Z6, Z6
	VPADDQ    Z6, Z4, Z4

under256:
	ADDQ $192, CX
	JLE  tail

vectors:
	VMOVDQU64 (SI), Z8
	ADDQ      $64, SI
	ACC(Z8, Z0, Z4)
	SUBQ      $64, CX
	JGT       vectors

tail:
	ADDQ       $64, CX
	TAILMASK
	CMPQ       n+8(FP), $64
	JLT        short
	TAILBACK
	VMOVDQU8.Z -64(SI)(CX*1), K1, Z8
	JMP        sum

short:
	VMOVDQU8.Z (SI), K1, Z8

sum:
	ACC(Z8, Z0, Z4)
	REDUCE512
	VZEROUPPER
	FOLD
	MOVW AX, ret+24(FP)
	RET

// func checksumCopyAVX512(dst, src *byte, n int, sum uint16) uint16
TEXT ·checksumCopyAVX512(SB), NOSPLIT, $0-34
	MOVQ    dst+0(FP), DI
	MOVQ    src+8(FP), SI
	MOVQ    n+16(FP), CX
	MOVWLZX sum+24(FP), AX
	ROLW    $8, AX
	VPXOR   X0, X0, X0
	VPXOR   X4, X4, X4
	SUBQ    $256, CX
	JLT     under256
	VPXOR   X1, X1, X1
	VPXOR   X2, X2, X2
	VPXOR   X3, X3, X3
	VPXOR   X5, X5, X5
	VPXOR   X6, X6, X6
	VPXOR   X7, X7, X7

loop:
	VMOVDQU64 (SI), Z8
	VMOVDQU64 64(SI), Z9
	VMOVDQU64 128(SI), Z10
	VMOVDQU64 192(SI), Z11
	ADDQ      $256, SI
	VMOVDQU64 Z8, (DI)
	VMOVDQU64 Z9, 64(DI)
	VMOVDQU64 Z10, 128(DI)
	VMOVDQU64 Z11, 192(DI)
	ADDQ      $256, DI
	ACC(Z8, Z0, Z4)
	ACC(Z9, Z1, Z5)
	ACC(Z10, Z2, Z6)
	ACC(Z11, Z3, Z7)
	SUBQ      $256, CX
	JGE       loop
	VPADDQ    Z1, Z0, Z0
	VPADDQ    Z3, Z2, Z2
	VPADDQ    Z2, Z0, Z0
	VPADDQ    Z5, Z4, Z4
	VPADDQ    Z7, Z6, Z6
	VPADDQ    Z6, Z4, Z4

under256:
	ADDQ $192, CX
	JLE  tail

vectors:
	VMOVDQU64 (SI), Z8
	VMOVDQU64 Z8, (DI)
	ADDQ      $64, SI
	ADDQ      $64, DI
	ACC(Z8, Z0, Z4)
	SUBQ      $64, CX
	JGT       vectors

tail:
	ADDQ       $64, CX
	TAILMASK
	CMPQ       n+16(FP), $64
	JLT        short
	TAILBACK
	VMOVDQU8.Z -64(SI)(CX*1), K1, Z8
	VMOVDQU8   Z8, K1, -64(DI)(CX*1)
	JMP        sum

short:
	VMOVDQU8.Z (SI), K1, Z8
	VMOVDQU8   Z8, K1, (DI)

sum:
	ACC(Z8, Z0, Z4)
	REDUCE512
	VZEROUPPER
	FOLD
	MOVW AX, ret+32(FP)
	RET
