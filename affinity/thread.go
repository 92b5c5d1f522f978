package affinity

import "fmt"

// started is read while the package is initialized, before anything pins.
var started, startErr = Current()

// Start is the set of the cores that the process was started with.
func Start() (Set, error) { return started, startErr }

// Pin binds the calling thread to one core and checks that it runs there when
// Pin returns. The caller has locked its goroutine to the thread
// (runtime.LockOSThread) and keeps it locked. ErrRange if the core is not from
// 0 to MaxCores-1; ErrNotAllowed, with the reason, if the kernel refuses it;
// ErrPin if it does not refuse and yet the thread is elsewhere.
func Pin(core int) error {
	want, err := Of(core)
	if err != nil {
		return err
	}
	if err := Apply(want); err != nil {
		return err
	}
	at, _, err := CPU()
	if err != nil {
		return err
	}
	if at != core {
		return fmt.Errorf("%w: on %d instead of %d", ErrPin, at, core)
	}
	return nil
}

// Unpin lets the calling thread run again on all cores that the process was
// started with.
func Unpin() error {
	if startErr != nil {
		return startErr
	}
	return Apply(started)
}
