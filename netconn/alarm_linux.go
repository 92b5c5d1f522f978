package netconn

import (
	"os"

	"golang.org/x/sys/unix"
)

// alarmLen is what an eventfd takes.
const alarmLen = 8

func newFileAlarm() (*alarm, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	f := os.NewFile(uintptr(fd), "eventfd") // in the network poller, as it does not block
	return &alarm{r: f, w: f}, nil
}
