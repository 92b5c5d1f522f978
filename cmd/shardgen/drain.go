package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shardstack/shardstack/shard"
)

// Cores are drained and added back while a run goes on, to show that no
// connection is lost: new connections go to the other shards of the group, those
// that exist stay until they end.

// coreEvent drains the shard of a core, or adds it back, at a time after the
// start.
type coreEvent struct {
	core int
	at   time.Duration
	add  bool
}

// coreEvents are events in the order of time.
type coreEvents []coreEvent

// coreFlag is the value of --drain-core and --add-core: N@T adds to a list.
type coreFlag struct {
	list *coreEvents
	add  bool
}

func (f coreFlag) Set(text string) error {
	core, at, ok := strings.Cut(text, "@")
	n, err := strconv.Atoi(core)
	d, derr := time.ParseDuration(at)
	if !ok || err != nil || derr != nil || n < 0 || d < 0 {
		return fmt.Errorf("%q: want CORE@TIME, as 1@5s", text)
	}
	*f.list = append(*f.list, coreEvent{core: n, at: d, add: f.add})
	slices.SortStableFunc(*f.list, func(a, b coreEvent) int { return int(a.at - b.at) })
	return nil
}

func (f coreFlag) String() string { return "" }
func (f coreFlag) Type() string   { return "core@time" }

// checkEvents finds events that can't be.
func (o *options) checkEvents(c *command) error {
	for _, e := range o.events {
		if !o.cores.Contains(e.core) {
			return usagef("--drain-core, --add-core: core %d is none of %v", e.core, o.cores)
		}
	}
	if len(o.events) != 0 && o.count != 0 && c.client != nil {
		return usagef("--drain-core does not go with --count")
	}
	return nil
}

// after is when the next event is due, nil if there is none.
func (l coreEvents) after(start time.Time) <-chan time.Time {
	if len(l) == 0 {
		return nil
	}
	return time.After(l[0].at - time.Since(start))
}

// happen drains or adds back a core and says so, as the live line does. It
// returns the group and the shard.
func (b *bed) happen(e coreEvent, o *options, log io.Writer) (g *shard.Group, id int, err error) {
	for _, g = range []*shard.Group{b.far, b.group} {
		if g == nil {
			continue
		}
		if id = slices.Index(coresOf(g), e.core); id >= 0 {
			break
		}
	}
	if id < 0 {
		return nil, 0, fmt.Errorf("core %d has no shard", e.core)
	}
	what := "drained"
	if e.add {
		what = "added back"
		err = g.UndrainShard(id)
	} else {
		err = g.DrainShard(id)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("core %d can't be %s: %w", e.core, what, err)
	}
	n := 0
	err = g.Shards()[id].Call(func(s *shard.Shard) error {
		n = s.Connections()
		return nil
	})
	if o.interval == 0 {
		return g, id, err
	}
	say(log, "core %d %s with %d connections\n", e.core, what, n)
	return g, id, err
}

// happen has the load of a client's shard follow: it stops when its core is
// drained, and another begins when the core is back. left is how many clients
// run.
func (g *generator) happen(e coreEvent, log io.Writer, left *int) error {
	group, id, err := g.bed.happen(e, g.o, log)
	if err != nil || group != g.bed.group || id >= g.running {
		return err
	}
	if e.add {
		*left++
	}
	return group.Shards()[id].Call(func(s *shard.Shard) error {
		if !e.add {
			g.clients[id].Stop()
			return nil
		}
		g.past[id] = append(g.past[id], g.clients[id])
		return g.begin(s)
	})
}
