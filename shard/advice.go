package shard

import (
	"fmt"
	"math"
	"runtime"

	"github.com/shardstack/shardstack/affinity"
)

// footing is what the shards of a process stand on.
type footing struct {
	shards  int     // running, of all groups
	allowed int     // cores that the process may use; 0: not known
	quota   float64 // cores' worth of time that its control groups give it
	procs   int     // GOMAXPROCS
	spin    bool    // they never sleep
}

// advise says what would make a shard share its core, and what to do.
func (f *footing) advise() (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if f.allowed > 0 && f.shards > f.allowed {
		say("%d shards on %d cores: some share one, and those that poll keep the others waiting; run %d, or park them",
			f.shards, f.allowed, f.allowed)
	} else if f.spin && f.shards == f.allowed {
		say("%d shards spin on all %d cores: all else has to wait; leave a core free, or let them sleep",
			f.shards, f.allowed)
	}
	if f.quota < float64(f.shards) {
		say("the control group gives %.4g cores to %d shards: the scheduler stops those that poll; raise cpu.max, or run %d",
			f.quota, f.shards, max(int(f.quota), 1))
	}
	if f.procs < f.shards {
		say("GOMAXPROCS is %d for %d shards: they take turns; set it to %d", f.procs, f.shards, f.shards+1)
	} else if f.spin && f.procs == f.shards {
		say("GOMAXPROCS is %d for as many shards that spin: goroutines wait until one is preempted; set it to %d",
			f.procs, f.shards+1)
	}
	return list
}

// adviseCores warns of what would make the group's shards share a core. What
// can't be found out is taken to be well.
func (g *Group) adviseCores() {
	f := footing{shards: len(g.shards), quota: math.Inf(1),
		procs: runtime.GOMAXPROCS(0), spin: g.cfg.Idle == Spin}
	if n := runningShards(); n > f.shards {
		f.shards = n
	}
	if set, err := affinity.Allowed(); err == nil {
		f.allowed = set.Len()
	}
	if q, err := affinity.CPUQuota(); err == nil {
		f.quota = q
	}
	for _, text := range f.advise() {
		g.warn(Warning{Kind: WarnCores, Shard: -1, Port: -1, Text: text})
	}
}
