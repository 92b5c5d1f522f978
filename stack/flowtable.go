package stack

import "math/bits"

// flowTable maps flow hashes to connection numbers: open addressing, linear
// probing, eight slots a cache line. It grows by moving a few slots at each
// insertion, so that no packet ever waits for a rehash.
//
// The hash is the NIC's, or the stack's own (flowhash.go). The low bits of a NIC's
// choose the RETA entry, so within a shard they hardly vary; the slot comes from all
// bits by multiplication. The last bits of the stack's own may tell neighbours apart.
type flowTable struct {
	cur, old flowSlots
	moved    uint32 // slots of old that have been moved
	n        int
	near     bool // the last bits of hashes tell neighbours apart
}

type flowSlot struct {
	hash uint32
	id   uint32 // connection number + 1; 0: empty, tombstone: moved or deleted
}

const (
	tombstone    = ^uint32(0)
	flowMinSlots = 1 << 10 // 8 KiB; few connections hardly collide, which saves mispredicted branches
	flowMoves    = 8       // slots of the old table moved at each insertion
)

// flowSlots are 2^width slots in columns, slot i being in column i mod columns. What
// is not in its place is further down its column, or in the next one.
type flowSlots struct {
	slots  []flowSlot
	column uint32 // columns-1
	turn   uint8  // log2(columns)
	width  uint8
}

const slotsPerLine = 8 // of a cache line

// makeFlowSlots makes n slots, a power of two, in one column. With near a line's slots
// are one of each column: where neighbours of a flow are in the way, so are neighbours
// of theirs, but not below.
func makeFlowSlots(n int, near bool) flowSlots {
	f := flowSlots{slots: make([]flowSlot, n), width: uint8(bits.Len(uint(n)) - 1)}
	if near {
		f.column, f.turn = slotsPerLine-1, 3
	}
	return f
}

// home is the slot where hash belongs: the last bits say in which column, and the
// others where (Fibonacci hashing).
func (f *flowSlots) home(hash uint32) uint32 {
	return hash&^f.column*0x9e3779b1>>((32+f.turn-f.width)&31)<<(f.turn&31) | hash&f.column
}

// next is the slot to look at after i.
func (f *flowSlots) next(i uint32) uint32 {
	if i += f.column + 1; i >= uint32(len(f.slots)) {
		i = (i + 1) & f.column
	}
	return i
}

// behind is how many times next leads from slot i to slot j.
func (f *flowSlots) behind(i, j uint32) uint32 {
	return (f.order(j) - f.order(i)) & uint32(len(f.slots)-1)
}

// order is the place of slot i in the sequence of all.
func (f *flowSlots) order(i uint32) uint32 { return i>>f.turn | i<<(f.width-f.turn) }

func (f *flowSlots) insert(hash, id uint32) {
	i := f.home(hash)
	for f.slots[i].id != 0 {
		i = f.next(i)
	}
	f.slots[i] = flowSlot{hash, id + 1}
}

// find returns the position of connection id, or -1.
func (f *flowSlots) find(hash, id uint32) int {
	if len(f.slots) == 0 {
		return -1
	}
	for i := f.home(hash); f.slots[i].id != 0; i = f.next(i) {
		if f.slots[i].id == id+1 {
			return int(i)
		}
	}
	return -1
}

// remove empties slot i and closes the gap behind it.
func (f *flowSlots) remove(i uint32) {
	for j := f.next(i); f.slots[j].id != 0; j = f.next(j) {
		// Slot j may move to the gap if its home is not between the two.
		if f.behind(f.home(f.slots[j].hash), j) >= f.behind(i, j) {
			f.slots[i] = f.slots[j]
			i = j
		}
	}
	f.slots[i] = flowSlot{}
}

// init makes an empty table; near: the last bits of hashes tell neighbours apart.
func (t *flowTable) init(near bool) { t.near, t.cur = near, makeFlowSlots(flowMinSlots, near) }

// insert adds connection id, which must not be in the table.
func (t *flowTable) insert(hash, id uint32) {
	if t.old.slots != nil {
		t.move(flowMoves)
	} else if t.n >= len(t.cur.slots)/2 {
		t.old, t.moved = t.cur, 0
		t.cur = makeFlowSlots(2*len(t.old.slots), t.near)
	}
	t.cur.insert(hash, id)
	t.n++
}

// move carries the next n slots of the old table over. A moved slot becomes a
// tombstone, so that probe sequences of the old table stay whole.
func (t *flowTable) move(n int) {
	for ; n > 0 && int(t.moved) < len(t.old.slots); n-- {
		s := &t.old.slots[t.moved]
		t.moved++
		if s.id != 0 && s.id != tombstone {
			t.cur.insert(s.hash, s.id-1)
			s.id = tombstone
		}
	}
	if int(t.moved) == len(t.old.slots) {
		t.old = flowSlots{}
	}
}

// remove takes connection id out of the table; a no-op if it is not there.
func (t *flowTable) remove(hash, id uint32) {
	if i := t.cur.find(hash, id); i >= 0 {
		t.cur.remove(uint32(i))
		t.n--
	} else if i := t.old.find(hash, id); i >= 0 {
		t.old.slots[i].id = tombstone
		t.n--
	}
}

// worthPrefetch reports whether the connections are so many that they (with
// buffers and what applications keep of them, about a KB each) can't
// all be in the caches.
func (t *flowTable) worthPrefetch() bool { return t.n > 1024 }
