package mem_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/rss"
)

func lockThread() { runtime.LockOSThread() }

func TestLifeOfAnEnd(t *testing.T) {
	a, b, err := mem.New(mem.Config{A: mem.EndConfig{Queues: 2}})
	require.NoError(t, err)
	pool := pbuftest.NewPool(t, pbuf.Config{})

	require.ErrorIs(t, a.Attach(2, pool), port.ErrQueue)
	require.ErrorIs(t, a.Attach(-1, pool), port.ErrQueue)
	require.NoError(t, a.Attach(0, pool))
	require.ErrorIs(t, a.Attach(0, pool), port.ErrState, "attached already")
	require.ErrorIs(t, a.Start(), port.ErrNotAttached, "queue 1")
	require.NoError(t, a.Attach(1, pool))
	require.NoError(t, a.Start())
	require.ErrorIs(t, a.Start(), port.ErrState)
	require.ErrorIs(t, a.Attach(1, pool), port.ErrState)

	require.False(t, a.Link().Up, "the other end is not started")
	require.NoError(t, b.Attach(0, pool))
	require.NoError(t, b.Start())
	require.True(t, a.Link().Up)
	require.True(t, b.Link().Up)

	require.Nil(t, a.Waiter(2))
	require.Equal(t, port.Stats{}, a.Stats(2))
	require.NoError(t, a.Close())
	require.ErrorIs(t, a.Close(), port.ErrClosed)
	require.ErrorIs(t, a.Start(), port.ErrClosed)
	require.ErrorIs(t, a.Attach(0, pool), port.ErrClosed)
	require.Nil(t, a.Waiter(0), "an eventfd would never be closed")
	require.False(t, a.Link().Up)
	require.False(t, b.Link().Up)
	require.NoError(t, b.Close())
	require.True(t, pool.Full(), "all posted buffers are back")
}

// A wire that is down takes frames and drops them, as a card without carrier.
func TestFramesWithoutLinkAreDropped(t *testing.T) {
	w := attachedWire(t, mem.Config{}, pbuf.Config{})
	one := func(dropped uint64) {
		t.Helper()
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 1, 1)))
		require.Equal(t, dropped, w.a.Stats(0).TxDropped)
	}
	one(1)
	require.NoError(t, w.a.Start())
	one(2)
	require.NoError(t, w.b.Start())
	one(2)
	require.NoError(t, w.b.Close())
	require.True(t, w.pb[0].Full(), "with the frame that nobody fetched")
	one(3)
	require.Zero(t, w.b.RxBurst(0, 0, make([]*pbuf.Pbuf, 1)))
	require.Zero(t, w.a.TxBurst(0, 0, nil))
	require.NoError(t, w.a.Close())
	one(4)
}

// Buffers under way come back wherever they are: posted, in the sender's stock,
// filled, parts of a frame, held.
func TestCloseReturnsAllBuffers(t *testing.T) {
	cfg := mem.EndConfig{MTU: 9000}
	w := newWireWith(t, mem.Config{A: cfg, B: cfg, AtoB: mem.Impairment{Delay: time.Second}}, pbuf.Config{Buffers: 512})
	for i := range 10 {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(9000, 1, uint64(i))))
		send(t, w.b, 0, 0, packet(t, w.pb[0], frame(9000, 1, uint64(i))))
	}
	require.Zero(t, w.b.RxBurst(0, 0, make([]*pbuf.Pbuf, 8)), "held")
	require.Equal(t, int64(time.Second), w.b.NextEvent(0))
	one := make([]*pbuf.Pbuf, 1)
	require.Equal(t, 1, w.a.RxBurst(0, 0, one), "the others are in the ring, one of them in part")
	one[0].Free()
	require.NoError(t, w.a.Close())
	require.True(t, w.pa[0].Full())
	require.NoError(t, w.b.Close())
	require.True(t, w.pb[0].Full())
}

// An end may be closed, and its pool unmapped, while a thread of the other one
// sends as fast as it can.
func TestCloseUnderFire(t *testing.T) {
	for range 50 {
		a, b, err := mem.New(mem.Config{B: mem.EndConfig{Queues: 2}})
		require.NoError(t, err)
		pa := pbuftest.NewPool(t, pbuf.Config{})
		pb := pbuftest.NewPool(t, pbuf.Config{})
		require.NoError(t, a.Attach(0, pa))
		require.NoError(t, b.Attach(0, pb))
		require.NoError(t, b.Attach(1, pb))
		require.NoError(t, a.Start())
		require.NoError(t, b.Start())

		var wg sync.WaitGroup
		wg.Go(func() {
			for i := uint64(0); a.Stats(0).TxDropped == 0; i++ {
				a.TxBurst(0, 0, []*pbuf.Pbuf{packet(t, pa, frame(100, uint16(i), i))})
			}
		})
		for len(recv(b, 0, 0))+len(recv(b, 1, 0)) == 0 {
			runtime.Gosched()
		}
		require.NoError(t, b.Close())
		require.NoError(t, pb.Close(), "not a buffer is missing")
		wg.Wait()
		require.NoError(t, a.Close())
	}
}

func TestSetters(t *testing.T) {
	a, b, err := mem.New(mem.Config{A: mem.EndConfig{Queues: 2}})
	require.NoError(t, err)
	table, err := rss.NewRETA(128, 2)
	require.NoError(t, err)
	for i := range 128 {
		require.NoError(t, table.Set(i, 1))
	}
	require.NoError(t, a.SetRETA(table))
	require.NoError(t, a.SetKey(rss.SymmetricKey))
	require.Equal(t, port.RSS{Key: rss.SymmetricKey, RETA: table}, a.Info().RSS)

	short, err := rss.NewRETA(64, 2)
	require.NoError(t, err)
	wide, err := rss.NewRETA(128, 3)
	require.NoError(t, err)
	require.ErrorIs(t, a.SetRETA(short), port.ErrConfig)
	require.ErrorIs(t, a.SetRETA(wide), port.ErrConfig)
	require.ErrorIs(t, a.SetKey(rss.Key{}), port.ErrConfig)
	require.ErrorIs(t, b.SetRETA(table), port.ErrNotSupported, "has no RSS")
	require.ErrorIs(t, b.SetKey(rss.SymmetricKey), port.ErrNotSupported)

	pool := pbuftest.NewPool(t, pbuf.Config{})
	require.NoError(t, a.Attach(0, pool))
	require.NoError(t, a.Attach(1, pool))
	require.NoError(t, a.Start())
	require.NoError(t, a.SetRETA(table), "a table can be changed at any time")
	require.ErrorIs(t, a.SetKey(rss.SymmetricKey), port.ErrState)
	require.NoError(t, a.Close())
	require.ErrorIs(t, a.SetRETA(table), port.ErrClosed)
	require.ErrorIs(t, a.SetKey(rss.SymmetricKey), port.ErrClosed)
}

// poll asks poll(2) whether a descriptor is readable, for up to ms milliseconds.
func poll(fd, ms int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, ms)
		if err != unix.EINTR {
			return n == 1
		}
	}
}

func TestWaiter(t *testing.T) {
	w := newWire(t, mem.Config{B: mem.EndConfig{Queues: 2}})
	waiter := w.b.Waiter(0)
	require.NotNil(t, waiter)
	require.Equal(t, waiter, w.b.Waiter(0))
	require.NotEqual(t, waiter.FD(), w.b.Waiter(1).FD())

	require.Zero(t, w.b.RxBurst(0, 0, make([]*pbuf.Pbuf, 1)))
	require.True(t, waiter.Arm())
	require.False(t, poll(waiter.FD(), 0))
	flow := flowTo(t, w.b, 0)
	other := flowTo(t, w.b, 1)
	send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, other, 1)))
	require.False(t, poll(waiter.FD(), 0), "that was for queue 1")
	send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, flow, 1)))
	require.True(t, poll(waiter.FD(), 0))
	require.True(t, poll(waiter.FD(), 0), "until RxBurst")
	require.Len(t, recv(w.b, 0, 0), 1)
	require.False(t, poll(waiter.FD(), 0))

	send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, flow, 1)))
	require.False(t, poll(waiter.FD(), 0), "nobody was asleep")
	require.False(t, waiter.Arm(), "there is one already")
	require.Len(t, recv(w.b, 0, 0), 1)
	require.Len(t, recv(w.b, 1, 0), 1)
}

// Notify calls once an Arm, not before and not while nobody sleeps, and leaves
// the descriptor alone until it is taken back.
func TestNotify(t *testing.T) {
	w := newWire(t, mem.Config{B: mem.EndConfig{Queues: 2}})
	calls := 0
	armer := w.b.Notify(0, func() { calls++ })
	require.NotNil(t, armer)
	require.Nil(t, w.b.Notify(2, func() {}), "no such queue")
	flow, other := flowTo(t, w.b, 0), flowTo(t, w.b, 1)
	give := func(flow uint16) { send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, flow, 1))) }

	give(flow)
	require.Zero(t, calls, "not armed")
	require.False(t, armer.Arm(), "there is one already")
	require.Len(t, recv(w.b, 0, 0), 1)
	require.True(t, armer.Arm())
	give(other)
	require.Zero(t, calls, "that was for queue 1")
	give(flow)
	give(flow)
	require.Equal(t, 1, calls, "once an Arm")
	require.Len(t, recv(w.b, 0, 0), 2)
	give(flow)
	require.Equal(t, 1, calls, "RxBurst has ended the armed state")
	require.Len(t, recv(w.b, 0, 0), 1)
	require.Len(t, recv(w.b, 1, 0), 1)

	require.NotNil(t, w.b.Notify(0, nil))
	waiter := w.b.Waiter(0)
	require.True(t, waiter.Arm())
	give(flow)
	require.Equal(t, 1, calls)
	require.True(t, poll(waiter.FD(), 0), "the descriptor's turn again")
	require.Len(t, recv(w.b, 0, 0), 1)
}

func TestNotifyAfterClose(t *testing.T) {
	a, b, err := mem.New(mem.Config{})
	require.NoError(t, err)
	require.NoError(t, a.Close())
	require.Nil(t, a.Notify(0, func() {}))
	require.NoError(t, b.Close())
}

// A delayed frame ends the sleep when it is sent: the thread must learn of its
// time, by NextEvent.
func TestWaiterAndDelay(t *testing.T) {
	w := newWire(t, mem.Config{AtoB: mem.Impairment{Delay: time.Millisecond}})
	waiter := w.b.Waiter(0)
	require.True(t, waiter.Arm())
	send(t, w.a, 0, 500, packet(t, w.pa[0], frame(100, 1, 1)))
	require.True(t, poll(waiter.FD(), 0))
	require.Empty(t, recv(w.b, 0, 600))
	require.True(t, waiter.Arm(), "nothing new")
	require.EqualValues(t, 1_000_500, w.b.NextEvent(0))
	require.Empty(t, recv(w.b, 0, 1_000_499))
	require.Len(t, recv(w.b, 0, 1_000_500), 1)
}
