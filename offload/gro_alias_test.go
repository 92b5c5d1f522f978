package offload_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// keeper is a Lender that keeps what comes back.
type keeper struct{ back []uintptr }

func (k *keeper) Drain(src []uintptr) { k.back = append(k.back, src...) }

// GRO writes into no bytes that are a sender's: of frames that came by reference the
// first is copied, once for all that are joined to it, in its place in the burst. A
// frame that stays alone stays as it is, as do all if there is no buffer.
func TestGROOfAliases(t *testing.T) {
	for _, scarce := range []bool{false, true} {
		home, away := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{Small: -1, Buffers: 8, Jumbo: -1})
		k := &keeper{}
		require.True(t, away.SetLender(k))
		burst := segmentsOf(t, 6, 1000, func(i int, s *super) { s.tcp.PSH = i == 3 })
		own := receive(t, home, burst, nil)
		by := pbuf.Borrower{To: away.ID(), Least: 1, Most: 2000}
		out := make([]uintptr, len(own))
		n, _ := home.MakeAliases(own, &by, 0, out)
		require.Equal(t, len(own), n)
		away.Borrowed(n)
		var ps, hoard []*pbuf.Pbuf
		for _, a := range out {
			ps = append(ps, pbuf.At(a))
		}
		for scarce {
			p := away.Alloc(pbuf.LayerRaw, 1, pbuf.KindPool)
			if p == nil {
				break
			}
			hoard = append(hoard, p)
		}
		var g offload.GRO
		got := g.Burst(ps)
		if scarce {
			require.Len(t, got, 6)
		} else {
			require.Len(t, got, 2, "PSH ends the first")
			require.Equal(t, []int{4, 2}, []int{got[0].ChainLen(), got[1].ChainLen()})
			require.False(t, got[0].Alias())
			require.True(t, got[0].Next().Alias())
			require.NotZero(t, got[0].Headroom())
		}
		for i, p := range own {
			require.Equal(t, burst[i].b, content(p), "the sender's bytes are as they were")
		}
		pbuf.FreeBatch(got)
		pbuf.FreeBatch(hoard)
		away.FlushLent()
		pbuf.Unalias(k.back)
	}
}
