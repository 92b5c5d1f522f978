package linux

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/bench/peers/work"
)

const backlog = 65536

// newListener listens on the server's address. On a thread of its namespace.
func newListener(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: serverAddr}); err != nil {
		return 0, fmt.Errorf("bind: %w", err)
	}
	return fd, unix.Listen(fd, backlog)
}

// newConn begins connection i to the server's port. On a thread of the
// clients' namespace. Within it, the handshake is mostly over when connect
// returns, but not surely.
func newConn(i, port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	if i > 0 { // the first address is the default
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return 0, err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: clientAddr(i)}); err != nil {
			return 0, fmt.Errorf("bind: %w", err)
		}
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: serverAddr})
	if err != nil && err != unix.EINPROGRESS {
		closeFD(fd)
		return 0, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

func noDelay(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_NODELAY, 1) }

// descriptors raises the limit as far as it may be, and gives how many sockets
// a thread may have.
func descriptors() (int, error) {
	const others = 256 // descriptors that aren't sockets
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, err
	}
	lim.Cur = lim.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, err
	}
	if lim.Max < 2*others {
		return 0, work.Missing("only %d descriptors are allowed", lim.Max)
	}
	return int(min(lim.Max, 1<<20)) - others, nil
}
