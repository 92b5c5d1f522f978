package self

import (
	"github.com/shardstack/shardstack/bench/peers/work"
	"github.com/shardstack/shardstack/ring"
)

// handOver measures ring.SPSC as dpdkring does rte_ring. A batch of rte_ring's
// goes over whole or not at all, one of SPSC's as far as there is room.
func handOver(s *work.Spec) (float64, error) {
	r, err := ring.NewSPSC[uintptr](work.RingSlots)
	if err != nil {
		return 0, err
	}
	return s.HandOver(
		func(n uint64) {
			b := make([]uintptr, s.Size)
			for n > 0 {
				n -= uint64(r.PushBatch(b))
			}
		},
		func(n uint64) {
			b := make([]uintptr, s.Size)
			for n > 0 {
				n -= uint64(r.PopBatch(b))
			}
		},
	)
}
