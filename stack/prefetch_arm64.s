#include "textflag.h"

// func prefetchEach(list *unsafe.Pointer, n, lines int)
TEXT ·prefetchEach(SB), NOSPLIT, $0-24
	MOVD list+0(FP), R0
	MOVD n+8(FP), R1
	MOVD lines+16(FP), R2
	CMP  $0, R1
	BLE  done

object:
	MOVD (R0), R3
	MOVD R2, R4

line:
	PRFM (R3), PLDL1KEEP
	ADD  $64, R3
	SUBS $1, R4
	BGT  line
	ADD  $8, R0
	SUBS $1, R1
	BGT  object

done:
	RET
