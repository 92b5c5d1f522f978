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
	// stockLen is how many frames of one buffer can be read before the pool is
	// asked again.
	stockLen = 32
)

// queue is one queue of the device. All of it is its thread's.
type queue struct {
	fd   int
	pool *pbuf.Pool
	vnet bool // each frame has a vnetHdr in front

	frame int // longest frame
	big   int // longest frame that is several segments
	room  int // of a buffer, in bytes
	parts int // buffers that hold the longest of all, and one byte more

	// Empty buffers to read into are stock[head:tail]. What rx[head+1:] points
	// to are these; in front of it is room for that of the vnetHdr.
	stock      []*pbuf.Pbuf
	head, tail int
	rx         []unix.Iovec
	rxHdr      vnetHdr

	tx    [maxIovec]unix.Iovec
	txHdr vnetHdr

	n      port.Stats
	shared ring.Snapshot[port.Stats]
}

func newQueue(fd int) *queue { return &queue{fd: fd} }

// attach gives the queue its pool. Frames are at most frame bytes long, and big
// ones, which only a device with vnet has, at most big.
func (q *queue) attach(pool *pbuf.Pool, frame, big int, vnet bool) error {
	room := pool.DataRoom(pbuf.ClassStandard)
	if room == 0 {
		return fmt.Errorf("%w: tap: pool %q has no standard buffers", port.ErrConfig, pool.Name())
	}
	q.frame, q.big, q.room, q.vnet = frame, max(frame, big), room, vnet
	// A byte more than the longest frame, so that one cut off is noticed.
	q.parts = (q.big + 1 + room - 1) / room
	if n := pool.Cap(pbuf.ClassStandard); n < q.parts {
		return fmt.Errorf("%w: tap: pool %q has %d buffers of %d bytes, and a frame of %d bytes needs %d",
			port.ErrConfig, pool.Name(), n, room, q.big, q.parts)
	}
	q.stock = make([]*pbuf.Pbuf, q.parts-1+stockLen)
	q.rx = make([]unix.Iovec, len(q.stock)+1)
	q.pool = pool
	return nil
}

// reclaim gives the buffers of the stock back.
func (q *queue) reclaim() {
	if q.pool != nil {
		pbuf.FreeBatch(q.stock[q.head:q.tail])
		q.head, q.tail = 0, 0
	}
}

// fill brings the stock to its full size and reports whether that is enough for
// a frame.
func (q *queue) fill() bool {
	q.tail = copy(q.stock, q.stock[q.head:q.tail])
	q.head = 0
	more := q.stock[q.tail:min(len(q.stock), q.tail+q.pool.Avail(pbuf.ClassStandard))]
	q.tail += q.pool.AllocBatch(more)
	for i, p := range q.stock[:q.tail] {
		setIovec(&q.rx[i+1], p.Spare())
	}
	return q.tail >= q.parts
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

// receive reads one frame. It is nil without an error if it was too long, or
// its header makes no sense, and is dropped. ENOBUFS: there are no buffers, and
// the frame stays in the kernel.
func (q *queue) receive() (*pbuf.Pbuf, unix.Errno) {
	if q.tail-q.head < q.parts && !q.fill() {
		return nil, unix.ENOBUFS
	}
	n, errno := q.read()
	switch {
	case errno != 0:
		return nil, errno
	case n < minFrame || n > q.big:
		q.n.RxErrors++
		return nil, 0
	}
	p := q.takeChain(n)
	if q.vnet && !q.rxHdr.apply(p) || n > q.frame && p.Flags&pbuf.RxLRO == 0 {
		q.n.RxErrors++
		p.Free()
		return nil, 0
	}
	return p, 0
}

// read reads one frame into the stock and returns its length, without that of
// the vnetHdr.
func (q *queue) read() (int, unix.Errno) {
	if q.vnet {
		iov := q.rx[q.head : q.head+1+q.parts]
		setIovec(&iov[0], q.rxHdr[:])
		n, errno := readv(q.fd, iov)
		return n - vnetLen, errno
	}
	if q.parts > 1 {
		return readv(q.fd, q.rx[q.head+1:q.head+1+q.parts])
	}
	return read(q.fd, q.stock[q.head].Spare())
}

// takeChain takes a frame of n bytes, at least 1, out of the stock.
func (q *queue) takeChain(n int) *pbuf.Pbuf {
	p := q.stock[q.head]
	q.head++
	if n <= q.room {
		p.SetLen(n)
		return p
	}
	var chain pbuf.Builder
	for {
		k := min(n, q.room)
		p.SetLen(k)
		chain.Add(p)
		if n -= k; n == 0 {
			return chain.Finish()
		}
		p = q.stock[q.head]
		q.head++
	}
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
	n, limit, parts := p.TotLen(), q.frame, 0
	if q.vnet {
		if !q.txHdr.order(p) {
			return unix.EINVAL
		}
		if p.Flags&(pbuf.TxTSO|pbuf.TxUSO) != 0 {
			limit = q.big
		}
		setIovec(&q.tx[0], q.txHdr[:])
		parts = 1
	}
	if n < minFrame || n > limit {
		return unix.EMSGSIZE
	}
	if p.Len() == n && !q.vnet {
		return write(q.fd, p.Payload())
	}
	for ; p != nil; p = p.Next() {
		if parts == maxIovec {
			return unix.EMSGSIZE
		}
		setIovec(&q.tx[parts], p.Payload())
		parts++
	}
	return writev(q.fd, q.tx[:parts])
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
