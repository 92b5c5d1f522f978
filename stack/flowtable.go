package stack

// flowTable maps flow hashes to connection numbers: open addressing, linear
// probing, eight slots a cache line. It grows by moving a few slots at each
// insertion, so that no packet ever waits for a rehash.
//
// The hash is the NIC's, or the stack's own (flowhash.go). The low bits of a NIC's
// choose the RETA entry, so within a shard they hardly vary; the slot comes from all
// bits by multiplication.
type flowTable struct {
	cur, old flowSlots
	moved    uint32 // slots of old that have been moved
	n        int
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

type flowSlots struct {
	slots []flowSlot
	shift uint8 // 32 - log2(len)
}

func makeFlowSlots(n int) flowSlots {
	shift := uint8(32)
	for m := n; m > 1; m >>= 1 {
		shift--
	}
	return flowSlots{slots: make([]flowSlot, n), shift: shift}
}

// home is the slot where hash belongs (Fibonacci hashing).
func (f *flowSlots) home(hash uint32) uint32 { return hash * 0x9e3779b1 >> (f.shift & 31) }

func (f *flowSlots) insert(hash, id uint32) {
	mask := uint32(len(f.slots) - 1)
	i := f.home(hash) & mask
	for f.slots[i&mask].id != 0 {
		i = (i + 1) & mask
	}
	f.slots[i] = flowSlot{hash, id + 1}
}

// find returns the position of connection id, or -1.
func (f *flowSlots) find(hash, id uint32) int {
	if len(f.slots) == 0 {
		return -1
	}
	mask := uint32(len(f.slots) - 1)
	for i := f.home(hash) & mask; f.slots[i].id != 0; i = (i + 1) & mask {
		if f.slots[i].id == id+1 {
			return int(i)
		}
	}
	return -1
}

// remove empties slot i and closes the gap behind it.
func (f *flowSlots) remove(i uint32) {
	mask := uint32(len(f.slots) - 1)
	for j := (i + 1) & mask; f.slots[j].id != 0; j = (j + 1) & mask {
		// Slot j may move to the gap if its home is not between the two.
		if (j-f.home(f.slots[j].hash))&mask >= (j-i)&mask {
			f.slots[i] = f.slots[j]
			i = j
		}
	}
	f.slots[i] = flowSlot{}
}

func (t *flowTable) init() { t.cur = makeFlowSlots(flowMinSlots) }

// insert adds connection id, which must not be in the table.
func (t *flowTable) insert(hash, id uint32) {
	if t.old.slots != nil {
		t.move(flowMoves)
	} else if t.n >= len(t.cur.slots)/2 {
		t.old, t.moved = t.cur, 0
		t.cur = makeFlowSlots(2 * len(t.old.slots))
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
