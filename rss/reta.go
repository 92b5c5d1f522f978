package rss

import (
	"errors"
	"fmt"
	"math/bits"
)

const (
	// MinRETA and MaxRETA bound the number of entries of a RETA.
	MinRETA = 64
	MaxRETA = 512
)

// Errors of RETA. Compare with errors.Is.
var (
	// ErrRETA: the size is not 64, 128, 256 or 512, or an index is not below it.
	ErrRETA = errors.New("rss: bad redirection table")
	// ErrQueue: a queue number or a number of queues is out of range.
	ErrQueue = errors.New("rss: bad queue")
)

// RETA is a card's redirection table: entry hash mod Size names the receive
// queue of a frame. The zero RETA has no entries and gives queue 0 to every
// hash, as a port without RSS does. RETA is a value of about 1 KiB, comparable;
// copies are independent.
type RETA struct {
	// tab holds the entries repeated to MaxRETA places, so that Queue needs
	// neither the size nor a bounds check.
	tab  [MaxRETA]uint16
	size uint16
}

// NewRETA returns a table of size entries (64, 128, 256 or 512) that deals the
// queues 0 to queues-1 round robin, as drivers do at start. It returns ErrRETA
// for another size, ErrQueue for less than one queue or more than entries.
func NewRETA(size, queues int) (RETA, error) {
	if err := checkSize(size); err != nil {
		return RETA{}, err
	}
	if queues < 1 || queues > size {
		return RETA{}, fmt.Errorf("%w: %d queues in %d entries", ErrQueue, queues, size)
	}
	r := RETA{size: uint16(size)}
	for i := range r.tab {
		r.tab[i] = uint16(i % size % queues)
	}
	return r, nil
}

// FromEntries copies a table that a driver reports; ErrRETA for a length other
// than 64, 128, 256 or 512. Which queues exist is not known here: see Validate.
func FromEntries(entries []uint16) (RETA, error) {
	if err := checkSize(len(entries)); err != nil {
		return RETA{}, err
	}
	r := RETA{size: uint16(len(entries))}
	for i := range r.tab {
		r.tab[i] = entries[i%len(entries)]
	}
	return r, nil
}

func checkSize(n int) error {
	if n < MinRETA || n > MaxRETA || bits.OnesCount(uint(n)) != 1 {
		return fmt.Errorf("%w: %d entries", ErrRETA, n)
	}
	return nil
}

// Queue is the receive queue of a frame with this hash.
func (r *RETA) Queue(hash uint32) uint16 { return r.tab[hash%MaxRETA] }

// Size is the number of entries: 64, 128, 256, 512, or 0 for the zero RETA.
func (r *RETA) Size() int { return int(r.size) }

// Entries returns a copy of the Size entries; it is the caller's.
func (r *RETA) Entries() []uint16 { return append([]uint16(nil), r.tab[:r.size]...) }

// Set gives entry i to a queue; ErrRETA for i outside [0, Size). Not while
// another thread reads the table. Solvers made from it earlier do not see it.
func (r *RETA) Set(i int, queue uint16) error {
	if i < 0 || i >= r.Size() {
		return fmt.Errorf("%w: entry %d of %d", ErrRETA, i, r.size)
	}
	for ; i < MaxRETA; i += r.Size() {
		r.tab[i] = queue
	}
	return nil
}

// Validate checks that every entry names one of the queues 0 to queues-1, and
// returns ErrQueue with the first that does not.
func (r *RETA) Validate(queues int) error {
	if queues < 1 {
		return fmt.Errorf("%w: %d queues", ErrQueue, queues)
	}
	for i, q := range r.tab[:r.size] {
		if int(q) >= queues {
			return fmt.Errorf("%w: entry %d names queue %d of %d", ErrQueue, i, q, queues)
		}
	}
	return nil
}

// Share is the number of entries that name the queue: Share/Size is the part
// of evenly spread flows that it receives.
func (r *RETA) Share(queue uint16) int {
	n := 0
	for _, q := range r.tab[:r.size] {
		if q == queue {
			n++
		}
	}
	return n
}

// mask covers the hash bits that index the table; 0 for the zero RETA.
func (r *RETA) mask() uint32 { return uint32(max(r.size, 1)) - 1 }
