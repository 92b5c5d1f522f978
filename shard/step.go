package shard

import (
	"fmt"

	"github.com/shardstack/shardstack/stack"
)

// Step runs a round of each shard of a Manual group, by ID, at time now in ns,
// on the caller's thread, and returns how much they did. The first call starts
// the ports; now must not go back. A panic of a callback is the caller's. Once
// Step returns 0 nothing more happens before Next.
//
// ErrState: the group is not Manual, or has stopped.
func (g *Group) Step(now int64) (work int, err error) {
	if !g.cfg.Manual {
		return 0, fmt.Errorf("%w: Step of a group with threads", ErrState)
	}
	if g.stopping.IsSet() {
		return 0, g.whyStopped()
	}
	if !g.stepped {
		if err := g.begin(now); err != nil {
			g.note(err)
			g.interrupt()
			return 0, err
		}
	}
	for _, s := range g.shards {
		work += s.round(now)
	}
	return work, nil
}

// begin starts a Manual group.
func (g *Group) begin(now int64) error {
	g.stepped = true
	if err := g.startPorts(); err != nil {
		return err
	}
	for _, s := range g.shards {
		if err := s.init(now); err != nil {
			return err
		}
	}
	return nil
}

// Next is when a Manual group has to be stepped next: the time of the next
// timer, poller or packet under way that the ports know of, or stack.Forever.
// It is in the past if there is something to do at once.
func (g *Group) Next() int64 {
	t := int64(stack.Forever)
	for _, s := range g.shards {
		if s.posted.IsSet() || s.blocked() {
			return s.now
		}
		t = min(t, s.next())
	}
	return t
}
