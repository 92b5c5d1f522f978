package netem

import "github.com/shardstack/shardstack/pbuf"

// entry is a frame that waits: since a time in a queue, until one on the wire.
type entry struct {
	f  *pbuf.Pbuf
	at int64
}

// ring is a list of entries that grows to what it has to hold.
type ring struct {
	buf   []entry // a power of two long
	first int
	n     int
}

func (r *ring) slot(i int) *entry { return &r.buf[(r.first+i)&(len(r.buf)-1)] }

// head is the first entry; there is one.
func (r *ring) head() *entry { return &r.buf[r.first] }

func (r *ring) grow() {
	buf := make([]entry, max(2*len(r.buf), 16))
	for i := range r.n {
		buf[i] = *r.slot(i)
	}
	r.buf, r.first = buf, 0
}

// push appends an entry.
func (r *ring) push(e entry) {
	if r.n == len(r.buf) {
		r.grow()
	}
	r.n++
	*r.slot(r.n - 1) = e
}

// pop takes the first entry out; there is one.
func (r *ring) pop() entry {
	e := *r.head()
	*r.head() = entry{}
	r.first = (r.first + 1) & (len(r.buf) - 1)
	r.n--
	return e
}

// insert keeps the ring sorted by time; an entry goes behind those of its time.
// Most come in order, and the others are not far from the end.
func (r *ring) insert(e entry) {
	r.push(e)
	for i := r.n - 1; i > 0 && r.slot(i-1).at > e.at; i-- {
		*r.slot(i) = *r.slot(i - 1)
		*r.slot(i - 1) = e
	}
}
