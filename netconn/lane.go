package netconn

import (
	"net"
	"runtime"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/shard"
)

// inBatch is how many messages or buffers are taken from a ring at a time.
const inBatch = 64

// lane is the goroutines' side of a Net and one shard: the rings that lead
// there and back, the pool for what is written, and the connections' state on
// this side, all guarded by mu. The other side is a side.
type lane struct {
	net   *Net
	sh    *shard.Shard
	side  *side
	index int
	home  uint8 // ID of the shard's pool
	app   uint8 // ID of pool

	reqs    *ring.SPSC[message]    // producer: who holds mu
	events  *ring.SPSC[message]    // consumer: who holds mu
	returns *ring.SPSC[*pbuf.Pbuf] // freed buffers of pool; likewise
	strays  strays                 // and those that another shard has freed

	bell     ring.Flag // we to the shard: sound the alarm for an event that is wanted
	wantBufs ring.Flag // we to the shard: a returned buffer is such an event, too
	urgent   ring.Flag // the shard to us: drain, and keep fewer of its buffers
	dead     ring.Flag // the shard has ended
	alarm    *alarm    // what the watcher sleeps on
	limbo    atomic.Int32

	mu       sync.Mutex
	pool     *pbuf.Pool
	waiters  int  // goroutines that sleep until an event
	awake    int  // of those that slept, the ones that are about to run
	armed    bool // bell is set, or the watcher is on its way
	spinning bool // somebody polls the events
	spinner  spinner
	asleep   *waiter     // list of the waiters that are not an inbox's
	bufq     []*waiter   // those that wait for buffers
	conns    *TCPConn    // list of the connections that have received something
	orphans  pbuf.Queue  // what could not be pushed any more
	owed     int         // messages pushed without waking the shard
	closed   bool        // Net.Close has begun
	stopped  bool        // the shard's side has nothing left
	done     atomic.Bool // Net.Close is through with this lane
	in       [inBatch]message
	backs    [inBatch]*pbuf.Pbuf
}

// newLane makes the rings and the pool.
func newLane(n *Net, sh *shard.Shard, index int) (*lane, error) {
	l := &lane{net: n, sh: sh, index: index, home: sh.Pool().ID(), spinner: newSpinner(n.cfg.Spin, sh.HasThread())}
	var err error
	if l.reqs, err = ring.NewSPSC[message](n.cfg.Ring); err != nil {
		return nil, err
	}
	if l.events, err = ring.NewSPSC[message](n.cfg.Ring); err != nil {
		return nil, err
	}
	if l.pool, err = pbuf.NewPool(n.cfg.Pool); err != nil {
		return nil, err
	}
	l.app = l.pool.ID()
	if l.alarm, err = newAlarm(sh.HasThread()); err != nil {
		_ = l.pool.Close() // nothing was taken from it
		return nil, err
	}
	return l, nil
}

// push gives the shard a request; the caller wakes the shard (kick) when it has
// pushed all it has. A buffer must have been handed over. It waits while the
// ring is full: the shard never waits for us.
func (l *lane) push(m message) {
	for i := 0; !l.reqs.Push(m); i++ {
		if l.dead.IsSet() {
			if m.p != nil {
				l.orphans.Push(m.p)
			}
			return
		}
		l.sh.Wake()
		if i < 100 {
			runtime.Gosched()
		} else {
			time.Sleep(20 * time.Microsecond)
		}
	}
}

// pushBack returns a buffer of the shard's, with n bytes that the application
// has taken.
func (l *lane) pushBack(to endpoint, p *pbuf.Pbuf, n int) {
	if p != nil {
		pbuf.Handover(p, l.home) // it came alone and was not shared since
	}
	l.push(message{to: to, p: p, n: uint32(n), op: opRecved})
	l.owed++
}

// kick wakes the shard if it sleeps. Without the lock it costs others less.
func (l *lane) kick() { l.sh.Wake() }

// drain takes in everything that the shard has pushed and readies the
// goroutines that waited for it. It reports whether there was anything.
func (l *lane) drain() bool {
	found := false
	for {
		n := l.events.PopBatch(l.in[:])
		for i := range l.in[:n] {
			m := &l.in[i]
			m.to.event(l, m)
		}
		clear(l.in[:n])
		found = found || n > 0
		if n < len(l.in) {
			break
		}
	}
	return l.takeReturns() || found
}

// takeReturns brings buffers home and readies who waited for some.
func (l *lane) takeReturns() bool {
	got := 0
	for {
		n := l.returns.PopBatch(l.backs[:])
		if n == 0 {
			break
		}
		l.pool.Return(l.backs[:n])
		got += n
	}
	if l.strays.any.IsSet() {
		got += l.takeStrays()
	}
	if got > 0 && len(l.bufq) > 0 {
		// All of them: those who may not take more yet wait again.
		for _, w := range l.bufq {
			l.ready(w)
		}
	}
	return got > 0
}

// pending reports whether drain would find something that somebody waits for.
// With or without the lock.
func (l *lane) pending() bool {
	return l.events.Len() != 0 || l.wantBufs.IsSet() && l.returns.Len() != 0
}

// lock and unlock guard the lane. Who unlocks sees to it that somebody hears of
// the next event if anybody waits for one (see settle).
func (l *lane) lock() { l.mu.Lock() }

func (l *lane) unlock() {
	if l.waiters != 0 && !l.armed && !l.spinning && l.awake == 0 {
		l.settle()
	}
	l.mu.Unlock()
}

// usable is nil as long as operations on the lane make sense.
func (l *lane) usable() error {
	switch {
	case l.closed:
		return net.ErrClosed
	case l.dead.IsSet():
		return stopError(l.net.group)
	}
	return nil
}
