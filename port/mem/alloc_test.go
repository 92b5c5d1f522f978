//go:build !pbufdebug

package mem_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
)

// The debug build of pbuf allocates its records; all others must not.
func TestNothingIsAllocated(t *testing.T) {
	for name, cfg := range map[string]mem.Config{
		"plain":        {},
		"by reference": {HandOver: 64},
		"hashed":       {B: mem.EndConfig{Caps: offload.RSSHash}},
		"impaired":     {AtoB: mem.Impairment{Delay: 1, Jitter: 5, Loss: 0.1, Duplicate: 0.1, Corrupt: 0.1, Rate: 1e12}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, cfg)
			ps := make([]*pbuf.Pbuf, 32)
			now := int64(0)
			require.Zero(t, testing.AllocsPerRun(200, func() {
				alloc(w.pa[0], ps, 300)
				w.a.TxBurst(0, now, ps)
				now += 10000
				w.b.NextEvent(0)
				n := w.b.RxBurst(0, now, ps)
				pbuf.FreeBatch(ps[:n])
				w.b.Stats(0)
			}))
			settle(w)
		})
	}
}
