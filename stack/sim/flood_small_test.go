//go:build !amd64 || pbufdebug

package sim

// Fewer SYNs where every instruction is emulated, or every buffer is checked; the
// checks keep records on the heap.
const (
	floodSYNs = 50_000
	floodHeap = 1 << 26
)
