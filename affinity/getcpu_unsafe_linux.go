package affinity

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// getcpu is the system call of that name, which x/sys does not wrap.
func getcpu() (core, node int, err error) {
	var c, n uint32
	_, _, errno := unix.RawSyscall(unix.SYS_GETCPU,
		uintptr(unsafe.Pointer(&c)), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, 0, errno
	}
	return int(c), int(n), nil
}
