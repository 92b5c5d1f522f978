package stack

import "unsafe"

const statsWords = unsafe.Sizeof(Stats{}) / 8

// addWords adds two Stats as the arrays of uint64 that they are; a field of
// another type would break TestStatsAreWords.
func addWords(dst, src *Stats) {
	d := (*[statsWords]uint64)(unsafe.Pointer(dst))
	s := (*[statsWords]uint64)(unsafe.Pointer(src))
	for i := range d {
		d[i] += s[i]
	}
}
