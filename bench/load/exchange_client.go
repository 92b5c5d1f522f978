package load

import (
	"encoding/binary"
	"errors"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Exchange is the opener's side of the exchange service: each of Conns
// connections exchanges Size bytes each way, once. An operation is a whole
// exchange, its latency the time from connected to closed by the peer.
type Exchange struct {
	base
	conns []exchange
	ramp  ramp[exchange]
	ended int
	poll  stack.PollFunc
}

// NewExchange makes an exchange client on s.
func NewExchange(s *stack.Stack, cfg Config) *Exchange {
	cfg.setDefaults(1 << 20)
	return &Exchange{base: newBase(s, cfg)}
}

// Start opens the first connection.
func (e *Exchange) Start() error {
	block := NewPattern(PatternSeed)
	e.conns = make([]exchange, e.cfg.Conns)
	for i := range e.conns {
		e.conns[i].block, e.conns[i].n = block, &e.n
	}
	e.need = exchangeChunk
	e.cb = callbacks{up: e.connected, recv: e.recv, sent: e.sent, err: e.onErr}
	e.poll = e.polled
	e.ramp = newRamp(e.conns, rampMax)
	return e.pump()
}

func (e *Exchange) pump() error {
	for !e.stopped && e.ramp.may() {
		x := e.ramp.take()
		pcb, err := e.connect(x)
		if err != nil {
			e.ramp.failed(x, e.s.Now()+stallRetry, true)
			return err
		}
		pcb.SetPoll(e.poll, retryPoll)
		x.reset(uint64(e.cfg.Size), false)
		x.pcb = pcb
	}
	return nil
}

func (e *Exchange) connected(arg any, pcb *stack.TCP, _ error) error {
	x := arg.(*exchange)
	x.up, x.begun = true, e.s.Now()
	e.n.Opened++
	e.ramp.opened()
	var h [exchangeHeader]byte
	binary.BigEndian.PutUint64(h[:], x.size)
	err := pcb.Write(h[:], stack.WriteMore)
	if err == nil {
		x.push(pcb)
	}
	_ = e.pump() // what can't be opened now is tried again
	return err
}

func (e *Exchange) recv(arg any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	x := arg.(*exchange)
	if p != nil {
		x.received(pcb, p)
		return nil
	}
	pcb.SetErr(nil)
	_ = pcb.Close()
	e.ended++
	x.pcb = nil
	if err := x.judge(); err != nil {
		e.n.Errors++
		e.fail(err)
		return nil
	}
	e.n.Ops++
	e.n.Closed++
	e.record(e.s.Now() - x.begun)
	return nil
}

func (e *Exchange) sent(arg any, pcb *stack.TCP, n int) error {
	e.n.BytesOut += uint64(n)
	arg.(*exchange).push(pcb)
	return nil
}

func (e *Exchange) polled(arg any, pcb *stack.TCP) error {
	if x := arg.(*exchange); x.up {
		x.push(pcb)
	}
	return nil
}

// onErr is the end of a connection before the peer closed; an exchange is not
// tried again.
func (e *Exchange) onErr(arg any, err error) {
	x := arg.(*exchange)
	x.pcb = nil
	if e.stopped {
		return
	}
	if !x.up {
		e.ramp.opening--
	}
	e.ended++
	e.n.Errors++
	e.fail(errors.Join(x.judge(), err))
}

// Done reports whether all exchanges have ended.
func (e *Exchange) Done() bool { return e.ended == len(e.conns) }

// Poll opens connections that could not be opened before.
func (e *Exchange) Poll(now int64) int {
	if e.stopped {
		return e.closeSome(len(e.conns), func(i int) (**stack.TCP, bool) { return &e.conns[i].pcb, false })
	}
	e.ramp.release(now)
	_ = e.pump() // what can't be opened now is tried again
	return 0
}

// Next is when a connection may be opened.
func (e *Exchange) Next() int64 { return min(e.wait(len(e.conns), false, 0), e.ramp.next()) }
