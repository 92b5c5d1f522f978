//go:build amd64 || arm64

package stack

import "unsafe"

// prefetchLines asks for n cache lines from p on, n ≥ 1.
//
//go:noescape
func prefetchLines(p unsafe.Pointer, n int)

// hotLines is how much of a PCB the processing of a segment touches.
const hotLines = 6

func prefetchPCB(t *TCP) { prefetchLines(unsafe.Pointer(t), hotLines) }

func prefetchSlot(s *flowSlot) { prefetchLines(unsafe.Pointer(s), 1) }
