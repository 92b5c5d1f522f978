package mem_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
)

// worker is a thread that owns queue q of an end: it sends and receives.
type worker struct {
	e    *mem.End
	q    int
	pool *pbuf.Pool
	next map[uint16]uint64 // by flow: the sequence number after the last seen
	bad  []string
}

// check looks at a received frame: whole, in order within its flow, on the queue
// that its hash names.
func (w *worker) check(p *pbuf.Pbuf) {
	b := content(p)
	flow, seq := flowOf(b), seqOf(b)
	if string(b) != string(frame(len(b), flow, seq)) {
		w.bad = append(w.bad, "damaged")
	}
	if seq < w.next[flow] {
		w.bad = append(w.bad, "out of order")
	}
	w.next[flow] = seq + 1
	info := w.e.Info()
	if info.RSS.Enabled() && int(info.RSS.RETA.Queue(p.Hash)) != w.q {
		w.bad = append(w.bad, "wrong queue")
	}
}

// run sends n frames in bursts and receives until done says that all senders
// have ended and nothing more comes.
func (w *worker) run(n int, done *atomic.Int32, workers int32) {
	rng := rand.New(rand.NewPCG(uint64(w.q), 1))
	ps := make([]*pbuf.Pbuf, 32)
	waiter := w.e.Waiter(w.q)
	sent, ended := 0, false
	for {
		last := done.Load() == workers
		got := w.e.RxBurst(w.q, 0, ps)
		for _, p := range ps[:got] {
			w.check(p)
		}
		pbuf.FreeBatch(ps[:got])
		if last && got == 0 {
			return
		}
		k := 0
		for ; k < 1+rng.IntN(16) && sent < n; k++ {
			// Flows differ by sender, so that order can be checked.
			flow := uint16(w.q)<<8 | uint16(sent%5)
			size := 60 + rng.IntN(3)*1500
			p := w.pool.Alloc(pbuf.LayerRaw, size, pbuf.KindRAM)
			if p == nil {
				break
			}
			p.Take(frame(size, flow, uint64(sent)))
			ps[k] = p
			sent++
		}
		w.e.TxBurst(w.q, 0, ps[:k])
		if sent == n && !ended {
			ended = true
			done.Add(1)
		}
		if got == 0 && ended && waiter.Arm() {
			sleep(waiter, 20*time.Millisecond)
		}
		runtime.Gosched()
	}
}

// Threads on all queues of both ends send to each other, under the race
// detector if it is on. Frames arrive whole, each flow in order; what is missing
// is counted.
func TestThreads(t *testing.T) {
	for name, cfg := range map[string]mem.Config{
		"one queue":          {},
		"2 x 3":              {A: mem.EndConfig{Queues: 2, Caps: offload.RSSHash}, B: mem.EndConfig{Queues: 3, Caps: offload.RSSHash}},
		"handed over":        {HandOver: 100},
		"2 x 3, handed over": {HandOver: 1000, A: mem.EndConfig{Queues: 2, Caps: offload.RSSHash}, B: mem.EndConfig{Queues: 3, Caps: offload.RSSHash}},
		"few handed over":    {HandOver: 3, A: mem.EndConfig{QueueLen: 8}, B: mem.EndConfig{QueueLen: 8}},
		"few posted":         {A: mem.EndConfig{QueueLen: 8}, B: mem.EndConfig{QueueLen: 8}},
		"impaired":           {AtoB: mem.Impairment{Loss: 0.1, Duplicate: 0}, BtoA: mem.Impairment{Loss: 0.1}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.A.MTU, cfg.B.MTU = 4000, 4000
			w := newWireWith(t, cfg, pbuf.Config{Small: 1024, Buffers: 1024})
			var workers []*worker
			for q, p := range w.pa {
				workers = append(workers, &worker{e: w.a, q: q, pool: p, next: map[uint16]uint64{}})
			}
			for q, p := range w.pb {
				workers = append(workers, &worker{e: w.b, q: q, pool: p, next: map[uint16]uint64{}})
			}
			var done atomic.Int32
			var wg sync.WaitGroup
			for _, k := range workers {
				wg.Go(func() { k.run(3000, &done, int32(len(workers))) })
			}
			// Anyone may look at the counters meanwhile.
			for done.Load() < int32(len(workers)) {
				require.LessOrEqual(t, port.Total(w.b).RxPackets, uint64(3000*len(w.pa)))
				w.a.Wire()
				w.a.Link()
				runtime.Gosched()
			}
			wg.Wait()
			for _, k := range workers {
				require.Empty(t, k.bad)
			}
			require.EqualValues(t, 3000*len(w.pa), port.Total(w.a).TxPackets)
			conserved(t, w.a, w.b)
			conserved(t, w.b, w.a)
			require.NotZero(t, port.Total(w.b).RxPackets)
		})
	}
}

// Delayed frames are held by the receiver while the sender goes on.
func TestThreadsWithDelay(t *testing.T) {
	im := mem.Impairment{Delay: 50 * time.Microsecond, Jitter: 50 * time.Microsecond, Duplicate: 0.2, Reorder: 0.1, Rate: 10e9}
	w := newWire(t, mem.Config{AtoB: im})
	start := time.Now()
	clock := func() int64 { return int64(time.Since(start)) }
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer stop.Store(true)
		for i := range 5000 {
			p := w.pa[0].Alloc(pbuf.LayerRaw, 100, pbuf.KindRAM)
			p.Take(frame(100, 1, uint64(i)))
			w.a.TxBurst(0, clock(), []*pbuf.Pbuf{p})
		}
	})
	early := 0
	ps := make([]*pbuf.Pbuf, 32)
	for last := false; !last; {
		last = stop.Load()
		now := clock()
		if last {
			now += int64(time.Second)
		}
		for n := 1; n > 0; {
			n = w.b.RxBurst(0, now, ps)
			for _, p := range ps[:n] {
				if p.Time > now {
					early++
				}
			}
			pbuf.FreeBatch(ps[:n])
		}
		runtime.Gosched()
	}
	wg.Wait()
	require.Zero(t, early)
	conserved(t, w.a, w.b)
	require.NotZero(t, w.b.Stats(0).RxPackets)
}

// A receiver that sleeps whenever nothing is there misses no wake-up: it would
// sit in poll for ten seconds, and fail.
func TestSleepingReceiver(t *testing.T) {
	w := newWire(t, mem.Config{})
	const n = 2000
	taken := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			p := w.pa[0].Alloc(pbuf.LayerRaw, 100, pbuf.KindRAM)
			p.Take(frame(100, 1, uint64(i)))
			w.a.TxBurst(0, 0, []*pbuf.Pbuf{p})
			<-taken
		}
	})
	waiter := w.b.Waiter(0)
	ps := make([]*pbuf.Pbuf, 1)
	for got := 0; got < n; {
		if w.b.RxBurst(0, 0, ps) == 0 {
			if waiter.Arm() {
				require.True(t, sleep(waiter, 10*time.Second), "lost wake-up")
			}
			continue
		}
		ps[0].Free()
		got++
		taken <- struct{}{}
	}
	wg.Wait()
}

// No call is lost between two goroutines: the sleeper would wait ten seconds and
// fail.
func TestNotifyTwoThreads(t *testing.T) {
	w := newWire(t, mem.Config{})
	const n = 20000
	taken, called := make(chan struct{}, 1), make(chan struct{}, 1)
	armer := w.b.Notify(0, func() {
		select {
		case called <- struct{}{}:
		default:
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			p := w.pa[0].Alloc(pbuf.LayerRaw, 100, pbuf.KindRAM)
			p.Take(frame(100, 1, uint64(i)))
			w.a.TxBurst(0, 0, []*pbuf.Pbuf{p})
			<-taken
		}
	})
	ps := make([]*pbuf.Pbuf, 1)
	for got := 0; got < n; {
		if w.b.RxBurst(0, 0, ps) == 0 {
			if armer.Arm() {
				select {
				case <-called:
				case <-time.After(10 * time.Second):
					require.Fail(t, "lost call")
				}
			}
			continue
		}
		ps[0].Free()
		got++
		taken <- struct{}{}
	}
	wg.Wait()
}

// sleep waits until the waiter is readable; false if that takes longer than d.
func sleep(w port.Waiter, d time.Duration) bool {
	return poll(w.FD(), int(d/time.Millisecond))
}
