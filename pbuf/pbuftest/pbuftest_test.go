package pbuftest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// recorder stands in for a test, to see whether it would fail.
type recorder struct {
	testing.TB
	cleanups []func()
	failed   bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Name() string          { return "recorded" }
func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) FailNow()              { r.failed = true }

func (r *recorder) end() bool {
	for len(r.cleanups) > 0 {
		f := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		f()
	}
	return !r.failed
}

func TestNewPoolPassesWhenAllIsFreed(t *testing.T) {
	r := &recorder{TB: t}
	pl := pbuftest.NewPool(r, pbuf.Config{})
	require.Equal(t, "recorded", pl.Name())
	pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM).Free()
	require.True(t, r.end())
	require.ErrorIs(t, pl.Close(), pbuf.ErrClosed)
}

func TestNewPoolFailsOnLeak(t *testing.T) {
	r := &recorder{TB: t}
	pl := pbuftest.NewPool(r, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM)
	require.False(t, r.end())
	p.Free()
	require.NoError(t, pl.Close())
}

func TestNewPoolSettlesForeign(t *testing.T) {
	r := &recorder{TB: t}
	a, b := pbuftest.NewPool(r, pbuf.Config{}), pbuftest.NewPool(r, pbuf.Config{})
	for _, pair := range [][2]*pbuf.Pool{{a, b}, {b, a}} {
		p := pair[0].Alloc(pbuf.LayerRaw, 3000, pbuf.KindPool)
		require.True(t, pbuf.Handover(p, pair[1].ID()))
		p.Free()
	}
	require.True(t, r.end())
}

func TestNewPoolMayBeClosedByTest(t *testing.T) {
	r := &recorder{TB: t}
	pl := pbuftest.NewPool(r, pbuf.Config{})
	require.NoError(t, pl.Close())
	other := pbuftest.NewPool(r, pbuf.Config{}) // gets the number of pl
	require.Equal(t, pl.ID(), other.ID())
	require.True(t, r.end())
}
