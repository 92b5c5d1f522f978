package pbuf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestElementLayout(t *testing.T) {
	pl, err := NewPool(Config{Small: 3, Buffers: 3, Jumbo: 3, HugePages: HugeNever})
	require.NoError(t, err)
	mem := pl.Memory()
	start := pl.mem.base
	require.Zero(t, start%lineSize)
	end := start
	var ps []*Pbuf
	for c := range NumClasses {
		var last uintptr
		for i := range 3 {
			n := pl.DataRoom(Class(c))
			p := pl.Alloc(LayerLink, n, KindRAM)
			require.Equal(t, Class(c), p.Class())
			require.Zero(t, p.Addr()%lineSize)
			require.Equal(t, p.Addr()+PbufSize+Headroom, p.PayloadAddr())
			require.GreaterOrEqual(t, p.Addr()-MbufSize, end, "elements overlap")
			end = p.PayloadAddr() + uintptr(n) + debugGuard
			if i > 0 && !debug {
				d := p.Addr() - last
				require.Zero(t, d%lineSize)
				require.Equal(t, uintptr(1), d/lineSize%2, "an odd number of lines")
			}
			last = p.Addr()
			ps = append(ps, p)
		}
	}
	require.LessOrEqual(t, end, start+uintptr(len(mem)))
	FreeBatch(ps)
	require.NoError(t, pl.Close())
}

func TestStrideIsOdd(t *testing.T) {
	for room := lineSize; room < 5000; room += lineSize {
		s := stride(room)
		require.GreaterOrEqual(t, s, MbufSize+PbufSize+Headroom+room)
		require.Less(t, s, MbufSize+PbufSize+Headroom+room+debugGuard+2*lineSize)
		require.Equal(t, 1, s/lineSize%2)
	}
}
