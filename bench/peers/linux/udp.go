package linux

import (
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// udpBurst is how many datagrams a call sends or takes.
const udpBurst = 64

// datagrams sends on one flow a core; after each burst the same thread empties
// the receiving socket, so nothing waits and nothing is lost.
func datagrams(s *work.Spec, loops []*loop) error {
	for _, l := range loops {
		var in, out int
		begin := func() error {
			if err := l.asServer(func() (err error) {
				if in, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err != nil {
					return err
				}
				_ = unix.SetsockoptInt(in, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
				return unix.Bind(in, &unix.SockaddrInet4{Port: l.port, Addr: serverAddr})
			}); err != nil {
				return err
			}
			var err error
			if out, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err != nil {
				return err
			}
			_ = unix.SetsockoptInt(out, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
			return unix.Connect(out, &unix.SockaddrInet4{Port: l.port, Addr: serverAddr})
		}
		tx, rx := newBatch(udpBurst, s.Size), newBatch(udpBurst, s.Size)
		round := func() {
			tx.send(out)
			l.count.Add(uint64(rx.recv(in)))
		}
		if err := l.start(begin, round); err != nil {
			return err
		}
	}
	return nil
}
