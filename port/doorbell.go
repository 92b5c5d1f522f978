package port

import "github.com/shardstack/shardstack/ring"

// Doorbell wakes a thread that sleeps in poll(2): a ring.Bell with an eventfd,
// or with a function for a sleeper that sleeps elsewhere. Ringing costs one load
// while the sleeper is awake; the system call is made once per sleep.
//
// The sleeper owns the doorbell: it alone calls Open, Call, Arm and Disarm, and
// Close when nobody can ring any more. Any thread may call Ring, also before Open. The
// zero Doorbell is one that is not open and not armed.
//
//	d.Arm()
//	if nothing has come {
//	        poll d.FD() for reading
//	}
//	d.Disarm()
type Doorbell struct {
	bell  ring.Bell
	fd    int
	open  bool
	armed bool
	call  func()  // nil: the eventfd
	count [8]byte // what is read from the eventfd
}

// Call has fn called by the first Ring after Arm, in place of making FD readable;
// the doorbell then needs no Open; nil is for FD again. It is called before the
// first Arm.
func (d *Doorbell) Call(fn func()) { d.call = fn }

// Open makes the eventfd. ErrNotSupported where there is none. An open doorbell
// stays as it is.
func (d *Doorbell) Open() error {
	if d.open {
		return nil
	}
	fd, err := eventfd()
	if err != nil {
		return err
	}
	d.fd, d.open = fd, true
	return nil
}

// FD is the eventfd: readable from the first Ring after Arm until Disarm. It is
// -1 if the doorbell is not open.
func (d *Doorbell) FD() int {
	if !d.open {
		return -1
	}
	return d.fd
}

// Arm asks for the next Ring to make FD readable. After it, and before sleeping,
// the caller must look once more at what it waits for. The doorbell must be
// open, or have a function to call.
func (d *Doorbell) Arm() {
	d.armed = true
	d.bell.Arm()
}

// Disarm takes Arm back and makes FD unreadable. It is cheap if not armed. A
// Ring that is just under way may make FD readable afterwards, which ends the
// next sleep early and does no harm.
func (d *Doorbell) Disarm() {
	if d.armed {
		d.disarm()
	}
}

func (d *Doorbell) disarm() {
	d.armed = false
	if d.bell.Disarm() && d.call == nil {
		drain(d.fd, d.count[:])
	}
}

// Ring wakes the sleeper if the doorbell is armed. Call it after the thing that
// the sleeper waits for has been put where it will look. Any thread.
func (d *Doorbell) Ring() {
	if !d.bell.Ring() {
		return
	}
	if d.call != nil {
		d.call()
		return
	}
	signal(d.fd)
}

// Close closes the eventfd. The caller makes sure that nobody rings any more.
func (d *Doorbell) Close() error {
	if !d.open {
		return nil
	}
	d.Disarm()
	d.open = false
	return closeFD(d.fd)
}
