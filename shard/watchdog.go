package shard

import (
	"fmt"
	"runtime"
	"time"
)

// watchdog looks whether every shard comes round. A shard that does publishes its
// statistics every 10 ms, or sleeps, from which it is woken to show that it is
// alive.
type watchdog struct {
	g      *Group
	limit  int64 // ns
	shards []watched
	v      Snapshot
}

// watched is what is known of a shard that has not published for too long.
type watched struct{ woken, stalled bool }

func newWatchdog(g *Group, limit time.Duration) *watchdog {
	return &watchdog{g: g, limit: int64(limit), shards: make([]watched, len(g.shards))}
}

// run looks until the group has stopped.
func (w *watchdog) run() {
	tick := time.NewTicker(time.Duration(w.limit / 2))
	defer tick.Stop()
	for {
		select {
		case <-w.g.closed:
			return
		case <-tick.C:
			if w.g.stopping.IsSet() {
				return
			}
			w.look(Now())
		}
	}
}

// look looks at all shards once.
func (w *watchdog) look(now int64) {
	for i, s := range w.g.shards {
		d := &w.shards[i]
		s.snap.Load(&w.v)
		age := now - w.v.At
		switch {
		case age < w.limit:
			*d = watched{}
		case !d.woken:
			d.woken = true
			s.Wake()
		case !d.stalled:
			d.stalled = true
			s.stalls.Inc()
			w.g.warn(Warning{Kind: WarnStall, Shard: i, Port: -1, Stack: allStacks(),
				Text: fmt.Sprintf("shard %d has not come round for %v", i, time.Duration(age).Round(time.Millisecond))})
		}
	}
}

// maxStacks bounds the stacks of a warning, in bytes.
const maxStacks = 1 << 20

// allStacks are the stacks of all goroutines, as far as they fit.
func allStacks() []byte {
	b := make([]byte, 64<<10)
	for {
		n := runtime.Stack(b, true)
		if n < len(b) || len(b) >= maxStacks {
			return b[:n]
		}
		b = make([]byte, 2*len(b))
	}
}
