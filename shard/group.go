package shard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/stack"
)

// groupState is where a group is in its life.
type groupState uint32

const (
	stateNew groupState = iota
	stateRunning
	stateClosed // by Stop, or by itself after a failure
)

// Group is a set of shards with their ports.
type Group struct {
	cfg      Config
	shards   []*Shard
	hasher   *rss.Hasher
	size     int // shards, once all are made
	ports    ring.Ref[[]*groupPort]
	byPool   [pbuf.MaxPools]*Shard
	maxSleep int64
	procs    int  // shards that GOMAXPROCS is raised for
	stepped  bool // a Manual group has begun

	state    ring.State[groupState]
	stopping ring.Flag
	running  sync.WaitGroup // threads

	once   sync.Once
	closed chan struct{} // closed when everything is released

	control sync.Mutex // held while the configuration of all shards changes

	mu       sync.Mutex
	warnings []Warning
	fatal    error // what stopped the group
	after    error // what went wrong while stopping
}

// Shards are the shards by ID. The slice is the group's. Any thread.
func (g *Group) Shards() []*Shard { return g.shards }

// inline reports whether the shards have no threads, so that the caller's may
// use them.
func (g *Group) inline() bool { return g.state.Load() == stateNew }

// Start starts the ports and the shards and returns when all shards
// have run Init and poll. After an error the group is stopped and its ports are
// closed. ErrState: it was started before, or is Manual.
func (g *Group) Start() error {
	if g.cfg.Manual {
		return fmt.Errorf("%w: Start of a manual group", ErrState)
	}
	if !g.state.Move(stateNew, stateRunning) {
		return fmt.Errorf("%w: Start", ErrState)
	}
	if err := g.startPorts(); err != nil {
		g.note(err)
		g.once.Do(g.release)
		return g.result()
	}
	if !g.cfg.KeepProcs {
		for _, s := range g.shards {
			if s.threaded {
				g.procs++
			}
		}
		raiseProcs(g.procs)
	}
	ready := make(chan error, len(g.shards))
	g.running.Add(len(g.shards))
	for _, s := range g.shards {
		go s.main(ready)
	}
	failed := false
	for range g.shards {
		if err := <-ready; err != nil {
			failed = true
			g.note(err)
			g.interrupt()
		}
	}
	go func() {
		g.running.Wait()
		g.once.Do(g.release)
	}()
	g.adviseCores()
	if g.cfg.Watchdog > 0 {
		go newWatchdog(g, g.cfg.Watchdog).run()
	}
	if failed {
		<-g.closed
		return g.result()
	}
	return nil
}

// startPorts starts the ports and collects what the shards sleep on.
func (g *Group) startPorts() error {
	for i := range g.numPorts() {
		if err := g.port(i).cfg.Port.Start(); err != nil {
			return fmt.Errorf("shard: port %d (%s): %w", i, g.port(i).info.Name, err)
		}
	}
	if g.cfg.Manual {
		return nil
	}
	g.maxSleep = int64(g.cfg.MaxSleep)
	for _, s := range g.shards {
		polled, err := s.prepareSleep()
		if err != nil {
			return err
		}
		if g.cfg.MaxSleep == 0 && polled {
			g.maxSleep = int64(defaultPollSleep)
		}
	}
	if g.maxSleep == 0 {
		g.maxSleep = int64(defaultMaxSleep)
	}
	return nil
}

// Do runs fn on every shard's thread, on all at once, waits for all, and joins
// their errors. Any thread but the shards'.
func (g *Group) Do(fn func(*Shard) error) error {
	errs := make([]error, len(g.shards))
	if g.inline() {
		for i, s := range g.shards {
			errs[i] = s.Call(fn)
		}
		return errors.Join(errs...)
	}
	var wg sync.WaitGroup
	for i, s := range g.shards {
		wg.Go(func() { errs[i] = s.Call(fn) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Drain waits until no shard has a TCP connection any more; listeners and
// TIME-WAIT do not count. It closes nothing itself. An error of ctx, or
// ErrStopped if the group stops meanwhile. Any thread but the shards'; not for
// Manual groups (ErrState).
func (g *Group) Drain(ctx context.Context) error {
	if g.cfg.Manual {
		return fmt.Errorf("%w: Drain of a manual group", ErrState)
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		n := 0
		for _, s := range g.shards {
			err := s.Call(func(s *Shard) error {
				n += s.Connections()
				return nil
			})
			if err != nil {
				return err
			}
		}
		if n == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("shard: %d connections left: %w", n, ctx.Err())
		case <-g.closed:
			return g.whyStopped()
		}
	}
}

// Connections is the number of the shard's TCP connections in any state but
// LISTEN, TIME-WAIT and CLOSED.
func (s *Shard) Connections() (n int) {
	s.stack.EachTCP(func(t *stack.TCP) {
		switch t.State() {
		case stack.StateClosed, stack.StateListen, stack.StateTimeWait:
		default:
			n++
		}
	})
	return n
}

// Home is the ID of the shard that gets the packets which remote sends to
// local, by TCP or UDP: where a connection with a chosen local port must be
// opened, and where one from remote will be accepted. The port is the one that
// was configured with local's address, or else the first. Any thread.
func (g *Group) Home(local, remote netip.AddrPort) int {
	if g.numPorts() == 0 {
		return 0
	}
	l, r := header.FromNetip(local.Addr().Unmap()), header.FromNetip(remote.Addr().Unmap())
	st := g.port(max(g.portOf(l), 0)).steer.Load()
	return int(st.table.Queue(st.hasher.HashTuple(r, l, remote.Port(), local.Port())))
}

// fail stops the group because of err and tells OnFatal.
func (g *Group) fail(err error) {
	if g.note(err) && g.cfg.OnFatal != nil {
		g.cfg.OnFatal(err)
	}
	g.interrupt()
}

// note keeps err as what stopped the group; false if there was one before.
func (g *Group) note(err error) (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fatal == nil && err != nil {
		g.fatal = err
		return true
	}
	return false
}

// interrupt makes every shard end after its round.
func (g *Group) interrupt() {
	g.stopping.Set()
	for _, s := range g.shards {
		s.Wake()
	}
}

// Err is what stopped the group, nil if nothing did. Any thread.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fatal
}

// whyStopped is what calls return that come too late.
func (g *Group) whyStopped() error {
	if err := g.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return ErrStopped
}

// result is what Stop and Wait return.
func (g *Group) result() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.fatal, g.after)
}

// Wait blocks until the group has stopped, by Stop or by a failure, and returns
// the failure and what went wrong while stopping, nil if nothing did. Any
// thread but the shards'.
func (g *Group) Wait() error {
	<-g.closed
	return g.result()
}
