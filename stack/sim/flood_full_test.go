//go:build amd64 && !pbufdebug

package sim

// floodSYNs is how many SYNs TestSYNFlood sends, floodHeap how many bytes the
// heap may have grown by meanwhile.
const (
	floodSYNs = 1_000_000
	floodHeap = 1 << 20
)
