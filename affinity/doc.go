// Package affinity says on which CPU cores a process may run, and pins threads
// to them.
//
//   - Set: a set of cores, from a mask ("0xf") or a list ("0-3,8"), also as the
//     value of a command line flag (MaskFlag, ListFlag).
//   - Allowed, Set.Validate, CPUQuota: what the scheduler and the cgroup let
//     the process use.
//   - Pin, Unpin, Apply, Current, CPU: the calling thread.
//   - NUMANode, NodeCores, PCINUMANode: which memory is near.
//
// What is asked of /proc, /sys and the cgroup file system goes through a Host,
// whose files can be replaced. The functions of the package ask the machine.
// All of it may be called from any thread; nothing is cached but the set of
// cores that the process started with.
package affinity

import "errors"

var (
	// ErrSyntax says that a mask, list, PCI address or a file of the kernel
	// cannot be read.
	ErrSyntax = errors.New("affinity: syntax error")
	// ErrRange says that a core is negative or not below MaxCores.
	ErrRange = errors.New("affinity: core out of range")
	// ErrEmpty says that a set that has to name a core names none.
	ErrEmpty = errors.New("affinity: no cores")
	// ErrNotAllowed says that the process may not run on some of the cores, or
	// that the machine does not have them.
	ErrNotAllowed = errors.New("affinity: cores not allowed")
	// ErrPin says that the kernel took the call to pin and yet the thread is
	// not where it should be.
	ErrPin = errors.New("affinity: thread not on its core")
	// ErrNotSupported says that the operating system cannot do it.
	ErrNotSupported = errors.New("affinity: not supported on this system")
)
