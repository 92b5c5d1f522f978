package stack

import "math/bits"

// Two kinds of timers, as in lwIP's timeouts.c but with other insides: cyclic
// ones for slow housekeeping (ARP, reassembly), and one hierarchical timing
// wheel for the connections.

// cyclicTimer calls fn every period while active (lwip_cyclic_timers).
type cyclicTimer struct {
	at, period int64
	active     bool
	fn         func(s *Stack)
}

// every adds a cyclic timer, stopped, and returns its index.
func (s *Stack) every(period int64, fn func(s *Stack)) int {
	s.cyclic = append(s.cyclic, cyclicTimer{period: period, fn: fn})
	return len(s.cyclic) - 1
}

// startCyclic makes timer i run from one period after now; no-op if it runs.
func (s *Stack) startCyclic(i int) {
	if c := &s.cyclic[i]; !c.active {
		c.active, c.at = true, s.now+c.period
	}
}

// stopCyclic stops timer i, so that an idle stack has nothing due.
func (s *Stack) stopCyclic(i int) { s.cyclic[i].active = false }

func (c *cyclicTimer) run(s *Stack, now int64) {
	if c.active && now >= c.at {
		c.at = now + c.period
		c.fn(s)
	}
}

// The wheel: a tick of 2^18 ns (0.26 ms), a first level of 1,024 slots, so that
// what is due within 268 ms is put where it fires, and 5 levels of 64 above it, so
// that it reaches 9 years. Timers are numbered; a number's node lies in a dense
// array apart from the connection, so that cascading touches no connection. A bit a
// slot says which are occupied: finding the next timeout and skipping empty time
// cost a few instructions.
const (
	tickShift   = 18
	firstBits   = 10
	wheelBits   = 6
	firstSlots  = 1 << firstBits
	wheelSlots  = 1 << wheelBits
	wheelLevels = 6
	allSlots    = firstSlots + (wheelLevels-1)*wheelSlots
	nodeChunk   = 1 << 12

	noTimer = ^uint32(0)
)

type timerNode struct {
	due        uint64 // tick; 0: not scheduled
	next, prev uint32
	slot       uint16 // of all levels
}

type wheel struct {
	// tick is the present one: every timer due before it has fired, and those due at
	// it but for the ones that lie in its slot, for which there was no time.
	tick  uint64
	count int
	occ   [allSlots / 64]uint64 // a bit a slot; a level above the first is a word
	head  [allSlots]uint32
	nodes []*[nodeChunk]timerNode
}

// timerOwner is told which timer fired; it may schedule any timer. timerSoon is a
// hint that the timer will fire unless it is moved.
type timerOwner interface {
	timerSoon(id uint32)
	timerFired(id uint32)
}

func (w *wheel) init() {
	for i := range w.head {
		w.head[i] = noTimer
	}
}

// grow makes room for timers 0 … n-1.
func (w *wheel) grow(n int) {
	for len(w.nodes)*nodeChunk < n {
		w.nodes = append(w.nodes, new([nodeChunk]timerNode))
	}
}

func (w *wheel) node(id uint32) *timerNode { return &w.nodes[id/nodeChunk][id%nodeChunk] }

// schedule sets timer id to fire at the first tick at or after at, and not
// before the next tick; a timer that was set is moved.
func (w *wheel) schedule(id uint32, at int64) {
	n := w.node(id)
	if n.due != 0 {
		w.unlink(id, n)
	}
	due := (uint64(max(at, 0)) + 1<<tickShift - 1) >> tickShift
	n.due = max(due, w.tick+1)
	w.link(id, n)
}

// levelShift is how many bits of a tick lie below those that number the slots of a
// level.
func levelShift(level int) int { return max(0, firstBits+(level-1)*wheelBits) }

// upperSlot is the slot of a level above the first in which tick t lies.
func upperSlot(level int, t uint64) int {
	return firstSlots + (level-1)*wheelSlots + int(t>>levelShift(level)%wheelSlots)
}

func (w *wheel) link(id uint32, n *timerNode) {
	// The level is that of the highest bit in which due and the wheel's tick
	// differ: all timers of a slot on it cascade when the tick gets there.
	i := int(n.due % firstSlots)
	if d := n.due ^ w.tick; d >= firstSlots {
		i = upperSlot(min((bits.Len64(d)-1-firstBits)/wheelBits+1, wheelLevels-1), n.due)
	}
	n.slot, n.prev, n.next = uint16(i), noTimer, w.head[i]
	if n.next != noTimer {
		w.node(n.next).prev = id
	}
	w.head[i] = id
	w.occ[i/64] |= 1 << (i % 64)
	w.count++
}

func (w *wheel) unlink(id uint32, n *timerNode) {
	if n.prev != noTimer {
		w.node(n.prev).next = n.next
	} else {
		w.head[n.slot] = n.next
		if n.next == noTimer {
			w.occ[n.slot/64] &^= 1 << (n.slot % 64)
		}
	}
	if n.next != noTimer {
		w.node(n.next).prev = n.prev
	}
	w.count--
}

// advance fires the timers due up to now, but not many more than most: the rest
// waits for the next call, and next says so.
func (w *wheel) advance(now int64, most int, o timerOwner) {
	target := uint64(max(now, 0)) >> tickShift
	for {
		if most = w.fire(most, o); most <= 0 || w.tick >= target {
			return
		}
		next, ok := w.nextTick()
		if !ok || next > target {
			next = target
		}
		w.moveTo(next)
	}
}

// moveTo sets the tick and cascades the slots that it enters. No occupied
// slot may lie between the old tick and the new one.
func (w *wheel) moveTo(t uint64) {
	old := w.tick
	w.tick = t
	for level := wheelLevels - 1; level > 0; level-- {
		if shift := levelShift(level); old>>shift != t>>shift {
			w.cascade(upperSlot(level, t))
		}
	}
}

// cascade links the timers of slot i anew, on lower levels.
func (w *wheel) cascade(i int) {
	if w.occ[i/64]&(1<<(i%64)) == 0 {
		return
	}
	id := w.head[i]
	w.head[i] = noTimer
	w.occ[i/64] &^= 1 << (i % 64)
	for id != noTimer {
		n := w.node(id)
		next := n.next
		w.count--
		w.link(id, n)
		id = next
	}
}

// fireAhead is how many timers the owner hears of before the first of them
// fires.
const fireAhead = 16

// fire calls the owner for the timers of the present tick, until there were most,
// and returns how many more there may be. The owner is told of some ahead, as their
// connections have not been touched for long: the cache misses overlap.
func (w *wheel) fire(most int, o timerOwner) int {
	slot := w.tick % firstSlots
	for most > 0 && w.occ[slot/64]&(1<<(slot%64)) != 0 {
		var ids [fireAhead]uint32
		n := 0
		for id := w.head[slot]; id != noTimer && n < fireAhead; id = w.node(id).next {
			ids[n] = id
			n++
			o.timerSoon(id)
		}
		for _, id := range ids[:n] {
			if nd := w.node(id); nd.due == w.tick { // or one before has moved it
				w.unlink(id, nd)
				nd.due = 0
				o.timerFired(id)
			}
		}
		most -= n
	}
	return most
}

// nextTick is the first tick from the present one on at which a timer fires or a
// slot cascades.
func (w *wheel) nextTick() (uint64, bool) {
	slot := w.tick % firstSlots
	later := w.occ[slot/64] &^ (1<<(slot%64) - 1)
	for word := slot / 64; ; later = w.occ[word] {
		if later != 0 {
			return w.tick&^(firstSlots-1) | word*64 + uint64(bits.TrailingZeros64(later)), true
		}
		if word++; word == firstSlots/64 {
			break
		}
	}
	for level := 1; level < wheelLevels; level++ {
		shift := levelShift(level)
		cur := w.tick >> shift
		occ := w.occ[firstSlots/64+level-1]
		// Slots after the current one within this revolution; the top level
		// wraps around.
		if later := occ &^ (1<<(cur%wheelSlots+1) - 1); later != 0 {
			slot := uint64(bits.TrailingZeros64(later))
			return (cur&^(wheelSlots-1) | slot) << shift, true
		}
		if level == wheelLevels-1 && occ != 0 {
			slot := uint64(bits.TrailingZeros64(occ))
			return (cur&^(wheelSlots-1) + wheelSlots | slot) << shift, true
		}
	}
	return 0, false
}

// next is the time of the next tick that matters, or Forever.
func (w *wheel) next() int64 {
	if w.count == 0 {
		return Forever
	}
	t, ok := w.nextTick()
	if !ok {
		return Forever
	}
	return int64(t << tickShift)
}
