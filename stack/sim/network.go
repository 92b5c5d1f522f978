package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/shardstack/shardstack/pbuf"
)

// Forever is a time that never comes.
const Forever = math.MaxInt64

// Start is when the clock of a network starts, in ns.
const Start = int64(time.Hour)

// ErrConfig says that a configuration contradicts itself.
var ErrConfig = errors.New("sim: bad configuration")

// Config describes a network. The zero value of each field is its default.
type Config struct {
	// Seed of every random choice: those of links, and those of stacks whose
	// own Seed is zero.
	Seed uint64
	// Pool of the network's buffers, which hosts without a pool of their own
	// share. Defaults: 32768 small, 65536 standard and 64 jumbo buffers, pages of
	// the base size, which take memory once they are used.
	Pool pbuf.Config
}

// Network is hosts, switches and stations with links between them.
type Network struct {
	seed   uint64
	now    int64
	pool   *pbuf.Pool
	events eventHeap
	timers timerQueue
	hosts  []*Host
	links  []*Link
	macs   uint32
	burst  []*pbuf.Pbuf // of Receive
	steps  uint64
	closed bool
}

// New makes an empty network.
func New(cfg Config) (*Network, error) {
	p := cfg.Pool
	def(&p.Name, "sim")
	def(&p.Small, 32768)
	def(&p.Buffers, 65536)
	def(&p.Jumbo, 64)
	def(&p.HugePages, pbuf.HugeNever)
	pool, err := pbuf.NewPool(p)
	if err != nil {
		return nil, err
	}
	n := &Network{seed: cfg.Seed, now: Start, pool: pool, burst: make([]*pbuf.Pbuf, 64)}
	n.events.add(&n.timers)
	return n, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Now is the clock in ns.
func (n *Network) Now() int64 { return n.now }

// Pool is the network's pool.
func (n *Network) Pool() *pbuf.Pool { return n.pool }

// Hosts are the hosts, in the order they were added.
func (n *Network) Hosts() []*Host { return n.hosts }

// Links are the links, in the order they were made.
func (n *Network) Links() []*Link { return n.links }

// Events is how many events have been dealt with.
func (n *Network) Events() uint64 { return n.steps }

// At has fn called at a time of the clock, or at once in the next run if that is
// past. fn may call all stacks, and At.
func (n *Network) At(at int64, fn func()) {
	n.timers.add(max(at, n.now), fn)
	n.events.move(&n.timers, n.timers.next())
}

// After is At for a time from now.
func (n *Network) After(d time.Duration, fn func()) { n.At(n.now+int64(d), fn) }

// Run lets d pass.
func (n *Network) Run(d time.Duration) { n.RunTo(n.now + int64(d)) }

// RunTo lets time pass until the clock is at end.
func (n *Network) RunTo(end int64) {
	n.settle()
	for n.step(end) {
	}
	n.now = max(n.now, end)
	n.pause()
}

// Until runs till cond holds, or d has passed, and returns cond's last word. It
// is asked after every event.
func (n *Network) Until(d time.Duration, cond func() bool) bool {
	end := n.now + int64(d)
	n.settle()
	ok := cond()
	for ; !ok; ok = cond() {
		if !n.step(end) {
			n.now = end
			break
		}
	}
	n.pause()
	return ok
}

// step jumps to the next event, if it is not after end, and deals with it.
func (n *Network) step(end int64) bool {
	e := n.events.first()
	if e.key().at > end {
		return false
	}
	n.steps++
	n.now = max(n.now, e.key().at)
	n.events.move(e, e.wake(n))
	return true
}

// settle has the hosts send what was queued by calls of their stacks.
func (n *Network) settle() {
	for _, h := range n.hosts {
		n.events.move(h, h.settle())
	}
}

// pause tells the hosts the time, for calls of their stacks until the next run.
func (n *Network) pause() {
	for _, h := range n.hosts {
		h.stack.SetNow(n.now)
	}
	for _, l := range n.links {
		if l.capture != nil {
			l.capture.flush()
		}
	}
}

// Close closes the stacks and frees what is on the way. The error says that a
// buffer leaked, or is the first one of a capture.
func (n *Network) Close() error {
	if n.closed {
		return nil
	}
	n.closed = true
	var errs []error
	for _, h := range n.hosts {
		h.stack.Close()
	}
	for _, l := range n.links {
		if l.capture != nil {
			l.capture.flush()
			errs = append(errs, l.capture.err)
		}
		l.close()
	}
	return errors.Join(append(errs, n.pool.Close())...)
}

// key gives 32 bytes of secrets for part number i.
func (n *Network) key(i int) (k [32]byte) {
	binary.LittleEndian.PutUint64(k[0:], n.seed^0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(k[8:], uint64(i)+1)
	binary.LittleEndian.PutUint64(k[16:], n.seed)
	binary.LittleEndian.PutUint64(k[24:], ^uint64(i))
	return k
}

// bad is an ErrConfig.
func bad(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, a...)...)
}
