//go:build !pbufdebug

package netem

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

func TestNothingAllocatedOnceWarm(t *testing.T) {
	for kind := range numQueueKinds {
		r := newRig(t, Config{Rate: 100_000_000, Delay: 5 * time.Millisecond, Loss: 0.01, Jitter: time.Millisecond, Queue: Queue{Kind: kind, Packets: 100, Flows: 8}})
		now, ps := int64(0), make([]*pbuf.Pbuf, 32)
		work := func() {
			for range 200 {
				now += 100_000
				f := r.pool.Alloc(pbuf.LayerLink, 1400, pbuf.KindPool)
				clear(f.Payload()[:60])
				r.Send(now, f)
				for n := r.Receive(now, ps); n > 0; n = r.Receive(now, ps) {
					pbuf.FreeBatch(ps[:n])
				}
			}
		}
		work()
		require.Zero(t, testing.AllocsPerRun(10, work), "%v", kind)
	}
}
