package shard

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/stack"
)

// closeAll has the clients end their connections in order.
func closeAll(t testing.TB, g *Group) {
	t.Helper()
	require.NoError(t, g.Do(func(s *Shard) error {
		s.Stack().EachTCP(func(pcb *stack.TCP) {
			if pcb.State() == stack.StateEstablished {
				pcb.Abort()
			}
		})
		return nil
	}))
}

func TestDrainWaitsForConnections(t *testing.T) {
	bd := newBed(t, bedConfig{threads: true, wire: wireConfig(2, 2), shardsA: 2, shardsB: 2})
	bd.start(t)
	cs := bd.serve(t, 1, -1, 1000)
	eventually(t, func() bool { return cs[0].echoed.Load() > 10 && cs[1].echoed.Load() > 10 }, "data flows")

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := bd.a.Drain(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "2 connections left")

	drained := make(chan error, 2)
	go func() { drained <- bd.a.Drain(t.Context()) }()
	go func() { drained <- bd.b.Drain(t.Context()) }()
	closeAll(t, bd.a)
	require.NoError(t, <-drained)
	require.NoError(t, <-drained)
	require.NoError(t, bd.b.Do(func(s *Shard) error {
		listeners := 0
		s.Stack().EachTCP(func(pcb *stack.TCP) {
			require.Equal(t, stack.StateListen, pcb.State())
			listeners++
		})
		require.Equal(t, 1, listeners, "listeners do not count")
		return nil
	}))
}

func TestDrainEndsWhenTheGroupStops(t *testing.T) {
	bd := newBed(t, bedConfig{threads: true})
	bd.start(t)
	cs := bd.serve(t, 1, -1, 1000)
	eventually(t, func() bool { return cs[0].echoed.Load() > 10 }, "data flows")
	drained := make(chan error, 1)
	go func() { drained <- bd.a.Drain(t.Context()) }()
	time.Sleep(time.Millisecond)
	require.NoError(t, bd.a.Stop())
	require.ErrorIs(t, <-drained, ErrStopped)
}

// A peer that hangs up hard, in the middle of everything, leaves nothing behind.
func TestStopOfOneEndOnly(t *testing.T) {
	bd := newBed(t, bedConfig{threads: true, wire: wireConfig(1, 2), shardsA: 2, shardsB: 2})
	bd.start(t)
	cs := bd.serve(t, 1, -1, 4000)
	eventually(t, func() bool { return cs[0].echoed.Load() > 10 && cs[1].echoed.Load() > 10 }, "data flows")
	require.NoError(t, bd.b.Stop())
	closeAll(t, bd.a)
	require.NoError(t, bd.a.Drain(t.Context()))
}
