package gvisor

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// writeSize is what a bulk writer gives the stack at a time.
const writeSize = 64 << 10

// fillTime is more than it takes to fill a send buffer.
const fillTime = 2 * time.Millisecond

// bulk sends on each connection as fast as it takes it. Each end of a
// connection is a goroutine, which is no slower here than loops.
func bulk(s *work.Spec, p *pair) (float64, error) {
	var got work.Counter
	err := p.listen(func(ep tcpip.Endpoint, wq *waiter.Queue) { go sink(ep, wq, &got) })
	if err != nil {
		return 0, err
	}
	start := make(chan struct{})
	for range s.Conns {
		ep, wq, err := dial(p.client)
		if err != nil {
			return 0, err
		}
		go func() {
			<-start
			p.source(ep, wq)
		}()
	}
	close(start)
	// The first thing that happens is that all send buffers are filled.
	s.Warm = max(s.Warm, time.Duration(s.Conns)*fillTime)
	return s.Gbits(got.Load)
}

// source writes until the pair is closed or the connection breaks.
func (p *pair) source(ep tcpip.Endpoint, wq *waiter.Queue) {
	entry, ch := waiter.NewChannelEntry(writable)
	wq.EventRegister(&entry)
	for out := newPayload(writeSize); !p.stopped.Load(); {
		_, err := out.write(ep)
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			<-ch
		default:
			return
		}
	}
}

// sink reads until the connection breaks.
func sink(ep tcpip.Endpoint, wq *waiter.Queue, got *work.Counter) {
	entry, ch := waiter.NewChannelEntry(readable)
	wq.EventRegister(&entry)
	var d discard
	for open := true; open; <-ch {
		var n int
		n, open = readAll(ep, &d)
		got.Add(uint64(n))
	}
}
