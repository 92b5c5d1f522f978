package pbuf

import (
	"errors"
	"fmt"
)

// Pool is a set of buffers that belong to one thread. All methods are to be
// called by that thread only, or under a lock that also covers the buffers.
type Pool struct {
	classes [stateClass + 1]class // the last is none: it spares a bounds check
	id      uint8
	closed  bool
	name    string
	mem     mapping
	debug   poolDebug //lint:ignore U1000 used with the tag pbufdebug

	regionRefs [MaxRegions]uint32 // KindRef buffers of this pool, by Region id

	lender  Lender
	lent    [lentBatch]uintptr // freed elements of the lender, the first lentN
	lentN   int
	lentOut int // elements of the lender that are not freed

	foreign     [MaxPools]Queue // freed buffers of others, by home
	foreignMask [MaxPools / 64]uint64
	foreignN    int
	foreignSum  uint64
	returned    uint64
}

// NewPool maps and cuts up the memory of a pool. Errors match ErrConfig,
// ErrLimit, ErrNoHugePages or are the kernel's.
func NewPool(cfg Config) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	pl := &Pool{name: cfg.Name}
	if err := register(pl); err != nil {
		return nil, err
	}
	if pl.name == "" {
		pl.name = fmt.Sprintf("pool %d", pl.id)
	}
	counts := [NumClasses]int{cfg.Small, cfg.Buffers, cfg.Jumbo}
	rooms := [NumClasses]int{SmallRoom, cfg.DataRoom, cfg.JumboRoom}
	size := 0
	for c := range NumClasses {
		if cfg.Backing[c] == nil {
			size += counts[c] * stride(rooms[c])
		}
	}
	if size > 0 {
		mem, err := mapMemory(size, cfg.HugePages, cfg.NUMANode, cfg.Prefault)
		if err != nil {
			unregister(pl)
			return nil, fmt.Errorf("pbuf: pool %q, %d bytes: %w", pl.name, size, err)
		}
		pl.mem = mem
	}
	next := pl.mem.base
	for c := range NumClasses {
		pl.classes[c] = newClass(pl.id, Class(c), counts[c], rooms[c], cfg.Backing[c])
		if cfg.Backing[c] == nil {
			next = pl.classes[c].carve(next, stride(rooms[c]))
		}
	}
	return pl, nil
}

// stride returns the distance of two elements: whole lines, an odd number.
func stride(room int) int {
	return roundUp(MbufSize+PbufSize+Headroom+room+debugGuard, lineSize) | lineSize
}

// carve puts all elements from address base on into the free list, the first on
// top, and returns the address behind them.
func (c *class) carve(base uintptr, stride int) uintptr {
	for c.n = 0; c.n < c.limit; c.n++ {
		c.free[c.n] = base + uintptr((c.limit-1-c.n)*stride) + MbufSize
	}
	return base + uintptr(c.limit*stride)
}

// Close unmaps the pool. It fails, and the pool stays as it was, with a
// *LeakError (ErrLeak) while buffers of it are out, and with ErrBusy while it
// holds freed buffers of other pools (see TakeForeign).
func (pl *Pool) Close() error {
	if pl.closed {
		return ErrClosed
	}
	if !pl.Full() {
		e := &LeakError{Pool: pl.name}
		for c := range NumClasses {
			e.Out[c] = pl.classes[c].out()
		}
		e.Lent = pl.lentOut
		if debug {
			e.Report = pl.debugReport()
		}
		return e
	}
	if pl.foreignN != 0 {
		return fmt.Errorf("%w: pool %q holds %d buffers of others", ErrBusy, pl.name, pl.foreignN)
	}
	pl.FlushLent()
	for c := range NumClasses {
		cl := &pl.classes[c]
		for cl.drain() {
			continue
		}
		if debug {
			debugForget(cl.free[:cl.n])
		}
		cl.n = 0
		cl.limit = 0
	}
	pl.closed = true
	unregister(pl)
	return errors.Join(pl.closeBackings(), pl.mem.unmap())
}

// closeBackings tells the backings that the pool has let go.
func (pl *Pool) closeBackings() error {
	var errs []error
	for c := range NumClasses {
		if b, ok := pl.classes[c].backing.(BackingCloser); ok {
			errs = append(errs, b.Close())
		}
	}
	if l, ok := pl.lender.(LenderCloser); ok {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// ID returns the pool's number, 1 to MaxPools-1, that Handover takes.
func (pl *Pool) ID() uint8 { return pl.id }

// Name returns the name from the Config.
func (pl *Pool) Name() string { return pl.name }

// Cap returns how many buffers of class c the pool has.
func (pl *Pool) Cap(c Class) int { return pl.classes[c].limit }

// Avail returns how many buffers of class c are free.
func (pl *Pool) Avail(c Class) int { return pl.classes[c].limit - pl.classes[c].out() }

// DataRoom returns the bytes of payload that a buffer of class c has room for
// behind the headroom, 0 if the pool has none of that class.
func (pl *Pool) DataRoom(c Class) int { return max(pl.classes[c].space-Headroom, 0) }

// Full reports whether no buffer of this pool is out.
func (pl *Pool) Full() bool {
	for c := range NumClasses {
		if pl.classes[c].out() != 0 {
			return false
		}
	}
	return pl.lentOut == 0
}

// Memory returns the pool's mapping, to be registered for DMA or as a UMEM; nil
// if all classes have a Backing.
func (pl *Pool) Memory() []byte {
	if pl.mem.size == 0 {
		return nil
	}
	return bytesAt(pl.mem.base, int(pl.mem.size))
}

// Pages returns what backs the mapping.
func (pl *Pool) Pages() Pages { return pl.mem.pages }
