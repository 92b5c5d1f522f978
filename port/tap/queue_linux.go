package tap

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
)

const (
	// minFrame is the shortest frame that the kernel takes, a header.
	minFrame = header.EthernetLen
	// maxIovec is how many buffers a frame may have (IOV_MAX).
	maxIovec = 1024
	// stockLen is how many buffers are taken from the pool at a time.
	stockLen = 32
)

// queue is one queue of the device. All of it is its thread's.
type queue struct {
	fd   int
	pool *pbuf.Pool

	frame int          // longest frame
	parts int          // buffers that hold a frame of that length and one byte more
	stock []*pbuf.Pbuf // empty buffers to read into: stock[:have]
	have  int
	iov   [maxIovec]unix.Iovec

	n      port.Stats
	shared ring.Snapshot[port.Stats]
}

func newQueue(fd int) *queue { return &queue{fd: fd} }

// attach gives the queue its pool.
func (q *queue) attach(pool *pbuf.Pool, frame int) error {
	room := pool.DataRoom(pbuf.ClassStandard)
	if room == 0 {
		return fmt.Errorf("%w: tap: pool %q has no standard buffers", port.ErrConfig, pool.Name())
	}
	q.frame = frame
	// A byte more than the longest frame, so that one cut off is noticed.
	q.parts = (frame + 1 + room - 1) / room
	if n := pool.Cap(pbuf.ClassStandard); n < q.parts {
		return fmt.Errorf("%w: tap: pool %q has %d buffers of %d bytes, and a frame of %d bytes needs %d",
			port.ErrConfig, pool.Name(), n, room, frame, q.parts)
	}
	q.stock = make([]*pbuf.Pbuf, max(stockLen, q.parts))
	q.pool = pool
	return nil
}

// reclaim gives the buffers of the stock back.
func (q *queue) reclaim() {
	if q.pool != nil {
		pbuf.FreeBatch(q.stock[:q.have])
		q.have = 0
	}
}

// close closes the file. Its number is kept from use: it may be another file's
// soon.
func (q *queue) close() error {
	fd := q.fd
	q.fd = -1
	return unix.Close(fd)
}

// FD implements port.Waiter.
func (q *queue) FD() int { return q.fd }

// Arm implements port.Waiter. The file is readable whenever a frame is there.
func (q *queue) Arm() bool { return true }

// RxBurst reads frames until there are no more or dst is full. An error of the
// file is like no frames; Link tells whether the device is still there.
func (p *Port) RxBurst(qi int, _ int64, dst []*pbuf.Pbuf) int {
	q := p.queues[qi]
	n, before := 0, q.n
	for n < len(dst) {
		pk, errno := q.receive()
		if errno != 0 && errno != unix.EINTR {
			break
		}
		if pk != nil {
			dst[n] = pk
			n++
			q.n.RxPackets++
			q.n.RxBytes += uint64(pk.TotLen())
		}
	}
	if q.n != before {
		q.shared.Publish(&q.n)
	}
	return n
}

// receive reads one frame. It is nil without an error if it was too long and is
// dropped. ENOBUFS: there are no buffers, and the frame stays in the kernel.
func (q *queue) receive() (*pbuf.Pbuf, unix.Errno) {
	if q.have < q.parts {
		q.have += q.pool.AllocBatch(q.stock[q.have:min(len(q.stock), q.have+q.pool.Avail(pbuf.ClassStandard))])
		if q.have < q.parts {
			return nil, unix.ENOBUFS
		}
	}
	if q.parts > 1 {
		return q.receiveChain()
	}
	p := q.stock[q.have-1]
	n, errno := read(q.fd, p.Spare())
	if errno != 0 {
		return nil, errno
	}
	if n > q.frame {
		q.n.RxErrors++
		return nil, 0
	}
	p.SetLen(n)
	q.have--
	return p, 0
}

// receiveChain is receive for frames that may need several buffers. Those that
// were not needed stay in the stock.
func (q *queue) receiveChain() (*pbuf.Pbuf, unix.Errno) {
	for i := range q.parts {
		setIovec(&q.iov[i], q.stock[q.have-1-i].Spare())
	}
	n, errno := readv(q.fd, q.iov[:q.parts])
	if errno != 0 {
		return nil, errno
	}
	if n > q.frame {
		q.n.RxErrors++
		return nil, 0
	}
	used := 0
	for left := n; left > 0; used++ {
		p := q.stock[q.have-1-used]
		k := min(left, len(p.Spare()))
		p.SetLen(k)
		left -= k
	}
	q.have -= used
	// Linked from the end, for Cat walks through what it appends to. The first
	// part is on top of the stock.
	for i := range used - 1 {
		q.stock[q.have+i+1].Cat(q.stock[q.have+i])
	}
	return q.stock[q.have+used-1], 0
}

// TxBurst writes frames until the kernel has no room. Those that it refuses for
// another reason are dropped.
func (p *Port) TxBurst(qi int, _ int64, ps []*pbuf.Pbuf) int {
	q := p.queues[qi]
	n := 0
	for n < len(ps) {
		errno := q.send(ps[n])
		if errno == unix.EINTR {
			continue
		}
		if errno == unix.EAGAIN {
			break
		}
		q.count(ps[n], errno)
		n++
	}
	if n > 0 {
		pbuf.FreeBatch(ps[:n])
		q.shared.Publish(&q.n)
	}
	return n
}

// send writes one frame, which stays the caller's.
func (q *queue) send(p *pbuf.Pbuf) unix.Errno {
	n := p.TotLen()
	if n < minFrame || n > q.frame {
		return unix.EMSGSIZE
	}
	if p.Len() == n {
		return write(q.fd, p.Payload())
	}
	parts := 0
	for ; p != nil; p = p.Next() {
		if parts == maxIovec {
			return unix.EMSGSIZE
		}
		setIovec(&q.iov[parts], p.Payload())
		parts++
	}
	return writev(q.fd, q.iov[:parts])
}

// count counts a frame that the kernel took or that is dropped. EIO says that
// the device is down.
func (q *queue) count(p *pbuf.Pbuf, errno unix.Errno) {
	switch errno {
	case 0:
		q.n.TxPackets++
		q.n.TxBytes += uint64(p.TotLen())
	case unix.EIO, unix.ENOBUFS, unix.ENOMEM, unix.EBADF, unix.EBADFD:
		q.n.TxDropped++
	default:
		q.n.TxErrors++
	}
}
