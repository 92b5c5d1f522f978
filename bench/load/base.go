package load

import (
	"fmt"
	"net/netip"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/shardstack/shardstack/stack"
)

// Bounds of what a histogram holds, in nanoseconds.
const (
	minLatency = 100
	maxLatency = 100_000_000_000
)

// stallRetry is how long what lacked a buffer or a port waits, failRetry what
// lost its connection.
const (
	stallRetry = 1_000_000
	failRetry  = 100_000_000
)

// closeBurst is how many connections are closed every closeEvery ns at the end,
// so that the FINs don't overflow queues on the way.
const (
	closeBurst = 32
	closeEvery = 20_000
)

// base is what all clients share.
type base struct {
	s       *stack.Stack
	cfg     Config
	n       Counters
	lat     *hdrhistogram.Histogram
	err     error
	stopped bool
	from    int    // next of cfg.From
	begun   uint64 // operations begun that did not fail
	closed  int    // slots that were closed after Stop
	pace    pacer
	cb      callbacks
	need    int // bytes that the send buffer must hold
}

// callbacks are a client's, made once: a method value allocates.
type callbacks struct {
	up   stack.ConnectedFunc
	recv stack.RecvFunc
	sent stack.SentFunc
	err  stack.ErrFunc
}

func newBase(s *stack.Stack, cfg Config) base {
	return base{s: s, cfg: cfg, lat: NewHistogram(), pace: pacer{rate: cfg.Rate}}
}

// NewHistogram holds minLatency to maxLatency with three digits.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(minLatency, maxLatency, 3) }

func (b *base) Counters() *Counters              { return &b.n }
func (b *base) Latency() *hdrhistogram.Histogram { return b.lat }
func (b *base) Err() error                       { return b.err }
func (b *base) Stop()                            { b.stopped = true }

// Done: see Client.
func (b *base) Done() bool {
	if b.cfg.Count != 0 && b.n.Ops >= b.cfg.Count {
		return true
	}
	return b.n.Opened == 0 && b.n.Failed >= uint64(b.cfg.Conns)
}

// full reports whether nothing new is to be begun.
func (b *base) full() bool { return b.stopped || b.cfg.Count != 0 && b.begun >= b.cfg.Count }

// fail counts a connection that ended badly.
func (b *base) fail(err error) {
	b.n.Failed++
	if b.err == nil {
		b.err = err
	}
}

// record adds a latency; the clock is that of the poll round.
func (b *base) record(ns int64) {
	_ = b.lat.RecordValue(min(max(ns, 1), maxLatency)) // in range by construction
}

// connect makes a PCB for arg and has it connect, bound to the next local
// address if there are several. No callback runs before it returns.
func (b *base) connect(arg any) (*stack.TCP, error) {
	pcb, _, err := b.connectWrite(arg, nil)
	return pcb, err
}

// connectWrite is connect with data for the SYN, of which n bytes were taken.
func (b *base) connectWrite(arg any, first []byte) (pcb *stack.TCP, n int, err error) {
	pcb = b.s.NewTCP()
	if pcb == nil {
		return nil, 0, stack.ErrMem
	}
	if pcb.SndBuf() < b.need {
		err = fmt.Errorf("load: size %d exceeds the send buffer of %d bytes: %w", b.need, pcb.SndBuf(), stack.ErrVal)
	} else if len(b.cfg.From) != 0 {
		from := b.cfg.From[b.from%len(b.cfg.From)]
		b.from++
		err = pcb.Bind(netip.AddrPortFrom(from, 0))
	}
	if err == nil {
		pcb.SetArg(arg)
		pcb.SetNoDelay(true)
		pcb.SetRecv(b.cb.recv)
		pcb.SetSent(b.cb.sent)
		if len(first) == 0 {
			err = pcb.Connect(b.cfg.To, b.cb.up)
		} else {
			n, err = pcb.ConnectWrite(b.cfg.To, first, b.cb.up)
		}
	}
	if err != nil {
		pcb.Abort()
		return nil, 0, err
	}
	pcb.SetErr(b.cb.err)
	return pcb, n, nil
}

// closeSome closes connections of slots 0 … n-1 after Stop, a few a call. slot
// gives a slot's PCB, nil if it has none, and whether an answer is due on it;
// that is waited for, so that the connection ends in order.
func (b *base) closeSome(n int, slot func(i int) (pcb **stack.TCP, due bool)) (did int) {
	for ; b.closed < n && did < closeBurst; b.closed++ {
		p, due := slot(b.closed)
		if *p == nil {
			continue
		}
		if due {
			break
		}
		t := *p
		*p = nil
		if st := t.State(); st == stack.StateEstablished || st == stack.StateCloseWait {
			b.n.Closed++
		}
		_ = t.Close() // the PCB is open, so it can't fail
		did++
	}
	return did
}

// wait is when a client has to be polled: soon while it closes, at due if
// something waits for the clock.
func (b *base) wait(slots int, waiting bool, due int64) int64 {
	switch {
	case b.stopped && b.closed < slots:
		return b.s.Now() + closeEvery
	case b.stopped || !waiting:
		return stack.Forever
	}
	return due
}
