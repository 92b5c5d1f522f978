package linux

import (
	"runtime"

	"go.uber.org/atomic"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/peers/work"
)

// loop is a pinned thread with an epoll instance that serves sockets of both
// namespaces: after a client's send the packet has passed the wire and lies in
// the server's socket, so no thread ever has to be woken.
type loop struct {
	v      *veth
	core   int
	port   int // the server's, one a loop
	ep     int
	ready  []func() // by descriptor
	events [256]unix.EpollEvent
	stop   *atomic.Bool
	count  *work.Counter
}

// newLoops makes n loops, on the cores in turn.
func newLoops(v *veth, cores []int, n int, stop *atomic.Bool) (ls []*loop, counts []work.Counter) {
	counts = make([]work.Counter, n)
	for i := range n {
		ls = append(ls, &loop{v: v, core: cores[i%len(cores)], port: port + i, stop: stop, count: &counts[i]})
	}
	return ls, counts
}

// add has ready called when one of the events comes; level-triggered.
func (l *loop) add(fd int, events uint32, ready func()) error {
	if n := fd + 1 - len(l.ready); n > 0 {
		l.ready = append(l.ready, make([]func(), n+1024)...)
	}
	l.ready[fd] = ready
	return unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// drop closes a socket and forgets it.
func (l *loop) drop(fd int) {
	l.ready[fd] = nil
	closeFD(fd)
}

// step serves the sockets that are ready now.
func (l *loop) step() {
	n := poll(l.ep, l.events[:])
	for i := range n {
		if f := l.ready[l.events[i].Fd]; f != nil {
			f()
		}
	}
}

// thread makes the calling goroutine's thread the loop's for good: on its core,
// in the clients' namespace, with a table of descriptors of its own, as the
// limit on descriptors is one on each table.
func (l *loop) thread() (err error) {
	runtime.LockOSThread()
	if err := affinity.Pin(l.core); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FILES); err != nil {
		return err
	}
	if l.ep, err = unix.EpollCreate1(0); err != nil {
		return err
	}
	return unix.Setns(int(l.v.client.f.Fd()), unix.CLONE_NEWNET)
}

// asServer runs fn on the loop's thread in the servers' namespace.
func (l *loop) asServer(fn func() error) error {
	if err := unix.Setns(int(l.v.server.f.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err := fn()
	if e := unix.Setns(int(l.v.client.f.Fd()), unix.CLONE_NEWNET); err == nil {
		err = e
	}
	return err
}

// start runs begin on the loop's thread and then round until it is to stop. It
// returns once begin has.
func (l *loop) start(begin func() error, round func()) error {
	done := make(chan error)
	go func() {
		err := l.thread()
		if err == nil {
			err = begin()
		}
		done <- err
		for err == nil && !l.stop.Load() {
			round()
		}
	}()
	return <-done
}
