package netconn

import "time"

// deadline is a point in time after which an operation fails. Its owner's lock
// guards it. Servers move deadlines with each request: the timer is left alone
// when it fires before the new one anyway, and set again when it has.
type deadline struct {
	expired bool
	at      time.Time // zero: none
	timer   *time.Timer
	fires   time.Time // when the timer does; zero: it does not run
}

// set moves the deadline; the zero time is none. It reports whether it has
// passed already. fire is called, without the lock, at some time at or after
// it, and has to call fired; it must be the same each time.
func (d *deadline) set(t time.Time, fire func()) (passed bool) {
	d.at, d.expired = t, false
	if t.IsZero() {
		return false
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.expired = true
		return true
	}
	switch {
	case d.timer == nil:
		d.timer = time.AfterFunc(wait, fire)
	case d.fires.IsZero() || t.Before(d.fires):
		d.timer.Reset(wait)
	default:
		return false
	}
	d.fires = t
	return false
}

// fired is the timer's call, with the lock held. It reports whether the
// deadline has passed; if it was moved it sets the timer again.
func (d *deadline) fired() bool {
	d.fires = time.Time{}
	if d.at.IsZero() || d.expired {
		return false
	}
	if wait := time.Until(d.at); wait > 0 {
		d.timer.Reset(wait)
		d.fires = d.at
		return false
	}
	d.expired = true
	return true
}

// stop ends the timer for good.
func (d *deadline) stop() {
	d.at = time.Time{}
	if d.timer != nil {
		d.timer.Stop()
		d.fires = time.Time{}
	}
}
