package shard

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
)

// groupPort is what a group knows of a port.
type groupPort struct {
	cfg   PortConfig
	info  port.Info
	asked bool               // it has said itself how it hashes
	steer ring.Ref[steering] // as a shard has it that has no part in any change
	addrs []header.Addr      // configured addresses, to find the port of one
}

func newGroupPort(cfg *PortConfig) *groupPort {
	gp := &groupPort{cfg: *cfg, info: cfg.Port.Info()}
	for _, a := range cfg.Addrs {
		gp.addrs = append(gp.addrs, header.FromNetip(a.Addr().Unmap()))
	}
	return gp
}

// port is port i, and numPorts how many there are. Any thread.
func (g *Group) port(i int) *groupPort { return (*g.ports.Load())[i] }
func (g *Group) numPorts() int         { return len(*g.ports.Load()) }

// firstSteering decides how port i steers.
func (g *Group) firstSteering(i int) error {
	gp := g.port(i)
	if gp.info.Queues < 1 {
		return fmt.Errorf("%w: port %d (%s) has no queues", ErrConfig, i, gp.info.Name)
	}
	st, err := newSteering(&gp.info, g.hasher, g.size)
	if err != nil {
		return fmt.Errorf("%w: port %d (%s): %w", ErrConfig, i, gp.info.Name, err)
	}
	right, asked := g.askHash(i)
	gp.asked = asked
	gp.steer.Store(st.trusting(right))
	return nil
}

// AddPort adds a port, and an interface on it to every shard, while the group
// runs, and returns its number. All shards stand still while they get it: for
// some 100 µs, and as long as the port takes to start. Config.Ports names those
// that are there from the start.
//
// The port is the group's from here on; what Config.Validate would find leaves it
// alone, after any other error it is closed, and nothing has changed. Errors are
// those of NewGroup about ports, and ErrConfig if shards
// that are goroutines can't sleep on it (see Config.NoPin). Any thread but the
// shards', none of which may be waiting for another (Shard.Call).
func (g *Group) AddPort(cfg PortConfig) (int, error) {
	g.control.Lock()
	defer g.control.Unlock()
	i := g.numPorts()
	if g.stopping.IsSet() {
		return 0, errors.Join(g.whyStopped(), cfg.Port.Close())
	}
	if err := g.checkPort(&cfg); err != nil {
		return 0, fmt.Errorf("%w: port %d: %w", ErrConfig, i, err)
	}
	before := g.ports.Load()
	list := append(slices.Clone(*before), newGroupPort(&cfg))
	g.ports.Store(&list)
	err := g.firstSteering(i)
	tried := false
	if err == nil {
		err = g.pause(func() error { tried = true; return g.addLate(i) })
	}
	if err == nil {
		return i, nil
	}
	g.ports.Store(before)
	if !tried {
		err = errors.Join(err, cfg.Port.Close())
	}
	return 0, fmt.Errorf("shard: port %d (%s): %w", i, list[i].info.Name, err)
}

// begun reports whether ports have been started.
func (g *Group) begun() bool { return g.stepped || g.state.Load() == stateRunning }

// checkPort is what NewGroup checks of each port.
func (g *Group) checkPort(cfg *PortConfig) error {
	var others []PortConfig
	for i := range g.numPorts() {
		others = append(others, g.port(i).cfg)
	}
	if len(others) >= maxPorts {
		return fmt.Errorf("over %d ports", maxPorts)
	}
	return cfg.validate(others)
}

// pause runs fn while all shards stand still between two things they do, so that
// it may touch what is theirs. ErrStopped: some have ended. Under control.
func (g *Group) pause(fn func() error) error {
	if g.inline() || g.cfg.Manual {
		return fn()
	}
	var still sync.WaitGroup
	still.Add(len(g.shards))
	done := make(chan struct{})
	left := make([]error, len(g.shards))
	var back sync.WaitGroup
	for i, s := range g.shards {
		back.Go(func() {
			stands := false
			left[i] = s.Call(func(s *Shard) error {
				stands = true
				if s.threaded {
					s.pool.UnbindThread()
					defer s.pool.BindThread()
				}
				still.Done()
				<-done
				return nil
			})
			if !stands {
				still.Done()
			}
		})
	}
	still.Wait()
	err := errors.Join(left...) // of shards that have ended: the others write theirs after done
	if err == nil {
		err = fn()
	}
	close(done)
	back.Wait()
	return err
}

// addLate gives every shard its part of port i, or none. The shards stand still.
func (g *Group) addLate(i int) error {
	sleep := g.maxSleep
	err := g.attachLate(i)
	if err == nil && g.begun() {
		if err = g.port(i).cfg.Port.Start(); err == nil {
			err = g.pollLate(i)
		}
	}
	if err == nil {
		return nil
	}
	g.maxSleep = sleep
	g.detachLate(i)
	return errors.Join(err, g.port(i).cfg.Port.Close()) // its buffers go back to the pools
}

// attachLate makes the interfaces and attaches the queues.
func (g *Group) attachLate(i int) error {
	for _, s := range g.shards {
		if err := s.addPort(i); err != nil {
			return fmt.Errorf("shard %d: %w", s.id, err)
		}
	}
	return g.attach(i)
}

// pollLate has the shards wake when frames arrive.
func (g *Group) pollLate(i int) error {
	if g.cfg.Manual {
		return nil
	}
	for _, s := range g.shards {
		sp := &s.ports[i]
		switch w := s.waker.(type) {
		case *threadWaker:
			if s.watch(w, sp) && g.cfg.MaxSleep == 0 {
				g.maxSleep = int64(defaultPollSleep)
			}
		default:
			if !s.notifiedBy(sp) {
				return fmt.Errorf("%w: shard %d is a goroutine, which the port can't wake (Config.OwnThread)", ErrConfig, s.id)
			}
		}
	}
	return nil
}

// detachLate takes the last port away from all shards that have it.
func (g *Group) detachLate(i int) {
	for _, s := range g.shards {
		if len(s.ports) <= i {
			continue
		}
		sp := &s.ports[i]
		s.armers = s.armers[:len(s.armers)-sp.armed]
		if w, ok := s.waker.(*threadWaker); ok {
			w.drop(sp.armed)
		} else if n, ok := port.As[port.Notifier](sp.port); ok {
			for _, q := range sp.queues {
				n.Notify(q, nil)
			}
		}
		sp.relay.FreeAll()
		if sp.nif != nil {
			_ = s.stack.RemoveNetif(sp.nif) // it is the stack's
		}
		s.ports = s.ports[:i]
	}
}
