package ring

// Bounds of a pause, in turns of procyield: of amd64's PAUSE, which takes 21 ns on
// Zen 5, or nanoseconds on arm64.
const (
	pauseMin = 1
	pauseMax = 128
)

// PausePush passes the time until there is likely to be room for much. It is for a
// producer that found too little of it and has nothing to do but to look again.
// Producer only.
//
// Looking without a pause is slower for both sides: each look takes the cache line
// of the index from the other side, which has to fetch it back, and what comes of
// it is one batch, to be waited for line by line. After a pause there are several,
// whose lines travel side by side. How long it takes until there is a good part of
// a ring depends on where the two cores are; a pause is longer than the last one if
// little came of that, and shorter if much did. The longest is some microseconds.
func (r *SPSC[T]) PausePush() { r.prod.pause(r.mask + 1) }

// PausePop is PausePush for a consumer that found too few elements. Consumer only.
func (r *SPSC[T]) PausePop() { r.cons.pause(r.mask + 1) }

// pause takes what its thread has moved since the last pause as the measure of it.
func (s *side) pause(capacity uint64) {
	index := s.load()
	moved := index - s.pausedAt
	s.pausedAt = index
	switch {
	case moved < capacity/4:
		s.turns = min(max(2*s.turns, pauseMin), pauseMax)
	case moved > capacity/2:
		s.turns = max(s.turns/2, pauseMin)
	}
	procyield(s.turns)
}
