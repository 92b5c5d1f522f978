package work

import (
	"runtime"
	"runtime/debug"
)

// Grown gives by how many bytes a thing the Go heap and the stacks of
// goroutines grow when make makes n of them.
func Grown(n int, make func() error) (float64, error) {
	before := inUse()
	if err := make(); err != nil {
		return 0, err
	}
	return (float64(inUse()) - float64(before)) / float64(n), nil
}

func inUse() uint64 {
	debug.FreeOSMemory() // collects, twice with the next: finalizers may hold things
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
