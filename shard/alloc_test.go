//go:build !pbufdebug

package shard

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRoundsAllocateNothing: once warm, rounds in which data flows, rounds in
// which connections open and close, and idle rounds allocate nothing, with
// packets going through the mesh or not. (The debug build of package pbuf keeps
// the stack of each allocation.)
func TestRoundsAllocateNothing(t *testing.T) {
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			bd := newBed(t, bedConfig{wire: wireConfig(w.queuesA, w.queuesB), shardsA: w.shardsA, shardsB: w.shardsB,
				edit: func(c *Config, _ byte) { c.Stack.TCP.TimeWait = 1e6 }})
			cs := bd.serve(t, 1<<30, 3, 2000)
			total := func() (n int64) {
				for _, c := range cs {
					n += c.echoed.Load()
				}
				return n
			}
			bd.run(t, func() bool { return total() > 5000*int64(len(cs)) }, "warm")
			before := total()
			allocs := testing.AllocsPerRun(2000, func() {
				bd.step(t)
				bd.now += 10e3
			})
			require.Zero(t, allocs)
			require.Greater(t, total(), before+100, "data flows")
			require.True(t, !done(t, cs, 1<<30))
		})
	}
}
