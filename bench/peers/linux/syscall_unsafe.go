package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never block, so the scheduler isn't told of them.

func recv(fd int, b []byte, flags int) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags|unix.MSG_DONTWAIT), 0, 0)
	return int(n), e
}

func send(fd int, b []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), e
}

// poll takes the events that are there.
func poll(ep int, ev []unix.EpollEvent) int {
	n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_WAIT, uintptr(ep), uintptr(unsafe.Pointer(&ev[0])), uintptr(len(ev)), 0, 0, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}

func accept(fd int) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK, 0, 0)
	return int(n), e
}

func closeFD(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   uint32
}

// batch is a vector of messages for sendmmsg and recvmmsg.
type batch struct {
	msgs []mmsghdr
	iov  []unix.Iovec
	data []byte
}

func newBatch(n, size int) *batch {
	b := &batch{make([]mmsghdr, n), make([]unix.Iovec, n), make([]byte, n*size)}
	for i := range b.msgs {
		b.iov[i].Base = &b.data[i*size]
		b.iov[i].SetLen(size)
		b.msgs[i].hdr.Iov = &b.iov[i]
		b.msgs[i].hdr.SetIovlen(1)
	}
	return b
}

func (b *batch) call(trap uintptr, fd int) int {
	n, _, e := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&b.msgs[0])), uintptr(len(b.msgs)), unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}

func (b *batch) send(fd int) int { return b.call(unix.SYS_SENDMMSG, fd) }
func (b *batch) recv(fd int) int { return b.call(unix.SYS_RECVMMSG, fd) }
