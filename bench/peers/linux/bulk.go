package linux

import (
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// bulkSize is what is written or read at a time.
const bulkSize = 64 << 10

// bulk sends on each connection as fast as it takes it. With several
// connections each core serves both ends of its share. A single one is faster
// with its writer on one core and its reader on another, unless segments are
// large.
func bulk(s *work.Spec, loops []*loop) error {
	if s.Conns == 1 && len(loops) > 1 && !s.Offload {
		return split(s, loops[0], loops[1])
	}
	for i, l := range loops {
		out := make([]byte, bulkSize)
		begin := func() error {
			if err := l.sink(); err != nil {
				return err
			}
			for k := i; k < s.Conns; k += len(loops) {
				if err := l.source(out); err != nil {
					return err
				}
			}
			return nil
		}
		if err := l.start(begin, l.step); err != nil {
			return err
		}
	}
	return nil
}

// split runs the readers on r and the writers on w.
func split(s *work.Spec, w, r *loop) error {
	if err := r.start(r.sink, r.step); err != nil {
		return err
	}
	w.port = r.port
	out := make([]byte, bulkSize)
	return w.start(func() error {
		for range s.Conns {
			if err := w.source(out); err != nil {
				return err
			}
		}
		return nil
	}, w.step)
}

// source has a connection written to whenever it has room.
func (l *loop) source(out []byte) error {
	fd, err := newConn(0, l.port)
	if err != nil {
		return err
	}
	return l.add(fd, unix.EPOLLOUT, func() {
		if _, e := send(fd, out); e != 0 && e != unix.EAGAIN {
			l.drop(fd)
		}
	})
}

// sink has what arrives counted and thrown away. As on the other stacks, it
// isn't copied out.
func (l *loop) sink() error {
	in := make([]byte, bulkSize)
	return l.serve(func(fd int) error {
		return l.add(fd, unix.EPOLLIN, func() {
			n, e := recv(fd, in, unix.MSG_TRUNC)
			switch {
			case n > 0 && e == 0:
				l.count.Add(uint64(n))
			case e != unix.EAGAIN:
				l.drop(fd)
			}
		})
	})
}
