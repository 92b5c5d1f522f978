package netconn

import (
	"io"
	"os"
	"slices"
)

// lockedCopy is how much is copied under the lane's lock; more is copied
// without it, for the price of taking it twice.
const lockedCopy = 4096

// readBatch is how many buffers are read at a time without the lock.
const readBatch = 32

// Read reads what has come, at least one byte, and waits for that; io.EOF when
// the peer has closed its side.
func (c *TCPConn) Read(b []byte) (int, error) {
	c.rmu.Lock()
	n, err := c.read(b)
	c.rmu.Unlock()
	if err != nil && err != io.EOF { //nolint:errorlint // read returns it bare
		err = c.opError("read", err)
	}
	return n, err
}

func (c *TCPConn) read(b []byte) (n int, err error) {
	a, l := &c.app, c.lane
	kick := false
	l.lock()
	for {
		if err = c.readable(len(b)); err != nil || len(b) == 0 {
			break
		}
		if a.unread > 0 {
			if n = c.take(b); n > 0 {
				a.owed += n
				kick = a.owed*4 >= a.window || l.owed >= readBatch
				break
			}
			continue // it was closed meanwhile
		}
		if !l.drain() {
			l.block(&a.rd)
		}
	}
	if kick {
		a.owed, l.owed = 0, 0
	}
	l.unlock()
	if kick {
		l.kick()
	}
	return n, err
}

// readable is nil if there is something to read, or may be later.
func (c *TCPConn) readable(n int) error {
	a := &c.app
	switch {
	case a.closed:
		return c.usable()
	case a.rdl.expired:
		return os.ErrDeadlineExceeded
	case a.unread > 0 || n == 0:
		return nil
	case a.fin || a.rclosed:
		return io.EOF
	case a.err != nil:
		return a.err
	}
	return c.lane.usable()
}

// take copies unread bytes to b and gives the shard back what has been read
// whole. The lock is held before and after, but not always in between: 0 if
// the data was discarded meanwhile.
func (c *TCPConn) take(b []byte) (n int) {
	a := &c.app
	if len(a.heap) > 0 {
		n = copy(b, a.heap)
		if a.heap = a.heap[n:]; len(a.heap) == 0 {
			a.heap = nil
		}
		a.unread -= n
		c.lane.pushBack(c, nil, n)
		return n
	}
	if min(len(b), a.unread) > lockedCopy {
		return c.takeUnlocked(b)
	}
	for n < len(b) {
		p := a.rx.Head()
		if p == nil {
			break
		}
		k := p.CopyPartial(b[n:], a.rxOff)
		n += k
		if a.rxOff += k; a.rxOff < p.TotLen() {
			break
		}
		a.rxOff = 0
		a.rx.Pop()
		c.lane.pushBack(c, p, p.TotLen())
	}
	a.unread -= n
	return n
}

// takeUnlocked is take for more bytes: they are copied without the lock.
func (c *TCPConn) takeUnlocked(b []byte) (n int) {
	a, l := &c.app, c.lane
	// The queue stays as it is while we read: discard and toHeap leave it
	// alone, and what comes is put behind.
	a.reading = true
	l.limbo.Inc()
	first, off := a.rx.Head(), a.rxOff
	left := a.rx.Len()
	l.unlock()
	whole := 0
	for p := first; whole < readBatch && n < len(b); {
		k := p.CopyPartial(b[n:], off)
		n += k
		if off += k; off < p.TotLen() {
			break
		}
		off = 0
		if whole++; whole == left {
			break // the next one may be on its way into the queue
		}
		p = p.QNext()
	}
	l.lock()
	a.reading = false
	for range whole {
		p := a.rx.Pop()
		l.pushBack(c, p, p.TotLen())
	}
	a.rxOff = off
	if a.closed || a.rclosed { // discard has left it to us
		c.discard(!a.closed)
		n = 0
	} else {
		a.unread -= n
	}
	l.limbo.Dec()
	return n
}

// toHeap moves unread data to the Go heap, so that the shard gets its buffers
// back. The window does not open by it.
func (c *TCPConn) toHeap() {
	a, l := &c.app, c.lane
	if a.reading || a.rx.Empty() {
		return
	}
	for p := a.rx.Pop(); p != nil; p = a.rx.Pop() {
		n := len(a.heap)
		a.heap = slices.Grow(a.heap, p.TotLen())[:n+p.TotLen()-a.rxOff]
		p.CopyPartial(a.heap[n:], a.rxOff)
		a.rxOff = 0
		l.pushBack(c, p, 0)
	}
}
