// Package pbuftest helps tests of packages that use package pbuf.
package pbuftest

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// pools lists the open pools of each running test.
var (
	mu    sync.Mutex
	pools = map[testing.TB][]*pbuf.Pool{}
)

// NewPool makes a pool that is closed at the end of the test. The test fails if
// a buffer of it is still out then; with -tags pbufdebug it says where that was
// allocated. Before, all pools of the test are settled (see Settle), so the
// goroutines that use them must have ended. A test may close the pool itself.
//
// Fields of cfg that are zero make a smaller pool than they do in package pbuf:
// 512 small, 512 standard and 8 jumbo buffers, no huge pages, the test's name.
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
	mu.Lock()
	pools[t] = append(pools[t], pl)
	mu.Unlock()
	t.Cleanup(func() { closePool(t, pl) })
	return pl
}

// closePool closes the pool that was made last of those of t still listed.
func closePool(t testing.TB, pl *pbuf.Pool) {
	t.Helper()
	mu.Lock()
	all := pools[t]
	if pools[t] = all[:len(all)-1]; len(all) == 1 {
		delete(pools, t)
	}
	mu.Unlock()
	all = slices.DeleteFunc(slices.Clone(all), func(pl *pbuf.Pool) bool {
		return pbuf.ByID(pl.ID()) != pl // closed by the test
	})
	Settle(all...)
	if err := pl.Close(); !errors.Is(err, pbuf.ErrClosed) {
		require.NoError(t, err)
	}
}

// Settle brings the freed buffers that these pools hold for each other home. No
// other goroutine may be using the pools meanwhile.
func Settle(pools ...*pbuf.Pool) {
	var ps [64]*pbuf.Pbuf
	for moved := true; moved; {
		moved = false
		for _, from := range pools {
			for _, to := range pools {
				// Returning a buffer may free another one, that is another's.
				for n := from.TakeForeign(to.ID(), ps[:]); n > 0; n = from.TakeForeign(to.ID(), ps[:]) {
					to.Return(ps[:n])
					moved = true
				}
			}
		}
	}
}
