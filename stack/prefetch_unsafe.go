//go:build amd64 || arm64

package stack

import (
	"unsafe"

	"github.com/shardstack/shardstack/pbuf"
)

// prefetchLines asks for n cache lines from p on, n ≥ 1.
//
//go:noescape
func prefetchLines(p unsafe.Pointer, n int)

// A PCB is six whole cache lines, so that in an array each begins with one.
var (
	_ [6*64 - unsafe.Sizeof(TCP{})]byte
	_ [unsafe.Sizeof(TCP{}) - 6*64]byte
)

// hotLines is how much of a PCB the processing of a segment touches.
const hotLines = 5

func prefetchPCB(t *TCP) { prefetchLines(unsafe.Pointer(t), hotLines) }

// prefetchTimers asks for the line with the timers of a PCB, the fourth.
func prefetchTimers(t *TCP) { prefetchLines(unsafe.Pointer(&t.nif), 1) }

var _ [-(unsafe.Offsetof(TCP{}.nif) % 64)]byte // its first field

func prefetchSlot(s *flowSlot) { prefetchLines(unsafe.Pointer(s), 1) }

// prefetchSegment asks for a segment's buffer header and control block.
func prefetchSegment(p *pbuf.Pbuf) { prefetchLines(unsafe.Pointer(p), 2) }

// prefetchArg asks for the first line of what a pointer in v points at. Any
// address may be prefetched: for other values it is wasted, no more.
func prefetchArg(v any) { prefetchLines((*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1], 1) }
