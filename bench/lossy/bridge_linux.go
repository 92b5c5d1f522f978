package main

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/impair"
	"github.com/shardstack/shardstack/shard"
)

// bridge passes the frames of two ports on to each other, on a thread of its own.
type bridge struct {
	a    *impair.Port
	b    port.Port
	pool *pbuf.Pool
	stop atomic.Bool
	done chan struct{}
}

// newBridge starts a bridge. It owns both ports, also when it fails.
func newBridge(a *impair.Port, b port.Port) (*bridge, error) {
	pool, err := pbuf.NewPool(buffers)
	if err == nil {
		err = errors.Join(a.Attach(0, pool), b.Attach(0, pool))
		if err == nil {
			err = errors.Join(a.Start(), b.Start())
		}
	}
	if err != nil {
		return nil, errors.Join(err, a.Close(), b.Close())
	}
	br := &bridge{a: a, b: b, pool: pool, done: make(chan struct{})}
	go br.run()
	return br, nil
}

func (b *bridge) close() error {
	b.stop.Store(true)
	<-b.done
	return errors.Join(b.a.Close(), b.b.Close(), b.pool.Close())
}

// idle is the longest sleep: how soon close is noticed.
const idle = int64(20 * time.Millisecond)

func (b *bridge) run() {
	runtime.LockOSThread()
	defer close(b.done)
	var ps [64]*pbuf.Pbuf
	for !b.stop.Load() {
		now := shard.Now()
		n := pass(b.a, b.b, now, ps[:]) + pass(b.b, b.a, now, ps[:])
		if n > 0 || !b.a.Waiter(0).Arm() || !b.b.Waiter(0).Arm() {
			continue
		}
		wait := min(max(b.a.NextEvent(0)-now, 0), idle)
		fds := []unix.PollFd{{Fd: int32(b.a.Waiter(0).FD()), Events: unix.POLLIN}, {Fd: int32(b.b.Waiter(0).FD()), Events: unix.POLLIN}}
		ts := unix.NsecToTimespec(wait)
		_, _ = unix.Ppoll(fds, &ts, nil) // a signal only wakes it early
	}
}

// pass sends what one port has received out of the other. What that does not
// take is lost, as on any bridge.
func pass(from, to port.Port, now int64, ps []*pbuf.Pbuf) int {
	n := from.RxBurst(0, now, ps)
	if n > 0 {
		k := to.TxBurst(0, now, ps[:n])
		pbuf.FreeBatch(ps[k:n])
	}
	return n
}
