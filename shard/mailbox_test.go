package shard

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDoKeepsTheOrderOfAThread(t *testing.T) {
	g := start(t, config(2))
	const senders, each = 4, 500
	var got [2][senders][]int
	var wg sync.WaitGroup
	for from := range senders {
		wg.Go(func() {
			for i := range each {
				for to, s := range g.Shards() {
					if s.Do(func(*Shard) { got[to][from] = append(got[to][from], i) }) != nil {
						return
					}
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, g.Do(func(*Shard) error { return nil })) // after all of them
	for to := range got {
		for from := range got[to] {
			require.Len(t, got[to][from], each)
			require.IsIncreasing(t, got[to][from])
		}
	}
	require.GreaterOrEqual(t, g.statsNow(t).Total.Loop.Calls, uint64(2*senders*each))
}

// statsNow has the shards publish before it looks.
func (g *Group) statsNow(t testing.TB) Stats {
	t.Helper()
	require.NoError(t, g.Do(func(s *Shard) error {
		s.publish(s.now)
		return nil
	}))
	return g.Stats()
}

func TestCallReturnsTheError(t *testing.T) {
	g := start(t, config(2))
	require.ErrorIs(t, g.Shards()[1].Call(func(*Shard) error { return errTest }), errTest)
	err := g.Do(func(s *Shard) error {
		if s.ID() == 0 {
			return errTest
		}
		return nil
	})
	require.ErrorIs(t, err, errTest)
}

func TestCallOnTheOwnThreadRunsAtOnce(t *testing.T) {
	g := start(t, config(1))
	depth := 0
	require.NoError(t, g.Shards()[0].Call(func(s *Shard) error {
		return s.Call(func(s *Shard) error {
			depth++
			return s.Call(func(*Shard) error {
				depth++
				return nil
			})
		})
	}))
	require.Equal(t, 2, depth)
}

func TestCallsWhileStoppingAreAnswered(t *testing.T) {
	g, err := NewGroup(config(2))
	require.NoError(t, err)
	require.NoError(t, g.Start())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for {
				if err := g.Shards()[i%2].Call(func(*Shard) error { return nil }); err != nil {
					if !errors.Is(err, ErrStopped) {
						t.Errorf("Call: %v", err)
					}
					return
				}
			}
		})
	}
	require.NoError(t, g.Stop())
	wg.Wait()
}

func TestManualCallsRunInline(t *testing.T) {
	g := newGroup(t, manual(2))
	ran := 0
	require.NoError(t, g.Do(func(*Shard) error {
		ran++
		return nil
	}))
	require.NoError(t, g.Shards()[1].Do(func(*Shard) { ran++ }))
	require.Equal(t, 3, ran)
	require.NoError(t, g.Stop())
	require.ErrorIs(t, g.Shards()[1].Do(func(*Shard) {}), ErrStopped)
	require.ErrorIs(t, g.Shards()[1].Call(func(*Shard) error { return nil }), ErrStopped)
}
