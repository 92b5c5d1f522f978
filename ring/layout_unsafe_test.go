package ring

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// apart checks that words of two threads, at offsets in one object, are never
// in the same pair of cache lines, wherever the object lies.
func apart(t *testing.T, a, b, sizeB uintptr) {
	t.Helper()
	if a > b {
		a, b = b, a
	}
	require.GreaterOrEqual(t, b+sizeB-a, uintptr(PadSize+wordSize), "offsets %d and %d", a, b)
}

func TestLayoutOfSPSC(t *testing.T) {
	var r SPSC[uint64]
	require.EqualValues(t, PadSize, unsafe.Offsetof(r.prod))
	require.EqualValues(t, 2*PadSize, unsafe.Offsetof(r.cons))
	require.EqualValues(t, 3*PadSize, unsafe.Sizeof(r))
	require.EqualValues(t, PadSize, unsafe.Sizeof(r.prod))
	require.EqualValues(t, unsafe.Sizeof(r), unsafe.Sizeof(SPSC[*int]{}))

	// The distances above count for pairs of lines only if rings begin with one.
	for range 100 {
		p := newSPSC[*int](t, 2)
		require.Zero(t, uintptr(unsafe.Pointer(p))%PadSize)
	}
}

func TestLayoutOfWords(t *testing.T) {
	type neighbours struct {
		before uint64
		bell   Bell
		flag   Flag
		state  State[uint32]
		after  uint64
	}
	var n neighbours
	require.EqualValues(t, wordSize, unsafe.Sizeof(n.bell.armed))
	words := []uintptr{
		unsafe.Offsetof(n.before),
		unsafe.Offsetof(n.bell) + unsafe.Offsetof(n.bell.armed),
		unsafe.Offsetof(n.flag) + unsafe.Offsetof(n.flag.v),
		unsafe.Offsetof(n.state) + unsafe.Offsetof(n.state.v),
		unsafe.Offsetof(n.after),
	}
	for i := 1; i < len(words); i++ {
		apart(t, words[i-1], words[i], wordSize)
	}
	require.EqualValues(t, wordSize, unsafe.Sizeof(Counter{}))
}

func TestLayoutOfSnapshot(t *testing.T) {
	var s Snapshot[uint64]
	apart(t, unsafe.Offsetof(s.count), unsafe.Offsetof(s.middle), wordSize)
	apart(t, unsafe.Offsetof(s.middle), unsafe.Offsetof(s.mu), wordSize)
	apart(t, unsafe.Offsetof(s.front), unsafe.Offsetof(s.buf), wordSize)
	require.GreaterOrEqual(t, unsafe.Sizeof(s.buf[0]), uintptr(PadSize+wordSize))
}

// testSlots checks where the slots of a ring of T lie.
func testSlots[T any](t *testing.T, aligned bool) {
	t.Helper()
	size := unsafe.Sizeof(*new(T))
	t.Run(fmt.Sprintf("%T", *new(T)), func(t *testing.T) {
		for n := 2; n <= 1<<12; n *= 2 {
			slots := makeSlots[T](n)
			require.Len(t, slots, n)
			require.Equal(t, n, cap(slots))
			first := uintptr(unsafe.Pointer(unsafe.SliceData(slots)))
			if aligned {
				require.Zero(t, first%PadSize, "%d slots of %d bytes", n, size)
			}
		}
	})
}

func TestLayoutOfSlots(t *testing.T) {
	testSlots[uint8](t, true)
	testSlots[uint16](t, true)
	testSlots[uint64](t, true)
	testSlots[*int](t, true)
	testSlots[string](t, false)
	testSlots[[8]uint64](t, true)
	testSlots[[24]byte](t, false)
	testSlots[[200]byte](t, false)
	testSlots[struct{}](t, false)
}
