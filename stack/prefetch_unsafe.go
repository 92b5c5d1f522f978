//go:build amd64 || arm64

package stack

import (
	"unsafe"

	"github.com/shardstack/shardstack/pbuf"
)

// prefetchEach asks for the first lines of each of n objects.
//
//go:noescape
func prefetchEach(list *unsafe.Pointer, n, lines int)

// A PCB is six whole cache lines, so that in an array each begins with one.
var (
	_ [6*64 - unsafe.Sizeof(TCP{})]byte
	_ [unsafe.Sizeof(TCP{}) - 6*64]byte
)

// hotLines is how much of a PCB the processing of a segment touches.
const hotLines = 5

func prefetchPCB(t *TCP) {
	p := unsafe.Pointer(t)
	prefetchEach(&p, 1, hotLines)
}

func prefetchPCBs(list []*TCP) {
	prefetchEach((*unsafe.Pointer)(unsafe.Pointer(unsafe.SliceData(list))), len(list), hotLines)
}

// prefetchTimers asks for the line with the timers of a PCB, the fourth.
func prefetchTimers(t *TCP) {
	p := unsafe.Pointer(&t.nif)
	prefetchEach(&p, 1, 1)
}

var _ [-(unsafe.Offsetof(TCP{}.nif) % 64)]byte // its first field

func prefetchSlots(list []*flowSlot) {
	prefetchEach((*unsafe.Pointer)(unsafe.Pointer(unsafe.SliceData(list))), len(list), 1)
}

// prefetchSegments asks for all that a small segment with its headers has: buffer header,
// control block and bytes. The buffer will be freed, and used for the next to be sent.
func prefetchSegments(list []*pbuf.Pbuf) {
	const lines = (pbuf.PbufSize + pbuf.Headroom + 64) / 64
	prefetchEach((*unsafe.Pointer)(unsafe.Pointer(unsafe.SliceData(list))), len(list), lines)
}

// prefetchArg asks for the first line of what a pointer in v points at. Any
// address may be prefetched: for other values it is wasted, no more.
func prefetchArg(v any) { prefetchEach(&(*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1], 1, 1) }
