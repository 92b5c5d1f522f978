//go:build !pbufdebug

package impair_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/impair"
	"github.com/shardstack/shardstack/port/mem"
)

// TestNothingAllocatedOnceWarm: ports never allocate.
func TestNothingAllocatedOnceWarm(t *testing.T) {
	c := netem.Config{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.01, Duplicate: 0.01, Rate: 1e9,
		Queue: netem.Queue{Kind: netem.CoDel}}
	r := newRig(t, impair.Config{Rx: c, Tx: c}, mem.Config{})
	now := int64(0)
	var ps [16]*pbuf.Pbuf
	work := func() {
		for range 100 {
			now += 100_000
			ps[0] = r.pa.Alloc(pbuf.LayerLink, 1000, pbuf.KindPool)
			r.a.TxBurst(0, now, ps[:1])
			ps[0] = r.pb.Alloc(pbuf.LayerLink, 1000, pbuf.KindPool)
			r.b.TxBurst(0, now, ps[:1])
			pbuf.FreeBatch(ps[:r.a.RxBurst(0, now, ps[:])])
			pbuf.FreeBatch(ps[:r.b.RxBurst(0, now, ps[:])])
		}
	}
	for range 5 {
		work()
	}
	require.Zero(t, testing.AllocsPerRun(10, work))
}
