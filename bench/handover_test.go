package bench

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/ring"
)

// handed is what BenchmarkHandover hands over: as large as a message of
// netconn's.
type handed [4]uint64

// handoverDepth is the capacity of its ring, that of a shard's mailbox.
const handoverDepth = 1024

// BenchmarkHandover hands elements from one core to another over a ring, a
// batch at a time; an operation is an element. With one core in the mask both
// threads have that, and yield to each other.
func BenchmarkHandover(b *testing.B) {
	list := cores(b).Cores()
	from, to := list[0], list[min(1, len(list)-1)]
	for _, batch := range []int{1, 32} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			r, err := ring.NewSPSC[handed](handoverDepth)
			if err != nil {
				b.Fatal(err)
			}
			wait := func() {}
			if from == to {
				wait = runtime.Gosched
			}
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3)) // pinned threads don't yield to us
			ready := make(chan struct{})
			sent := pinned(from, func() { <-ready; produce(r, batch, b.N, wait) })
			var sum uint64
			got := pinned(to, func() { <-ready; sum = consume(r, batch, b.N, wait) })
			b.ReportAllocs()
			b.ResetTimer()
			close(ready)
			for _, done := range []<-chan error{sent, got} {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if n := uint64(b.N); sum != n*(n-1)/2 {
				b.Fatalf("sum of what arrived: %d, not that of what was sent", sum)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "elements/s")
		})
	}
}

// pinned runs f on a thread bound to a core; the channel gets what went wrong,
// nil when f is done.
func pinned(core int, f func()) <-chan error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the pinned thread ends with us
		err := affinity.Pin(core)
		if err == nil {
			f()
		}
		done <- err
	}()
	return done
}

// produce pushes 0 … n-1.
func produce(r *ring.SPSC[handed], batch, n int, wait func()) {
	out := make([]handed, batch)
	for next := 0; next < n; {
		k := min(batch, n-next)
		for i := range k {
			out[i][0] = uint64(next + i)
		}
		next += k
		for left := out[:k]; len(left) > 0; {
			did := r.PushBatch(left)
			if left = left[did:]; did == 0 {
				wait()
			}
		}
	}
}

// consume takes n elements and adds them up.
func consume(r *ring.SPSC[handed], batch, n int, wait func()) (sum uint64) {
	in := make([]handed, batch)
	for n > 0 {
		k := r.PopBatch(in)
		for i := range k {
			sum += in[i][0]
		}
		if n -= k; k == 0 {
			wait()
		}
	}
	return sum
}
