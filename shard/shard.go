package shard

import (
	"time"

	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/stack"
)

// Poller is work of an application that runs on a shard's thread in every
// round: a generator, or the shard's end of an application's rings.
type Poller interface {
	// Poll does what there is to do at now and returns how much it did; 0 lets
	// the shard fall asleep. It may call anything of the stack's API. A shard
	// that is about to sleep polls once more after it has armed its doorbell:
	// who gives a Poller work calls Wake after the push, and no work is missed.
	Poll(now int64) (work int)
	// Next is when it wants to be polled next if nobody calls Wake: absolute
	// ns, stack.Forever for never.
	Next() int64
}

// Shard is one core's thread, stack and pool. Methods are for its own thread
// unless they say otherwise; where it has none (Config.NoPin), its goroutine
// stands for it.
type Shard struct {
	g     *Group
	id    int
	core  int // -1: not pinned
	stack *stack.Stack
	pool  *pbuf.Pool
	ports []shardPort
	lanes []lane
	burst []*pbuf.Pbuf
	gro   *coalescer // nil: nothing is to be joined here

	now      int64 // of the round
	busyAt   int64 // of the last round with work
	spin     int64 // how long after that an Adaptive shard polls on
	prev     int64 // of the round before; 0: there was none, or a sleep
	prevBusy bool
	gap      int64 // longest time between rounds since the last snapshot
	n        counters
	learning bool // in LearnNeighbor
	staged   bool // meshOut has something to push

	// Scratch of the mesh.
	homeAs [homeBatch]uintptr
	homePs [homeBatch]*pbuf.Pbuf
	meshAs [meshInBatch]uintptr
	meshPs [meshInBatch]*pbuf.Pbuf

	sweep   *sweeper // nil until a bucket was lost
	pollers []Poller
	onStop  []func()
	onClose []func()
	mail    mailbox
	started bool // Init has succeeded

	goid     atomic.Int64 // its goroutine's number, 0: it does not run
	posted   ring.Flag    // the mesh or the mailbox have something
	bell     ring.Bell
	waker    waker // nil before Start, and with Config.Manual
	threaded bool  // it has a thread of its own
	armers   []port.Armer
	stalls   ring.Counter // found by the watchdog
	snap     ring.Snapshot[Snapshot]
	snapAt   int64
	snapNext Snapshot // in the making
}

// shardPort is a shard's part of a port.
type shardPort struct {
	port    port.Port
	nif     *stack.Netif
	index   int // in Config.Ports
	steer   *steering
	proof   *proof // of the port's hash; nil: there is nothing to find out
	queues  []int  // receive queues that this shard polls
	txq     int    // queue that it sends on; -1: none
	via     int    // shard that sends for it then
	relay   pbuf.Queue
	joins   bool // the port's packets come joined
	armed   int  // of Shard.armers, how many are the port's
	yields  bool // it is the turn of other shards' frames
	refused bool // the port did not take everything in the last flush
	solver  *rss.Solver
	timed   port.Timed // nil: frames come when they come

	ownTable bool // the port follows the group's table by itself
}

// ID is the shard's number, 0 … Config.Shards-1. Any thread.
func (s *Shard) ID() int { return s.id }

// Core is the CPU core that the shard is pinned to, -1 without pinning. Any
// thread.
func (s *Shard) Core() int { return s.core }

// Group is the group that the shard is one of. Any thread.
func (s *Shard) Group() *Group { return s.g }

// Stack is the shard's stack.
func (s *Shard) Stack() *stack.Stack { return s.stack }

// Pool is the shard's pool. Any thread may ask for its ID; all else is for the
// shard's own.
func (s *Shard) Pool() *pbuf.Pool { return s.pool }

// Netif is the interface on Config.Ports[i].
func (s *Shard) Netif(i int) *stack.Netif { return s.ports[i].nif }

// Now is the clock as it was read at the start of the round, in ns.
func (s *Shard) Now() int64 { return s.now }

// AddPoller has p polled in every round from the next one on, after the pollers
// added before it.
func (s *Shard) AddPoller(p Poller) { s.pollers = append(s.pollers, p) }

// RemovePoller undoes AddPoller; no-op if p is not there. A Poller may remove
// itself.
func (s *Shard) RemovePoller(p Poller) {
	// A new slice, as the old one may be being walked.
	list := make([]Poller, 0, len(s.pollers))
	for _, q := range s.pollers {
		if q != p {
			list = append(list, q)
		}
	}
	s.pollers = list
}

// LimitSpin makes an Adaptive shard poll on no longer than d when it is without
// work, 0 for Config.IdleSpin; it means nothing to a shard without a thread of
// its own, which doesn't poll on. It is for a Poller that serves other threads of
// the process when these have no core of their own: as long as the shard polls,
// those do not run that would give it work.
func (s *Shard) LimitSpin(d time.Duration) {
	s.spin = int64(s.g.cfg.IdleSpin)
	if d > 0 {
		s.spin = min(s.spin, int64(d))
	}
}

// OnStop has fn called once when the shard has ended its last round, on its
// thread, also after a panic; the stack still stands. The last one added is
// called first.
func (s *Shard) OnStop(fn func()) { s.onStop = append(s.onStop, fn) }

// OnClose has fn called once after all shards have ended and their stacks are
// closed, before pools are: the time to bring home buffers that pools outside
// of the group hold or own. It runs on the goroutine that stops the group,
// which then owns all shards.
func (s *Shard) OnClose(fn func()) { s.onClose = append(s.onClose, fn) }

// Wake ends the shard's sleep, if it sleeps, or keeps it from falling asleep
// before it has polled its Pollers. Call it after a push to a ring that a
// Poller reads. It costs a load while the shard is awake. Any thread.
func (s *Shard) Wake() {
	if s.bell.Ring() {
		s.waker.wake()
	}
}

// notify tells the shard that its mesh or its mailbox has something. Any
// thread.
func (s *Shard) notify() {
	if !s.posted.IsSet() {
		s.posted.Set()
	}
	s.Wake()
}

// Fail stops the group because of err, which Wait, Stop and Err then return,
// and returns at once. It is how a callback ends everything. Any thread.
func (s *Shard) Fail(err error) { s.g.fail(err) }
