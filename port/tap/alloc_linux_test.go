//go:build !pbufdebug

package tap_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/tap"
)

// The debug build of pbuf allocates its records; all others must not.
func TestNothingIsAllocated(t *testing.T) {
	for _, room := range []int{256, 2048} {
		ns := testenv.Netns(t)
		p, pools := newTap(t, tap.Config{Netns: ns}, pbuf.Config{DataRoom: room})
		run(t, ns, "ip", "neigh", "replace", "198.18.7.2", "lladdr", p.Info().MAC.String(), "dev", p.Info().Name)
		c, b := dial(t, ns, 1)[0], make([]byte, 1000)
		ps := make([]*pbuf.Pbuf, 8)
		require.Zero(t, testing.AllocsPerRun(50, func() {
			if _, err := c.Write(b); err != nil {
				panic(err)
			}
			n := 0
			for n == 0 {
				n = p.RxBurst(0, 0, ps)
			}
			pbuf.FreeBatch(ps[:n])
			one := pools[0].Alloc(pbuf.LayerRaw, 1000, pbuf.KindPool)
			clear(one.Payload())
			ps[0] = one
			p.TxBurst(0, 0, ps[:1])
		}))
		require.NotZero(t, p.Stats(0).RxPackets)
		require.NotZero(t, p.Stats(0).TxPackets)
	}
}
