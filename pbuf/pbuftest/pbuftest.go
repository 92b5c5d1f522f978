// Package pbuftest helps tests of packages that use package pbuf.
package pbuftest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// NewPool makes a pool that the test closes at its end, failing if a buffer of
// it is still out. Pools that hold freed buffers of each other are settled
// then: they are returned to their homes. Zero counts in cfg mean few buffers
// (512 small, 512 standard, 8 jumbo), HugePages are left out.
func NewPool(t testing.TB, cfg pbuf.Config) *pbuf.Pool {
	t.Helper()
	if cfg.Small == 0 {
		cfg.Small = 512
	}
	if cfg.Buffers == 0 {
		cfg.Buffers = 512
	}
	if cfg.Jumbo == 0 {
		cfg.Jumbo = 8
	}
	if cfg.HugePages == pbuf.HugeAuto {
		cfg.HugePages = pbuf.HugeNever
	}
	if cfg.Name == "" {
		cfg.Name = t.Name()
	}
	pl, err := pbuf.NewPool(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		t.Helper()
		Settle()
		err := pl.Close()
		if errors.Is(err, pbuf.ErrClosed) {
			return
		}
		require.NoError(t, err)
	})
	return pl
}

// Settle brings all freed buffers that pools hold for each other home. No other
// goroutine may be using any of these pools.
func Settle() {
	var ps [64]*pbuf.Pbuf
	for again := true; again; {
		again = false
		for id := 1; id < pbuf.MaxPools; id++ {
			pl := pbuf.ByID(uint8(id))
			if pl == nil {
				continue
			}
			for home, ok := pl.NextForeign(0); ok; home, ok = pl.NextForeign(0) {
				n := pl.TakeForeign(home, ps[:])
				pbuf.ByID(home).Return(ps[:n])
				again = true
			}
		}
	}
}
