package bench

import (
	"testing"
	"time"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// The clock of BenchmarkTimers: an operation takes churnStep nanoseconds of it,
// a timer is set for churnDelay, and cancelled half of that later.
const (
	churnStep  = 250
	churnDelay = 200 * time.Millisecond
)

// BenchmarkTimers arms and cancels timers of so many connections through the
// stack's API (TCP.SetPoll), in turn, while time goes on; an operation is a
// timer armed and another one cancelled, with what the timing wheel does
// meanwhile.
func BenchmarkTimers(b *testing.B) {
	forConns(b, []int{1000, 1000000}, func(b *testing.B, conns int) {
		pool, err := pbuf.NewPool(pbuf.Config{Small: 64, Buffers: 64})
		if err != nil {
			b.Fatal(err)
		}
		s, err := stack.New(stack.Config{Pool: pool, Seed: [32]byte{1}})
		if err != nil {
			b.Fatal(err)
		}
		defer func() {
			s.Close()
			if err := pool.Close(); err != nil {
				b.Error(err)
			}
		}()
		c := newChurn(s, conns)
		if c == nil {
			b.Fatal("no room for the connections")
		}
		for range 2 * conns { // every timer has been in use, and the wheel goes round
			c.step()
		}
		b.ReportAllocs()
		for b.Loop() {
			c.step()
		}
		b.StopTimer()
		if c.fired != 0 {
			b.Errorf("%d timers fired that were cancelled in time", c.fired)
		}
	})
}

// churn arms timers of connections in turn, and cancels those armed before.
type churn struct {
	s     *stack.Stack
	conns []*stack.TCP
	lag   int // operations from arming to cancelling
	at    int
	now   int64
	fn    stack.PollFunc
	fired int
}

// newChurn makes the connections; nil if the stack has no room.
func newChurn(s *stack.Stack, n int) *churn {
	c := &churn{s: s, conns: make([]*stack.TCP, n), now: int64(time.Second)}
	c.lag = min(n/2, int(churnDelay)/churnStep/2)
	c.fn = func(any, *stack.TCP) error { c.fired++; return nil }
	for i := range c.conns {
		if c.conns[i] = s.NewTCP(); c.conns[i] == nil {
			return nil
		}
	}
	s.SetNow(c.now)
	return c
}

func (c *churn) step() {
	n := len(c.conns)
	c.conns[c.at].SetPoll(c.fn, churnDelay)
	i := c.at - c.lag
	if i < 0 {
		i += n
	}
	c.conns[i].SetPoll(nil, 0)
	if c.at++; c.at == n {
		c.at = 0
	}
	c.now += churnStep
	if c.at%64 == 0 { // a burst's worth
		c.s.Poll(c.now)
	}
}
