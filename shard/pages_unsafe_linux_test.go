package shard

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// Advice about pages changes nothing in them, whatever the kernel makes of it, nor
// in what lies next to them.
func TestHugePagesKeepContents(t *testing.T) {
	all := make([]uint64, 8<<20/8)
	for i := range all {
		all[i] = uint64(i) * 0x9e3779b97f4a7c15
	}
	part := all[len(all)/8 : len(all)/2]
	hugePages(uintptr(unsafe.Pointer(&part[0])), uintptr(len(part)*8))
	for i, v := range all {
		if v != uint64(i)*0x9e3779b97f4a7c15 {
			require.FailNow(t, "changed", "word %d", i)
		}
	}
}
