package stack

// Pacing: a connection with a rate sends no faster, whatever its windows allow.
// Segments have release times in ns; they are released from the timing wheel, so
// what falls due within a tick leaves at its start, as one burst: at 1 Gbit/s
// that is 32 KiB, half of what the largest TSO packet holds.

// paceTick is how far ahead of its release time a segment may go.
const paceTick = 1 << tickShift

// pacer is the state of a paced connection.
type pacer struct {
	rate uint64 // bytes/s; 0: not paced
	cap  uint64 // the application's bound for rate; 0: none
	free int64  // when the next byte may go
	frac uint64 // what is missing from free, in ns/rate
	at   int64  // timer: when Output is called, 0: off
}

// delay is how long to wait until something may go; 0: it may now.
func (p *pacer) delay(now int64) int64 {
	if p.rate == 0 {
		return 0
	}
	return max(0, p.free-paceTick-now)
}

// room is how many bytes may go now: what falls due within the tick, and at
// least a segment if anything does.
func (p *pacer) room(now int64, mss uint32) uint32 {
	if p.rate == 0 {
		return 1 << 30
	}
	due := now + paceTick - max(p.free, now)
	if due < 0 {
		return 0
	}
	n := min(p.rate, 1<<40) * uint64(due) / 1e9
	return uint32(min(max(n, uint64(mss)), 1<<30))
}

// spend books n bytes that went. Time in which nothing was sent gives no credit.
func (p *pacer) spend(n uint32, now int64) {
	if p.rate != 0 {
		x := uint64(n)*1e9 + p.frac
		p.free, p.frac = max(p.free, now)+int64(x/p.rate), x%p.rate
	}
}

// set takes the controller's rate (0: none), within the application's bound.
func (p *pacer) set(rate uint64) {
	if p.cap != 0 && (rate == 0 || rate > p.cap) {
		rate = p.cap
	}
	p.rate = rate
}
