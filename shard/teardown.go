package shard

import (
	"errors"
	"fmt"

	"github.com/shardstack/shardstack/pbuf"
)

// Stop ends the shards after their rounds, closes their stacks (connections end
// without a word to the peers: Drain first for a clean end), brings all buffers
// home, closes the ports and the pools, and returns when all that is done. It
// returns what Wait returns: the failure that had stopped the group, if there
// was one, and pbuf.ErrLeak for buffers that did not come home. Any thread but
// the shards'; later calls return the same.
func (g *Group) Stop() error {
	if g.state.Load() != stateRunning { // no thread was ever started, or Start has cleaned up
		g.stopping.Set()
		g.once.Do(g.release)
	}
	g.interrupt()
	<-g.closed
	return g.result()
}

// release takes a group apart whose threads have ended or never ran. It runs
// once, and its goroutine owns everything.
func (g *Group) release() {
	g.state.Store(stateClosed)
	var errs []error
	try := func(id int, fn func()) {
		if err := guard(id, fn); err != nil {
			errs = append(errs, err)
		}
	}
	for _, s := range g.shards {
		for i := len(s.onStop) - 1; i >= 0; i-- { // of shards whose thread never ran
			try(s.id, s.onStop[i])
		}
		s.mail.close(g.whyStopped())
	}
	for _, s := range g.shards {
		try(s.id, s.stack.Close)
		try(s.id, s.emptyMesh)
		try(s.id, func() { s.publish(s.now) })
	}
	for _, s := range g.shards {
		for i := len(s.onClose) - 1; i >= 0; i-- {
			try(s.id, s.onClose[i])
		}
	}
	errs = append(errs, g.closePorts())
	try(0, g.settle)
	errs = append(errs, g.closePools())
	for _, s := range g.shards {
		if s.waker != nil {
			s.waker.close()
		}
	}
	lowerProcs(g.procs)
	g.mu.Lock()
	g.after = errors.Join(errs...)
	g.mu.Unlock()
	close(g.closed)
}

// emptyMesh frees the packets that the shard has staged for others, has got
// from them, or was to send for them.
func (s *Shard) emptyMesh() {
	for i := range s.lanes {
		l := &s.lanes[i]
		for _, a := range l.stage {
			pbuf.At(a &^ meshTag).Free()
		}
		l.stage = l.stage[:0]
		for a, ok := l.in.packets.Pop(); ok; a, ok = l.in.packets.Pop() {
			pbuf.At(a &^ meshTag).Free()
		}
		s.takeHome(l)
	}
	for i := range s.ports {
		s.ports[i].relay.FreeAll()
	}
}

// settle brings the buffers home that the shards hold for each other. Returning
// one may free another that is somebody else's.
func (g *Group) settle() {
	var ps [homeBatch]*pbuf.Pbuf
	for moved := true; moved; {
		moved = false
		for _, from := range g.shards {
			for _, to := range g.shards {
				for {
					n := from.pool.TakeForeign(to.pool.ID(), ps[:])
					if n == 0 {
						break
					}
					to.pool.Return(ps[:n])
					moved = true
				}
			}
		}
	}
}

// closePorts closes every port, also after one that fails.
func (g *Group) closePorts() error {
	var errs []error
	for i := range g.numPorts() {
		if err := g.port(i).cfg.Port.Close(); err != nil {
			errs = append(errs, fmt.Errorf("shard: port %d (%s): %w", i, g.port(i).info.Name, err))
		}
	}
	return errors.Join(errs...)
}

// closePools closes every pool, also after one that leaks.
func (g *Group) closePools() error {
	var errs []error
	for _, s := range g.shards {
		if err := s.pool.Close(); err != nil {
			errs = append(errs, fmt.Errorf("shard %d: %w", s.id, err))
		}
	}
	return errors.Join(errs...)
}
