//go:build !pbufdebug

package offload_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// The debug build of pbuf allocates its records; all others must not.
func TestSegmentAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	pool := pbuftest.NewPool(t, pbuf.Config{})
	s := randomSuper(rng, false, false, 60000, 1460)
	p := s.packet(t, pool, nil)
	var g offload.Segmenter
	out := make([]*pbuf.Pbuf, 64)
	for _, have := range portCaps {
		require.Zero(t, testing.AllocsPerRun(20, func() {
			n, ok := g.Segment(p, have, out)
			if !ok {
				panic("not cut")
			}
			pbuf.FreeBatch(out[:n])
		}))
	}
	p.Free()
}

func TestGROAllocatesNothing(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	burst := segmentsOf(t, 32, 1000, func(int, *super) {})
	g := offload.GRO{UDP: true}
	ps := make([]*pbuf.Pbuf, len(burst))
	require.Zero(t, testing.AllocsPerRun(20, func() {
		pool.AllocBatch(ps)
		for i, p := range ps {
			p.SetLen(len(burst[i].b))
			copy(p.Payload(), burst[i].b)
		}
		out := g.Burst(ps)
		if len(out) != 1 {
			panic("not joined")
		}
		out[0].Free()
	}))
}
