package netconn

import (
	"runtime"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/shard"
)

// Polling for a moment spares two system calls and a thread's wake-up, if the
// answer comes within it and a core is free to poll on: else the poller keeps
// the very thread from running that it waits for. So no more goroutines poll
// than the process has cores beside its shards' threads, and a lane on which
// polling was in vain leaves it for a while. If the threads take all the cores,
// they do not poll for long either (shard.LimitSpin). All this is about shards
// with threads of their own: who waits for one that is a goroutine, sleeps.
var spinners struct {
	mu     sync.Mutex
	groups map[*shard.Group]int // Nets on each
	taken  int                  // cores of their shards' threads
	room   atomic.Int32         // how many more may spin
}

// crowdedSpin is how long shards poll that take all the cores.
const crowdedSpin = 3 * time.Microsecond

// threads is how many of a group's shards have a thread of their own.
func threads(g *shard.Group) (n int) {
	for _, sh := range g.Shards() {
		if sh.HasThread() {
			n++
		}
	}
	return n
}

// addSpinGroup counts the cores of a group's threads as taken.
func addSpinGroup(g *shard.Group) {
	s := &spinners
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups == nil {
		s.groups = make(map[*shard.Group]int)
		s.room.Store(int32(runtime.NumCPU()))
	}
	if s.groups[g]++; s.groups[g] == 1 {
		takeCores(threads(g))
	}
}

// dropSpinGroup undoes addSpinGroup.
func dropSpinGroup(g *shard.Group) {
	s := &spinners
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[g]--; s.groups[g] == 0 {
		delete(s.groups, g)
		limitSpin(g, 0)
		takeCores(-threads(g))
	}
}

// takeCores counts n more cores as taken and tells all shards what that means.
func takeCores(n int) {
	s := &spinners
	s.taken += n
	s.room.Sub(int32(n))
	limit := time.Duration(0)
	if s.taken >= runtime.NumCPU() {
		limit = crowdedSpin
	}
	for g := range s.groups {
		limitSpin(g, limit)
	}
}

func limitSpin(g *shard.Group, d time.Duration) {
	for _, sh := range g.Shards() {
		if !sh.HasThread() {
			continue
		}
		_ = sh.Do(func(sh *shard.Shard) { sh.LimitSpin(d) }) // ErrStopped: it polls no more
	}
}

// spinner decides whether polling on a lane is worth it.
type spinner struct {
	ns    int64
	fails uint // in a row
	skip  int  // chances to let pass
}

// maxFails bounds the pause after failures to 2^maxFails chances.
const maxFails = 6

func newSpinner(d time.Duration, threaded bool) spinner {
	if !threaded {
		return spinner{}
	}
	return spinner{ns: int64(max(d, 0))}
}

func (s *spinner) worth() bool {
	if s.ns == 0 {
		return false
	}
	if s.skip > 0 {
		s.skip--
		return false
	}
	return true
}

func (s *spinner) result(ok bool) {
	if ok {
		s.fails = 0
		return
	}
	s.fails = min(s.fails+1, maxFails)
	s.skip = 1<<s.fails - 1
}

// spin polls the rings if that is allowed and worth it, without the lock, and
// reports whether it did. Nobody else listens meanwhile.
func (l *lane) spin() bool {
	if l.spinning || l.awake != 0 || spinners.room.Load() <= 0 || !l.spinner.worth() {
		return false
	}
	if spinners.room.Dec() < 0 {
		spinners.room.Inc()
		return false
	}
	l.spinning = true
	l.disarm()
	l.mu.Unlock()
	ok := l.poll()
	l.mu.Lock()
	l.spinning = false
	spinners.room.Inc()
	l.spinner.result(ok)
	return true
}

// pollBatch is how often the ring is looked at between two looks at the clock.
const pollBatch = 32

// poll looks at the rings until something is there or time is up. Other
// goroutines of its processor run in between.
func (l *lane) poll() bool {
	for end := int64(0); ; {
		for range pollBatch {
			if l.pending() {
				return true
			}
		}
		runtime.Gosched()
		now := shard.Now()
		if end == 0 {
			end = now + l.spinner.ns
		} else if now > end || l.dead.IsSet() {
			return l.pending()
		}
	}
}
