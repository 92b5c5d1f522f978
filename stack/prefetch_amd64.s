#include "textflag.h"

// func prefetchEach(list *unsafe.Pointer, n, lines int)
TEXT ·prefetchEach(SB), NOSPLIT, $0-24
	MOVQ  list+0(FP), SI
	MOVQ  n+8(FP), DX
	MOVQ  lines+16(FP), BX
	TESTQ DX, DX
	JLE   done

object:
	MOVQ (SI), AX
	MOVQ BX, CX

line:
	PREFETCHT0 (AX)
	ADDQ $64, AX
	DECQ CX
	JG   line
	ADDQ $8, SI
	DECQ DX
	JG   object

done:
	RET
