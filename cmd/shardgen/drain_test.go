package main

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// TestDrainCoreOfAServer: connections that the kernel has with the shard of a
// core that is drained work on, new ones go to the other shard.
func TestDrainCoreOfAServer(t *testing.T) {
	l := newLab(t)
	core := testenv.Cores(t, 2)[1]
	end := l.serve(2, fmt.Sprintf("--drain-core=%d@300ms", core), fmt.Sprintf("--add-core=%d@900ms", core))
	start := time.Now()
	echo := func(c net.Conn) {
		b := []byte("does it still work?")
		_, err := c.Write(b)
		require.NoError(t, err)
		_, err = io.ReadFull(c, b)
		require.NoError(t, err)
		require.Equal(t, "does it still work?", string(b))
	}
	var open []net.Conn
	dial := func(n int) {
		for range n {
			c, err := l.dial("tcp4", "7")
			require.NoError(t, err)
			open = append(open, c)
		}
	}
	for _, at := range []time.Duration{0, 450 * time.Millisecond, time.Second} {
		time.Sleep(time.Until(start.Add(at)))
		dial(20)
		for _, c := range open {
			echo(c)
		}
	}
	for _, c := range open {
		require.NoError(t, c.Close())
	}
	r := end()
	require.EqualValues(t, 60, r.Totals.Opened)
	require.Zero(t, r.Totals.Failed)
	require.Less(t, r.Shards[1].Totals.Opened, r.Shards[0].Totals.Opened)
	require.Positive(t, r.Shards[1].Totals.Opened)
}

// A generator's load leaves a core that is drained and comes back with it.
func TestDrainCoreOfAGenerator(t *testing.T) {
	l := newLab(t)
	core := testenv.Cores(t, 2)[1]
	l.listen("7", echoLoop)
	for _, cmd := range []string{"rr", "cps"} {
		r := l.measure(2, cmd, "--to="+labKernel+":7", "--conns=8", "--duration=900ms",
			fmt.Sprintf("--drain-core=%d@300ms", core), fmt.Sprintf("--add-core=%d@600ms", core))
		require.Zero(t, r.Totals.Failed+r.Totals.Errors, "%s: %v", cmd, r.Problems)
		require.Positive(t, r.Shards[1].Totals.Operations, cmd)
		if cmd == "rr" {
			require.EqualValues(t, 12, r.Totals.Opened, "four ended and four began")
		}
	}
}

// The only core of its group can't be drained.
func TestDrainOfTheOnlyCoreFails(t *testing.T) {
	cores := testenv.Cores(t, 2)
	code, _, log := shardgen(t, "rr", corelist(t, 2), "--duration=1s", "--interval=0",
		fmt.Sprintf("--drain-core=%d@50ms", cores[1]))
	require.Equal(t, exitFailed, code)
	require.Contains(t, log, "can't be drained")
}
