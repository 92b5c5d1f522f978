package ring

import "unsafe"

// makeSlots makes n slots that share no cache lines with any other object and,
// where some element of the allocation does, begin at a multiple of PadSize.
// Batches of whole lines then touch as few lines as can be: it halves what a
// batch of eight words costs.
//
// The allocator gives neither by itself: it may put a header word in front of
// what holds pointers, and another object right behind. Only elements with
// pointers that are larger than that word stay unaligned for it.
func makeSlots[T any](n int) []T {
	size := unsafe.Sizeof(*new(T))
	if size == 0 {
		return make([]T, n)
	}
	pad := int((PadSize + size - 1) / size)
	all := make([]T, pad+n+pad)
	start := pad
	for i := range pad {
		if uintptr(unsafe.Pointer(&all[i]))%PadSize == 0 {
			start = i
			break
		}
	}
	return all[start : start+n : start+n]
}
