package shard

import "unsafe"

const loopWords = unsafe.Sizeof(Loop{}) / 8

// words sees a Loop as the array of uint64 that it is; a field of another type
// would break TestLoopIsWords.
func (l *Loop) words() *[loopWords]uint64 {
	return (*[loopWords]uint64)(unsafe.Pointer(l))
}
