package shard

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// The errors of the package; compare with errors.Is.
var (
	// ErrConfig: a Config contradicts itself or the ports that it names.
	ErrConfig = errors.New("shard: bad configuration")
	// ErrStopped: the group is stopping or has stopped.
	ErrStopped = errors.New("shard: stopped")
	// ErrState: the call does not fit the state of the group: a second Start,
	// or Step of a group that runs by itself.
	ErrState = errors.New("shard: wrong state")
	// ErrBusy: the change can't be made before earlier ones have come to rest.
	ErrBusy = errors.New("shard: busy")
	// ErrGoexit: a callback ended the shard's goroutine (runtime.Goexit).
	ErrGoexit = errors.New("shard: a callback ended the shard's thread")
)

// PanicError is a panic on a shard's thread. It stops the group; Wait, Stop
// and Err return it.
type PanicError struct {
	Shard int    // its ID
	Value any    // what was given to panic
	Stack []byte // the stack trace, as debug.Stack prints it
}

// Error gives shard, value and stack trace: a panic must not go unseen.
func (e *PanicError) Error() string {
	return fmt.Sprintf("shard %d: panic: %v\n\n%s", e.Shard, e.Value, e.Stack)
}

// Unwrap is the value if that is an error, so that errors.Is finds it.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// panicError makes the error of a value that recover returned; nil stands for
// a goroutine that ended without one.
func panicError(id int, v any) error {
	if v == nil {
		return fmt.Errorf("shard %d: %w", id, ErrGoexit)
	}
	return &PanicError{Shard: id, Value: v, Stack: debug.Stack()}
}

// guard calls fn and turns a panic into an error.
func guard(id int, fn func()) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = panicError(id, recover())
		}
	}()
	fn()
	returned = true
	return nil
}
