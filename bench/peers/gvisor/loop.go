package gvisor

import (
	"go.uber.org/atomic"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// conn is an endpoint served by a loop.
type conn struct {
	ep     tcpip.Endpoint
	wq     *waiter.Queue
	entry  waiter.Entry
	queued atomic.Bool
	ready  func(c *conn)

	// Only the loop's goroutine may touch these once it runs.
	got        int // bytes of the message that is coming in
	up, closed bool
}

// loop is a goroutine that serves the connections that became ready, as epoll
// would name them. Endpoints can't be read or written in gVisor's callbacks,
// which run with the endpoint locked.
type loop struct {
	c  chan *conn
	in discard
}

// newLoop starts a loop for n connections, more or less.
func newLoop(n int) *loop {
	l := &loop{c: make(chan *conn, 2*n+1024)}
	go l.run()
	return l
}

func (l *loop) run() {
	for c := range l.c {
		c.queued.Store(false)
		c.ready(c)
	}
}

// post lets the loop look at c; once is enough.
func (l *loop) post(c *conn) {
	if c.queued.CompareAndSwap(false, true) {
		l.c <- c
	}
}

// add serves an endpoint by ready whenever one of the events of mask comes.
func (l *loop) add(ep tcpip.Endpoint, wq *waiter.Queue, mask waiter.EventMask, ready func(*conn)) *conn {
	c := &conn{ep: ep, wq: wq, ready: ready}
	c.entry = waiter.NewFunctionEntry(mask, func(waiter.EventMask) { l.post(c) })
	wq.EventRegister(&c.entry)
	return c
}

// close closes a connection in order. Only on the loop's goroutine.
func (l *loop) close(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	c.wq.EventUnregister(&c.entry)
	c.ep.Close()
}
