package netconn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/shard"
)

// Net is the network that a group of shards offers to goroutines. Its methods
// may be called by any goroutine but not on a shard's thread.
type Net struct {
	group    *shard.Group
	cfg      Config
	lanes    []*lane
	byPool   [pbuf.MaxPools]*lane
	zones    []string // names of the interfaces when the Net was made, by zone less 1
	watchers sync.WaitGroup
	turn     atomic.Uint32 // of the shards, for outgoing connections

	mu      sync.Mutex
	closed  bool
	sockets map[socket]struct{} // listeners and UDP sockets
	once    sync.Mutex          // held by Close
	err     error
}

// socket is a Listener or UDPConn.
type socket interface {
	Close() error
	wake()  // makes those who wait look again
	sweep() // see lane.sweep
}

// New makes the network of a group that has started. Close it before the group
// is stopped: a group that stops first ends all its connections.
func New(g *shard.Group, cfg Config) (*Net, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	n := &Net{group: g, cfg: cfg, sockets: make(map[socket]struct{})}
	for i, sh := range g.Shards() {
		l, err := newLane(n, sh, i)
		if err != nil {
			n.release()
			return nil, fmt.Errorf("netconn: %w", err)
		}
		n.lanes = append(n.lanes, l)
		n.byPool[l.app] = l
	}
	if err := n.attach(); err != nil {
		n.release()
		return nil, fmt.Errorf("netconn: %w", err)
	}
	addSpinGroup(g)
	for _, l := range n.lanes {
		n.watchers.Add(1)
		go l.watch()
	}
	return n, nil
}

// attach puts the shards' sides on their threads.
func (n *Net) attach() error {
	for _, l := range n.lanes {
		// The ring of returned buffers takes all that the lane has.
		var err error
		if l.returns, err = ring.NewSPSC[*pbuf.Pbuf](poolSize(l.pool)); err != nil {
			return err
		}
	}
	for _, l := range n.lanes {
		err := l.sh.Call(func(sh *shard.Shard) error {
			l.side = newSide(l)
			if l == n.lanes[0] {
				for _, nif := range sh.Stack().Netifs() {
					n.zones = append(n.zones, nif.Name())
				}
			}
			sh.AddPoller(l.side)
			sh.OnStop(l.shardStopped)
			sh.OnClose(l.sweep)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// poolSize is the number of buffers in a pool, rounded up to a power of two.
func poolSize(p *pbuf.Pool) int {
	n := 2
	for n < p.Cap(pbuf.ClassSmall)+p.Cap(pbuf.ClassStandard)+p.Cap(pbuf.ClassJumbo) {
		n *= 2
	}
	return n
}

// release closes what New has made so far. No goroutine uses it yet.
func (n *Net) release() {
	for _, l := range n.lanes {
		l.done.Store(true)
		if l.side != nil {
			// ErrStopped: then nobody polls it.
			_ = l.sh.Call(func(sh *shard.Shard) error { sh.RemovePoller(l.side); return nil })
		}
		l.alarm.close()
		_ = l.pool.Close() // nothing was taken from it
	}
}

// Group is the group that the network is of.
func (n *Net) Group() *shard.Group { return n.group }

// next picks the shard of an outgoing connection.
func (n *Net) next() *lane { return n.lanes[int(n.turn.Inc())%len(n.lanes)] }

// register keeps a socket until it is closed; false: the Net is closed.
func (n *Net) register(s socket) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.sockets[s] = struct{}{}
	return true
}

func (n *Net) unregister(s socket) {
	n.mu.Lock()
	delete(n.sockets, s)
	n.mu.Unlock()
}

// open lists the sockets that are open.
func (n *Net) open() (list []socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.sockets {
		list = append(list, s)
	}
	return list
}

// wakeInboxes makes everybody who waits on several lanes look again.
func (n *Net) wakeInboxes() {
	for _, s := range n.open() {
		s.wake()
	}
}

// Close ends the network: listeners and sockets are closed, connections that
// are still open are reset (close them first for an orderly end), and those
// that were closed but still send get no more time. Blocked operations return
// net.ErrClosed. It returns when all buffers are home, or ErrBusy if that takes
// longer than Config.CloseTimeout. Later calls try again or return the same.
func (n *Net) Close() error {
	n.once.Lock()
	defer n.once.Unlock()
	n.mu.Lock()
	first := !n.closed
	n.closed = true
	n.mu.Unlock()
	if !first && !errors.Is(n.err, ErrBusy) {
		return n.err
	}
	for _, s := range n.open() {
		_ = s.Close() // closed meanwhile
	}
	for _, l := range n.lanes {
		l.abortAll()
	}
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.CloseTimeout)
	defer cancel()
	n.err = nil
	for _, l := range n.lanes {
		if !l.done.Load() {
			n.err = errors.Join(n.err, l.finish(ctx))
		}
	}
	if n.err != nil {
		return n.err
	}
	dropSpinGroup(n.group)
	for _, l := range n.lanes {
		l.alarm.close()
	}
	n.watchers.Wait()
	for _, l := range n.lanes {
		n.err = errors.Join(n.err, l.pool.Close())
	}
	return n.err
}

// abortAll asks the shard to end everything, and drops what nobody has read.
func (l *lane) abortAll() {
	l.lock()
	if !l.closed {
		l.closed = true
		for c := l.conns; c != nil; c = c.app.next {
			c.discard(false)
		}
		l.push(message{to: l, op: opStop})
		l.wakeAll()
	}
	l.unlock()
	l.kick()
}

// finish waits until the shard's side has ended and all buffers are home.
func (l *lane) finish(ctx context.Context) error {
	for pause := 10 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		l.lock()
		l.drain()
		ok := (l.stopped || l.dead.IsSet()) && l.limbo.Load() == 0 && l.pool.Full()
		l.unlock()
		if ok {
			break
		}
		l.kick()
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: shard %d", ErrBusy, l.sh.ID())
		case <-time.After(pause):
		}
	}
	err := l.sh.Call(func(sh *shard.Shard) error {
		l.side.Poll(sh.Now()) // what was pushed before
		sh.RemovePoller(l.side)
		return nil
	})
	if errors.Is(err, shard.ErrStopped) {
		_ = l.net.group.Wait() // for sweep; what went wrong is the group's
		err = nil
	}
	l.done.Store(true)
	return err
}
