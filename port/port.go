package port

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/rss"
)

// Port is a network device with one or more queues. See the package comment for
// who may call what when.
type Port interface {
	// Info describes the port. It does not change once the port is started.
	Info() Info

	// Attach gives queue q the pool of its receive buffers; each queue needs
	// one before Start. Buffers may be taken from the pool at once and are
	// given back by Close, so the caller is the pool's thread, or it has none
	// yet; different queues may be attached by different threads at a time.
	// Errors: ErrQueue, ErrState, ErrClosed, ErrConfig if the pool's buffers
	// don't do.
	Attach(q int, pool *pbuf.Pool) error

	// Start lets frames flow. Errors: ErrNotAttached, ErrState, ErrClosed, or
	// the system's.
	Start() error

	// Close stops the port and returns what buffers it holds to their pools,
	// on the caller's thread. Threads that own queues must have stopped calling
	// before. A second call returns ErrClosed.
	Close() error

	// RxBurst stores up to len(dst) frames that arrived at queue q in dst and
	// returns how many; they are the caller's. It never blocks. Only the thread
	// that owns q may call it.
	RxBurst(q int, now int64, dst []*pbuf.Pbuf) int

	// TxBurst sends frames in order by queue q. It takes the first n of ps and
	// returns n; those are the port's, even if it drops some (counted). The
	// others, for which there is no room, stay the caller's. It never blocks.
	// Only the thread that owns q may call it.
	TxBurst(q int, now int64, ps []*pbuf.Pbuf) int

	// Link is the state of the link now. Any thread.
	Link() LinkState

	// Stats are the counters of queue q; they may be one burst old. It does not
	// allocate. Any thread. See Total for all queues.
	Stats(q int) Stats

	// Waiter is what the thread that owns q can sleep on; nil means that the
	// queue must be polled. The same value each time.
	Waiter(q int) Waiter
}

// Info describes a port.
type Info struct {
	Name     string        // for messages and statistics
	Queues   int           // queues, numbered from 0
	MTU      int           // longest IP packet in bytes: the frame without link header
	MAC      header.MAC    // the port's own address; the port does not filter by it
	Caps     offload.Caps  // what the port does of the stack's work
	RSS      RSS           // how arriving frames are spread over the queues
	NUMANode pbuf.NUMANode // where the device is, for pools; AnyNode = not known
}

// RSS says how a port spreads arriving frames over its queues. Without a key the
// port has no RSS, or none that can be computed: any frame may come by any
// queue.
type RSS struct {
	Key  rss.Key
	RETA rss.RETA
}

// Enabled reports whether the queue of a flow can be computed.
func (r *RSS) Enabled() bool { return !r.Key.IsZero() }

// LinkState is the state of a port's link.
type LinkState struct {
	Up   bool   // frames flow
	Mbps uint32 // speed in 10^6 bits per second; 0 = not known or not limited
}

// Stats counts the frames of a queue since the port was made. Bytes are those
// of frames from Ethernet header to payload. A frame is counted once:
//
//   - each that TxBurst took is in TxPackets, TxDropped or TxErrors;
//   - each that arrived is in RxPackets, RxMissed or RxErrors.
type Stats struct {
	RxPackets uint64 // given to the caller of RxBurst
	RxBytes   uint64
	RxMissed  uint64 // lost because no buffer was posted
	RxErrors  uint64 // lost because damaged or longer than the port takes
	TxPackets uint64 // given to the wire
	TxBytes   uint64
	TxDropped uint64 // not sent for want of room, or because the link is down
	TxErrors  uint64 // not sent because the frame is too short, too long or refused
}

// Add adds o to s.
func (s *Stats) Add(o *Stats) {
	s.RxPackets += o.RxPackets
	s.RxBytes += o.RxBytes
	s.RxMissed += o.RxMissed
	s.RxErrors += o.RxErrors
	s.TxPackets += o.TxPackets
	s.TxBytes += o.TxBytes
	s.TxDropped += o.TxDropped
	s.TxErrors += o.TxErrors
}

// Total adds up the counters of all queues of p. Any thread.
func Total(p Port) Stats {
	var sum Stats
	for q := range p.Info().Queues {
		s := p.Stats(q)
		sum.Add(&s)
	}
	return sum
}

// Waiter lets the thread that owns a queue sleep in poll(2), epoll(7) or the
// like until frames arrive.
//
//	if n := p.RxBurst(q, now, dst); n == 0 && w.Arm() {
//	        poll w.FD() for reading, with the timeout of what comes next
//	}
//
// The next RxBurst of the queue ends the armed state.
type Waiter interface {
	// FD is a file descriptor that is readable (level) from when frames arrive
	// after Arm. It stays the port's and is good until Close.
	FD() int

	// Arm asks for FD to become readable. It returns false if frames are there
	// already: then call RxBurst instead of sleeping.
	Arm() bool
}
