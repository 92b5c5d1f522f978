//go:build !purego

#include "textflag.h"

// func clmul6(key *[5]uint64, srcHi, srcLo, dstHi, dstLo, ports uint64) uint32
//
// Word n of the input times words n (sum in X0) and n+1 (sum in X9, due 64 bits
// higher) of the reversed key; the ports meet only the last word of the key.
TEXT ·clmul6(SB), NOSPLIT, $0-52
	MOVQ key+0(FP), AX
	MOVQ srcHi+8(FP), X0
	MOVQ srcLo+16(FP), X1
	MOVQ dstHi+24(FP), X2
	MOVQ dstLo+32(FP), X3
	MOVQ ports+40(FP), X4
	MOVOU 0(AX), X5
	MOVOU 8(AX), X6
	MOVOU 16(AX), X7
	MOVOU 24(AX), X8
	MOVO X0, X9
	MOVO X1, X10
	MOVO X2, X11
	MOVO X3, X12
	PCLMULQDQ $0x00, X5, X0
	PCLMULQDQ $0x10, X5, X9
	PCLMULQDQ $0x00, X6, X1
	PCLMULQDQ $0x10, X6, X10
	PCLMULQDQ $0x00, X7, X2
	PCLMULQDQ $0x10, X7, X11
	PCLMULQDQ $0x00, X8, X3
	PCLMULQDQ $0x10, X8, X12
	PCLMULQDQ $0x10, X8, X4
	PXOR X1, X0
	PXOR X10, X9
	PXOR X3, X2
	PXOR X12, X11
	PXOR X2, X0
	PXOR X11, X9
	PXOR X4, X0

	// The hash is bits 63 to 94 of the sum.
	MOVQ X0, AX
	PSRLDQ $8, X0
	PXOR X9, X0
	MOVQ X0, BX
	SHRQ $63, AX
	LEAQ (AX)(BX*2), BX
	MOVL BX, ret+48(FP)
	RET

// func cpuid1() (ecx uint32)
TEXT ·cpuid1(SB), NOSPLIT, $0-4
	MOVL $1, AX
	XORL CX, CX
	CPUID
	MOVL CX, ecx+0(FP)
	RET
