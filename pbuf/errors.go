package pbuf

import (
	"errors"
	"fmt"
)

// Errors of this package; match with errors.Is.
var (
	// ErrConfig: a Config contradicts itself.
	ErrConfig = errors.New("pbuf: bad configuration")
	// ErrLeak: a pool is closed while buffers of it are out.
	ErrLeak = errors.New("pbuf: buffers are still out")
	// ErrBusy: a region is closed while buffers point into it, or a pool while
	// it still holds freed buffers of others.
	ErrBusy = errors.New("pbuf: still in use")
	// ErrClosed: the pool or region was closed before.
	ErrClosed = errors.New("pbuf: closed")
	// ErrLimit: the process has MaxPools pools or MaxRegions regions already.
	ErrLimit = errors.New("pbuf: too many pools or regions")
	// ErrArg: an argument is out of range (lwIP's ERR_ARG).
	ErrArg = errors.New("pbuf: bad argument")
	// ErrMem: the bytes do not fit the buffer (lwIP's ERR_MEM).
	ErrMem = errors.New("pbuf: does not fit")
	// ErrNoHugePages: HugeRequire, and the kernel has no huge pages to give.
	ErrNoHugePages = errors.New("pbuf: no huge pages")
)

// LeakError says how many buffers of a pool were not freed. It matches ErrLeak.
type LeakError struct {
	Pool   string          // the pool's name
	Out    [NumClasses]int // buffers out, by class
	Lent   int             // buffers out that are a device's (see Lender)
	Report string          // pbufdebug: allocation stacks, else empty
}

// Error names the pool and the classes that miss buffers.
func (e *LeakError) Error() string {
	s := fmt.Sprintf("%v: pool %q: small %d, standard %d, jumbo %d",
		ErrLeak, e.Pool, e.Out[ClassSmall], e.Out[ClassStandard], e.Out[ClassJumbo])
	if e.Lent != 0 {
		s += fmt.Sprintf(", lent %d", e.Lent)
	}
	if e.Report != "" {
		s += "\n" + e.Report
	}
	return s
}

// Is reports whether target is ErrLeak.
func (e *LeakError) Is(target error) bool { return target == ErrLeak }
