package port

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

func eventfd() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("port: eventfd: %w", err)
	}
	return fd, nil
}

// one is what an eventfd adds: the number 1 in the machine's byte order.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// signal makes the eventfd readable. It can't fail in a way that matters: with
// the counter at its limit (EAGAIN) the eventfd is readable anyway.
func signal(fd int) {
	for {
		if _, err := unix.Write(fd, one); err != unix.EINTR {
			return
		}
	}
}

// drain makes the eventfd unreadable by reading its counter. EAGAIN says that it
// is.
func drain(fd int, count []byte) {
	for {
		if _, err := unix.Read(fd, count); err != unix.EINTR {
			return
		}
	}
}

func closeFD(fd int) error { return unix.Close(fd) }
