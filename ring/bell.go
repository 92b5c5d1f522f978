package ring

import "go.uber.org/atomic"

// Bell decides who wakes a consumer that sleeps; how it sleeps (an eventfd, a
// channel) is the caller's matter. The zero value is a bell of a consumer that
// is awake. One consumer; any number of producers.
//
// The consumer:
//
//	bell.Arm()
//	if nothing in any of my rings {
//	        sleep until woken, or until a timer
//	}
//	bell.Disarm()
//
// A producer:
//
//	ring.Push(v)
//	if bell.Ring() {
//	        wake the consumer
//	}
//
// No wake-up is lost: the consumer stores "asleep" and then loads the ring's
// index, the producer stores the index and then loads "asleep" (Dekker). As
// all four are sequentially consistent, at least one sees the other's store:
// the consumer finds the element, or the producer finds it asleep. Between Arm
// and sleep the consumer must look at every ring whose producer rings this
// bell.
//
// While the consumer is awake, Ring is one load of a line that nobody writes.
type Bell struct {
	_     noCopy
	_     around
	armed atomic.Uint32
	_     around
}

// Arm says that the consumer is about to sleep: from now on one call of Ring
// returns true. Consumer only.
func (b *Bell) Arm() { b.armed.Store(1) }

// Disarm says that the consumer is awake. It returns true if some Ring since
// Arm returned true: that producer wakes, or is about to wake, a consumer that
// may not sleep any more. A wake-up that comes late ends the next sleep early,
// which is harmless as the consumer looks at its rings and sleeps again.
// Consumer only.
func (b *Bell) Disarm() (rung bool) { return b.armed.Swap(0) == 0 }

// Ring is called after a push. It returns true if the consumer is asleep or
// about to be and nobody else was told so: exactly one call per Arm. The
// caller must then wake it. Any thread.
func (b *Bell) Ring() (wake bool) {
	return b.armed.Load() != 0 && b.armed.CompareAndSwap(1, 0)
}
