package load

// pacer spreads operations evenly over time; a zero rate lets all through.
type pacer struct {
	rate float64 // operations a second
	due  int64   // when the next one may begin
	frac float64 // part of a nanosecond that due is short of
	on   bool    // due is set
}

// pacerBurst is how far a pacer may fall behind and catch up, in nanoseconds.
const pacerBurst = 10_000_000

// take reports whether an operation may begin now, and books it.
func (p *pacer) take(now int64) bool {
	if p.rate <= 0 {
		return true
	}
	if now < p.due {
		return false
	}
	if !p.on {
		p.on, p.due = true, now
	}
	p.due = max(p.due, now-pacerBurst)
	step := 1e9/p.rate + p.frac
	p.due += int64(step)
	p.frac = step - float64(int64(step))
	return true
}
