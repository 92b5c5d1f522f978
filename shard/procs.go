package shard

import (
	"runtime"
	"sync"
)

// A shard that polls on a thread of its own holds one of Go's processors (P) for good. With as many
// shards as processors, other goroutines would get a turn only when the
// runtime preempts a shard, some ten milliseconds later.
var procs struct {
	mu     sync.Mutex
	shards int // running on threads of their own, of all groups
	before int // GOMAXPROCS before the first of them
	raised int // what it was raised to; 0: it was not
}

// raiseProcs makes room for n more shards.
func raiseProcs(n int) {
	if n == 0 {
		return
	}
	p := &procs
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shards == 0 {
		p.before, p.raised = runtime.GOMAXPROCS(0), 0
	}
	p.shards += n
	if want := p.shards + 1; want > runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(want)
		p.raised = want
	}
}

// runningShards is how many shards run, of all groups that have raised
// GOMAXPROCS.
func runningShards() int {
	procs.mu.Lock()
	defer procs.mu.Unlock()
	return procs.shards
}

// lowerProcs undoes raiseProcs, once the last shard has ended and unless
// someone else has changed GOMAXPROCS meanwhile.
func lowerProcs(n int) {
	if n == 0 {
		return
	}
	p := &procs
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shards -= n; p.shards == 0 && p.raised != 0 && runtime.GOMAXPROCS(0) == p.raised {
		runtime.GOMAXPROCS(p.before)
	}
}
