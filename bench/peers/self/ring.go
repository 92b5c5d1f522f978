package self

import (
	"github.com/shardstack/shardstack/bench/peers/work"
	"github.com/shardstack/shardstack/ring"
)

// handOver measures ring.SPSC as dpdkring does rte_ring: a batch goes over whole
// or not at all.
func handOver(s *work.Spec) (float64, error) {
	r, err := ring.NewSPSC[uintptr](work.RingSlots)
	if err != nil {
		return 0, err
	}
	return s.HandOver(
		func(n uint64) {
			b := make([]uintptr, s.Size)
			for n > 0 {
				if !r.PushBulk(b) {
					r.PausePush()
					continue
				}
				n -= uint64(len(b))
			}
		},
		func(n uint64) {
			b := make([]uintptr, s.Size)
			for n > 0 {
				if !r.PopBulk(b) {
					r.PausePop()
					continue
				}
				n -= uint64(len(b))
			}
		},
	)
}
