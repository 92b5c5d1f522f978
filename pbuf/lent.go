package pbuf

// Some drivers write the headers of received buffers themselves, in C, where
// they look at what the device says of the packet anyway, and hand sent buffers
// to a device that returns them to the Backing. The functions here keep the
// pool's books for them.

// Offsets of the fields of a Pbuf's hot line, in bytes, for such drivers. All
// numbers are in the machine's byte order.
const (
	OffNext    = 0  // uint64, address of the next Pbuf or 0
	OffPayload = 8  // uint64, address of the first byte
	OffTotLen  = 16 // uint32
	OffLen     = 20 // uint32
	OffRef     = 24 // uint16
	OffKind    = 26 // uint8, a Kind
	OffState   = 27 // uint8, the Class and State bits
	OffHome    = 28 // uint8, ID of the pool that it goes back to
	OffAt      = 29 // uint8, ID of the pool that holds it
	OffRoom    = 30 // uint16, data room in lines of 64 bytes
	OffMeta    = 32 // Meta, 16 bytes
	OffTime    = 48 // int64
	OffQNext   = 56 // uint64, 0
)

// Bits of the byte at OffState.
const (
	StateClass  = stateClass             // the Class
	StateShared = stateRef | stateShared // the bytes are not the element's alone
	StateLent   = stateLent              // goes back to the Lender
	StateExtern = stateExtern            // lent, and the bytes are elsewhere
)

// Lender takes back elements that were lent to a pool: buffers of a device, or
// of another pool's Backing, that a driver received into this pool. They have
// StateLent, are never used again by the pool, and go back when they are freed.
type Lender interface {
	// Drain takes the elements back. Pool's thread.
	Drain(src []uintptr)
}

// LenderCloser is a Lender that is told when the pool is closed, after the last
// Drain.
type LenderCloser interface {
	Lender
	Close() error
}

// lentBatch is how many freed elements a pool keeps for its Lender at most.
const lentBatch = 64

// SetLender says who gets lent elements back: one for the pool's life. It
// returns false and changes nothing if there is another already.
func (pl *Pool) SetLender(l Lender) bool {
	if pl.lender != nil && pl.lender != l {
		return false
	}
	pl.lender = l
	return true
}

// Lender returns who gets lent elements back, nil if none was set.
func (pl *Pool) Lender() Lender { return pl.lender }

// Backing returns what the elements of class c come from; nil if they are the
// pool's own.
func (pl *Pool) Backing(c Class) Backing { return pl.classes[c].backing }

// Received books packets whose headers the driver has written: own is how many
// elements of class c, out of the class's Backing, and lent how many lent ones
// the packets consist of. Pool's thread.
func (pl *Pool) Received(ps []*Pbuf, c Class, own, lent int) {
	pl.classes[c].allocs += uint64(own)
	pl.lentOut += lent
	if debug {
		for _, p := range ps {
			for ; p != nil; p = load(&p.next) {
				p.debugAdopt()
			}
		}
	}
}

// Sent books buffers that the driver has handed to a device, or to their
// Backing, as Disown does: own by class, and lent. The driver has set the
// reference count of each to 0. Pool's thread.
func (pl *Pool) Sent(own *[NumClasses]uint32, lent int) {
	for c := range NumClasses {
		pl.classes[c].frees += uint64(own[c])
	}
	pl.lentOut -= lent
}

// FlushLent gives the freed lent elements that the pool still has to its Lender.
// Pool's thread.
func (pl *Pool) FlushLent() {
	if pl.lentN != 0 {
		n := pl.lentN
		pl.lentN = 0
		pl.lender.Drain(pl.lent[:n])
	}
}

// putLent takes a lent buffer back.
func (pl *Pool) putLent(p *Pbuf) {
	if debug {
		p.debugFreeLent()
	}
	p.ref = 0
	pl.lent[pl.lentN] = addr(p)
	pl.lentOut--
	if pl.lentN++; pl.lentN == lentBatch {
		pl.FlushLent()
	}
}
