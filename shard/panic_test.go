package shard

import (
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// pollFunc is a Poller of a function.
type pollFunc struct {
	poll func(now int64) int
	next func() int64
}

func (p *pollFunc) Poll(now int64) int { return p.poll(now) }
func (p *pollFunc) Next() int64 {
	if p.next == nil {
		return 1<<63 - 1
	}
	return p.next()
}

// failing starts three shards of which the second does something bad, and
// returns what Wait says.
func failing(t *testing.T, bad func(s *Shard)) (*Group, error) {
	t.Helper()
	var fatal, stopped atomic.Int32
	cfg := config(3)
	cfg.OnFatal = func(err error) {
		if err != nil {
			fatal.Add(1)
		}
	}
	cfg.Init = func(s *Shard) error {
		s.OnStop(func() { stopped.Add(1) })
		return nil
	}
	g, err := NewGroup(cfg)
	require.NoError(t, err)
	require.NoError(t, g.Start())
	require.NoError(t, g.Shards()[1].Do(bad))
	err = g.Wait()
	require.EqualValues(t, 1, fatal.Load())
	require.EqualValues(t, 3, stopped.Load(), "the other shards end in order")
	require.ErrorIs(t, err, g.Err())
	require.Equal(t, err, g.Stop())
	return g, err
}

func TestPanicStopsTheGroup(t *testing.T) {
	g, err := failing(t, func(*Shard) { panic("broken") })
	var p *PanicError
	require.ErrorAs(t, err, &p)
	require.Equal(t, 1, p.Shard)
	require.Equal(t, "broken", p.Value)
	require.Contains(t, string(p.Stack), "TestPanicStopsTheGroup")
	require.ErrorContains(t, err, "shard 1: panic: broken")
	require.ErrorContains(t, err, "TestPanicStopsTheGroup")

	err = g.Do(func(*Shard) error { return nil })
	require.ErrorIs(t, err, ErrStopped)
	require.ErrorAs(t, err, &p, "who comes late learns why")
}

func TestPanicWithAnErrorUnwraps(t *testing.T) {
	_, err := failing(t, func(*Shard) { panic(io.ErrUnexpectedEOF) })
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestPanicOfAPoller(t *testing.T) {
	_, err := failing(t, func(s *Shard) {
		s.AddPoller(&pollFunc{poll: func(int64) int { panic("poller") }})
	})
	require.ErrorContains(t, err, "panic: poller")
}

func TestRuntimeErrorIsAPanic(t *testing.T) {
	_, err := failing(t, func(s *Shard) {
		short := make([]int, s.ID())
		short[s.ID()]++
	})
	var re runtime.Error
	require.ErrorAs(t, err, &re)
}

func TestGoexitStopsTheGroup(t *testing.T) {
	_, err := failing(t, func(*Shard) { runtime.Goexit() })
	require.ErrorIs(t, err, ErrGoexit)
}

func TestFailStopsTheGroup(t *testing.T) {
	_, err := failing(t, func(s *Shard) {
		s.Fail(errTest)
		s.Fail(io.EOF) // only the first counts
	})
	require.ErrorIs(t, err, errTest)
	require.NotErrorIs(t, err, io.EOF)
}

func TestPanicAnswersPendingCalls(t *testing.T) {
	g, err := NewGroup(config(1))
	require.NoError(t, err)
	require.NoError(t, g.Start())
	s := g.Shards()[0]
	held, hold := make(chan bool), make(chan bool)
	require.NoError(t, s.Do(func(*Shard) {
		close(held)
		<-hold
	}))
	<-held
	errs := make(chan error, 3)
	go func() { errs <- s.Call(func(*Shard) error { panic("first") }) }()
	for range 2 {
		go func() { errs <- s.Call(func(*Shard) error { return nil }) }()
	}
	eventually(t, func() bool {
		s.mail.mu.Lock()
		defer s.mail.mu.Unlock()
		return len(s.mail.list) == 3
	}, "calls are posted")
	close(hold)
	failed := 0
	for range 3 {
		if err := <-errs; err != nil {
			require.ErrorIs(t, err, ErrStopped)
			failed++
		}
	}
	require.Positive(t, failed, "the call that panicked is answered, too")
	require.ErrorContains(t, g.Wait(), "panic: first")
}

func TestPanicInInit(t *testing.T) {
	cfg := config(2)
	cfg.Init = func(s *Shard) error {
		if s.ID() == 0 {
			panic("init")
		}
		return nil
	}
	g, err := NewGroup(cfg)
	require.NoError(t, err)
	require.ErrorContains(t, g.Start(), "panic: init")
	require.ErrorContains(t, g.Wait(), "panic: init")
}

func TestPanicInOnStop(t *testing.T) {
	cfg := config(2)
	ran := make([]bool, 2)
	cfg.Init = func(s *Shard) error {
		s.OnStop(func() { ran[s.ID()] = true })
		s.OnStop(func() { panic("on stop") })
		return nil
	}
	g, err := NewGroup(cfg)
	require.NoError(t, err)
	require.NoError(t, g.Start())
	require.ErrorContains(t, g.Stop(), "panic: on stop")
	require.Equal(t, []bool{true, true}, ran)
}

func TestStepLeavesPanicsToTheCaller(t *testing.T) {
	g := newGroup(t, manual(1))
	g.Shards()[0].AddPoller(&pollFunc{poll: func(int64) int { panic(errTest) }})
	require.PanicsWithError(t, errTest.Error(), func() { _, _ = g.Step(1) })
}

func TestGuardReturnsNilWithoutPanic(t *testing.T) {
	require.NoError(t, guard(0, func() {}))
	require.Error(t, guard(0, func() { panic(errors.New("x")) }))
}
