package ring

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzSPSC runs a sequence of calls on a ring and on a slice. Each byte is a
// call: the two high bits say which, the others how large the batch is.
func FuzzSPSC(f *testing.F) {
	f.Add(uint8(1), uint64(0), []byte{0x00, 0x00, 0x00, 0x80, 0x80, 0x80})
	f.Add(uint8(2), uint64(math.MaxUint64-2), []byte{0x43, 0xc2, 0x45, 0xc9, 0x41, 0x00, 0x80})
	f.Add(uint8(4), uint64(13), []byte{0x7f, 0xff, 0x7f, 0xc1, 0x7f, 0xff})
	f.Add(uint8(5), uint64(math.MaxUint64), []byte{0x40, 0xc0, 0x5f, 0xdf})
	f.Fuzz(func(t *testing.T, log uint8, start uint64, calls []byte) {
		r := newSPSC[uint16](t, 2<<(log%6))
		r.prod.store(start)
		r.cons.store(start)
		r.prod.peer, r.cons.peer = start, start
		var queue []uint16
		next := uint16(0)
		for _, c := range calls {
			size := int(c & 0x3f)
			switch c >> 6 {
			case 0:
				ok := r.Push(next)
				require.Equal(t, len(queue) < r.Cap(), ok)
				if ok {
					queue = append(queue, next)
					next++
				}
			case 1:
				batch := make([]uint16, size)
				for i := range batch {
					batch[i] = next + uint16(i)
				}
				n := r.PushBatch(batch)
				require.Equal(t, min(size, r.Cap()-len(queue)), n)
				queue = append(queue, batch[:n]...)
				next += uint16(n)
			case 2:
				v, ok := r.Pop()
				require.Equal(t, len(queue) > 0, ok)
				if ok {
					require.Equal(t, queue[0], v)
					queue = queue[1:]
				}
			case 3:
				batch := make([]uint16, size)
				n := r.PopBatch(batch)
				require.Equal(t, min(size, len(queue)), n)
				for i, v := range batch[:n] {
					require.Equal(t, queue[i], v)
				}
				queue = queue[n:]
			}
			require.Equal(t, len(queue), r.Len())
			require.Equal(t, r.Cap()-len(queue), r.Free())
		}
	})
}
