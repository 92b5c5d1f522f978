//go:build !pbufdebug

package pbuf

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClassIsFoundByShift(t *testing.T) {
	pl := &Pool{}
	size := addrOfClass(pl, 1) - addrOfClass(pl, 0)
	require.Equal(t, 1, bits.OnesCount64(uint64(size)))
}
