package netconn

import (
	"net"
	"os"
	"syscall"

	"github.com/shardstack/shardstack/pbuf"
)

// writeBatch is how many segments are filled at a time without the lock.
const writeBatch = 24

// lowWater is the part of the pool below which connections with much on their
// way have to wait, so that the others can go on.
const lowWater = 4

// Write sends b. It returns when all of it is on its way, and waits while the
// send buffer or the pool is full.
func (c *TCPConn) Write(b []byte) (int, error) {
	c.wmu.Lock()
	n, err := c.write(b)
	c.wmu.Unlock()
	return n, c.opError("write", err)
}

func (c *TCPConn) write(b []byte) (n int, err error) {
	a, l := &c.app, c.lane
	l.lock()
	if l.pending() {
		l.drain() // there may be news of this connection, and nobody who reads
	}
	for {
		if err = c.writable(); err != nil || n == len(b) {
			break
		}
		if k := min(c.sendRoom(), len(b)-n); k > 0 {
			k, err = c.send(b[n : n+k])
			if n += k; k > 0 || err != nil {
				if err != nil {
					break
				}
				continue
			}
		}
		// Neither credit nor buffers: what is on its way brings them back.
		if a.snd > 0 {
			l.push(message{to: c, op: opCredit}) // our share may be larger than we know
		}
		l.kick()
		switch {
		case l.drain():
		case a.snd > 0:
			l.blockForBuffers(&a.wr)
		default:
			l.block(&a.wr)
		}
	}
	l.owed = 0
	l.unlock()
	l.kick()
	return n, err
}

// writable is nil if something may be written, now or later.
func (c *TCPConn) writable() error {
	a := &c.app
	switch {
	case a.closed:
		return net.ErrClosed
	case a.wdl.expired:
		return os.ErrDeadlineExceeded
	case a.err != nil:
		return a.err
	case a.wclosed:
		return os.NewSyscallError("write", syscall.EPIPE)
	}
	return c.lane.usable()
}

// sendRoom is how many bytes may be put on their way now. When the pool is low
// a connection gets no more than its share of what is left.
func (c *TCPConn) sendRoom() int {
	a, pool := &c.app, c.lane.pool
	avail := pool.Avail(pbuf.ClassStandard)
	if avail*lowWater >= pool.Cap(pbuf.ClassStandard) {
		return a.snd
	}
	share := avail * pool.DataRoom(pbuf.ClassStandard) / lowWater
	// Once the buffer has grown more may be free than it had at first.
	return min(a.snd, max(0, share-max(0, c.sh.sndBuf-a.snd)))
}

// send puts b on its way, or as much of it as buffers are found for. The lock
// is held before and after, but not while more than lockedCopy is copied.
func (c *TCPConn) send(b []byte) (n int, err error) {
	a, l := &c.app, c.lane
	var ps [writeBatch]*pbuf.Pbuf
	k := 0
	for n < len(b) && k < len(ps) {
		part := min(len(b)-n, a.mss)
		p := l.alloc(part)
		if p == nil {
			break
		}
		ps[k] = p
		k++
		n += part
	}
	if k == 0 {
		return 0, nil
	}
	a.snd -= n
	if n <= lockedCopy {
		fill(ps[:k], b)
	} else {
		l.limbo.Inc()
		l.unlock()
		fill(ps[:k], b)
		l.lock()
		l.limbo.Dec()
		if err := c.writable(); err != nil && !a.wdl.expired {
			for _, p := range ps[:k] {
				p.Free()
			}
			a.snd += n
			return 0, err
		}
	}
	for i, p := range ps[:k] {
		pbuf.Handover(p, l.home) // new, so not shared
		l.push(message{to: c, p: p, op: opWrite, last: i == k-1})
	}
	return n, nil
}

// fill copies b to packets.
func fill(ps []*pbuf.Pbuf, b []byte) {
	for _, p := range ps {
		if p.Next() == nil {
			b = b[copy(p.Payload(), b):]
			continue
		}
		n := p.TotLen()
		_ = p.Take(b[:n]) // it was made to measure
		b = b[n:]
	}
}

// alloc takes a packet for n bytes with room for headers from the lane's pool:
// one buffer if one is large enough. Nil: there is none.
func (l *lane) alloc(n int) *pbuf.Pbuf {
	if p := l.tryAlloc(n); p != nil {
		return p
	}
	if !l.takeReturns() {
		return nil
	}
	return l.tryAlloc(n)
}

func (l *lane) tryAlloc(n int) *pbuf.Pbuf {
	if n <= l.pool.DataRoom(pbuf.ClassStandard) {
		return l.pool.Alloc(pbuf.LayerTransport, n, pbuf.KindRAM)
	}
	if n <= l.pool.DataRoom(pbuf.ClassJumbo) {
		if p := l.pool.Alloc(pbuf.LayerTransport, n, pbuf.KindRAM); p != nil {
			return p
		}
	}
	return l.pool.Alloc(pbuf.LayerTransport, n, pbuf.KindPool)
}
