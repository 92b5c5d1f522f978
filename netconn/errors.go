package netconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// The errors of the package itself; compare with errors.Is. Operations on
// connections return *net.OpError with what package net has there:
// net.ErrClosed, os.ErrDeadlineExceeded, system call errors (ECONNREFUSED,
// ECONNRESET, ETIMEDOUT …), io.EOF bare.
var (
	// ErrConfig: a Config contradicts itself.
	ErrConfig = errors.New("netconn: bad configuration")
	// ErrBusy: Close gave up waiting for buffers that the shards still hold. It
	// can be called again.
	ErrBusy = errors.New("netconn: buffers are still on their way")
	// ErrNoHost: an address is not an IP address, and there is no resolver.
	ErrNoHost = errors.New("netconn: not an IP address, and Config.Resolver is nil")
)

// errnos are the system call errors that programs written for package net
// expect in the place of the stack's.
var errnos = []struct {
	err error
	no  syscall.Errno
}{
	{stack.ErrReset, syscall.ECONNRESET},
	{stack.ErrRefused, syscall.ECONNREFUSED},
	{stack.ErrTimeout, syscall.ETIMEDOUT},
	{stack.ErrAborted, syscall.ECONNABORTED},
	{stack.ErrUnreachable, syscall.EHOSTUNREACH},
	{stack.ErrRoute, syscall.ENETUNREACH},
	{stack.ErrNoPort, syscall.EADDRNOTAVAIL},
	{stack.ErrUse, syscall.EADDRINUSE},
	{stack.ErrVal, syscall.EINVAL},
	{stack.ErrMem, syscall.ENOBUFS},
	{stack.ErrBuf, syscall.ENOBUFS},
	{stack.ErrTooLong, syscall.EMSGSIZE},
	{stack.ErrIsConn, syscall.EISCONN},
	{stack.ErrConn, syscall.ENOTCONN},
	{stack.ErrIf, syscall.EIO},
}

// sysError turns an error of the stack into what the system call named call
// would have failed with; others stay as they are.
func sysError(call string, err error) error {
	if errors.Is(err, stack.ErrClosed) {
		return net.ErrClosed
	}
	for i := range errnos {
		if errors.Is(err, errnos[i].err) {
			return os.NewSyscallError(call, errnos[i].no)
		}
	}
	return err
}

// errnoOf is the number of a stack's error, EIO for one that has none.
func errnoOf(err error) syscall.Errno {
	for i := range errnos {
		if errors.Is(err, errnos[i].err) {
			return errnos[i].no
		}
	}
	return syscall.EIO
}

// bindError is sysError where an address is asked for: one that is not ours is
// EADDRNOTAVAIL.
func bindError(call string, err error) error {
	if errors.Is(err, stack.ErrVal) {
		return os.NewSyscallError(call, syscall.EADDRNOTAVAIL)
	}
	return sysError(call, err)
}

// opError wraps what an operation failed with as package net does. End of file
// stays bare.
func opError(op, network string, source, addr net.Addr, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // the bare value is what is returned
		return err
	}
	return &net.OpError{Op: op, Net: network, Source: source, Addr: addr, Err: err}
}

// ctxError is what a Dial returns whose context has ended: it matches the
// context's error, and tells timeouts as net.Error does.
type ctxError struct{ err error }

func (e *ctxError) Error() string {
	if e.Timeout() {
		return "i/o timeout"
	}
	return "operation was canceled"
}

// Timeout reports whether the context's deadline has passed.
func (e *ctxError) Timeout() bool { return errors.Is(e.err, context.DeadlineExceeded) }

// Temporary is Timeout, as in package net.
func (e *ctxError) Temporary() bool { return e.Timeout() }

// Unwrap is the context's error.
func (e *ctxError) Unwrap() error { return e.err }

// Is lets timeouts match os.ErrDeadlineExceeded, too.
func (e *ctxError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded && e.Timeout()
}

// stopError is what everything fails with once the group has stopped.
func stopError(g *shard.Group) error {
	if err := g.Err(); err != nil {
		return fmt.Errorf("%w: %w", shard.ErrStopped, err)
	}
	return shard.ErrStopped
}
