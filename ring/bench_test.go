//go:build linux

package ring

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/internal/testenv"
)

// benchCapacity is the capacity of the rings, and of the channels in elements.
const benchCapacity = 1024

// pinned runs f on a thread of its own that is bound to a core; the channel
// gets what went wrong, or nil when f is done.
func pinned(core int, f func()) <-chan error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		var set unix.CPUSet
		set.Set(core)
		err := unix.SchedSetaffinity(0, &set)
		if err == nil {
			f()
		}
		done <- err
	}()
	return done
}

// duo runs a producer and a consumer on two cores until both return.
func duo(b *testing.B, produce, consume func()) {
	b.Helper()
	cores := testenv.Cores(b, 2)
	ready := make(chan struct{})
	consumer := pinned(cores[1], func() { <-ready; consume() })
	b.ResetTimer()
	producer := pinned(cores[0], func() { close(ready); produce() })
	require.NoError(b, <-producer)
	require.NoError(b, <-consumer)
	b.StopTimer()
}

// benchSPSC moves b.N elements in batches.
func benchSPSC[T any](b *testing.B, batch int) {
	r := newSPSC[T](b, benchCapacity)
	in, out := make([]T, batch), make([]T, batch)
	duo(b, func() {
		for left := b.N; left > 0; {
			left -= r.PushBatch(in[:min(batch, left)])
		}
	}, func() {
		for left := b.N; left > 0; {
			left -= r.PopBatch(out)
		}
	})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/element")
}

// message stands for a small struct without pointers.
type message [3]uint64

func BenchmarkSPSC(b *testing.B) {
	for _, batch := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprintf("uint64/batch=%d", batch), func(b *testing.B) { benchSPSC[uint64](b, batch) })
		b.Run(fmt.Sprintf("struct/batch=%d", batch), func(b *testing.B) { benchSPSC[message](b, batch) })
		b.Run(fmt.Sprintf("pointer/batch=%d", batch), func(b *testing.B) { benchSPSC[*message](b, batch) })
	}
	b.Run("uint64/single", benchSingle)
}

// BenchmarkSPSCOneThread is what the code costs without the journeys of cache
// lines: one thread pushes a batch and pops it.
func BenchmarkSPSCOneThread(b *testing.B) {
	for _, batch := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprintf("uint64/batch=%d", batch), func(b *testing.B) { benchOneThread[uint64](b, batch) })
		b.Run(fmt.Sprintf("pointer/batch=%d", batch), func(b *testing.B) { benchOneThread[*message](b, batch) })
	}
}

func benchOneThread[T any](b *testing.B, batch int) {
	r := newSPSC[T](b, benchCapacity)
	v := make([]T, batch)
	b.ReportAllocs()
	for left := b.N; left > 0; left -= batch {
		r.PushBatch(v)
		r.PopBatch(v)
	}
}

// BenchmarkBell is what a producer pays for a consumer that is awake, and both
// together for one sleep.
func BenchmarkBell(b *testing.B) {
	var bell Bell
	b.Run("awake", func(b *testing.B) {
		for range b.N {
			bell.Ring()
		}
	})
	b.Run("asleep", func(b *testing.B) {
		for range b.N {
			bell.Arm()
			bell.Ring()
			bell.Disarm()
		}
	})
}

// BenchmarkSnapshot is for a T of 512 bytes.
func BenchmarkSnapshot(b *testing.B) {
	type stats [64]uint64
	var snap Snapshot[stats]
	var s stats
	b.Run("publish", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			snap.Publish(&s)
		}
	})
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			snap.Load(&s)
		}
	})
}

// benchSingle moves b.N elements with Push and Pop.
func benchSingle(b *testing.B) {
	r := newSPSC[uint64](b, benchCapacity)
	duo(b, func() {
		for i := range uint64(b.N) {
			for !r.Push(i) {
			}
		}
	}, func() {
		for range b.N {
			for {
				if _, ok := r.Pop(); ok {
					break
				}
			}
		}
	})
}

// BenchmarkChannel is what a Go channel makes of the same batches, between
// goroutines that are locked to threads, as those of shards are. A side that
// has to wait sleeps in the kernel.
func BenchmarkChannel(b *testing.B) {
	b.Run("uint64/batch=1", func(b *testing.B) { benchChannel[[1]uint64](b, 1) })
	b.Run("uint64/batch=8", func(b *testing.B) { benchChannel[[8]uint64](b, 8) })
	b.Run("uint64/batch=32", func(b *testing.B) { benchChannel[[32]uint64](b, 32) })
	b.Run("uint64/batch=128", func(b *testing.B) { benchChannel[[128]uint64](b, 128) })
}

// benchChannel moves b.N elements in arrays A of batch elements.
func benchChannel[A any](b *testing.B, batch int) {
	c := make(chan A, benchCapacity/batch)
	n := (b.N + batch - 1) / batch
	duo(b, func() {
		var in A
		for range n {
			c <- in
		}
	}, func() {
		for range n {
			<-c
		}
	})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/element")
}

// BenchmarkHandOver sends a batch to and fro and reports half of each round
// trip: what it takes until the other core has the batch, nothing queued.
func BenchmarkHandOver(b *testing.B) {
	for _, batch := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprintf("SPSC/batch=%d", batch), func(b *testing.B) {
			there, back := newSPSC[uint64](b, benchCapacity), newSPSC[uint64](b, benchCapacity)
			x, y := make([]uint64, batch), make([]uint64, batch)
			handOver(b,
				func() { there.PushBatch(x); popAll(back, x) },
				func() { popAll(there, y); back.PushBatch(y) })
		})
	}
	b.Run("Channel/batch=1", func(b *testing.B) { handOverChannel[[1]uint64](b) })
	b.Run("Channel/batch=32", func(b *testing.B) { handOverChannel[[32]uint64](b) })
}

// popAll waits until dst is full.
func popAll(r *SPSC[uint64], dst []uint64) {
	for n := 0; n < len(dst); {
		n += r.PopBatch(dst[n:])
	}
}

func handOverChannel[A any](b *testing.B) {
	there, back := make(chan A, 1), make(chan A, 1)
	var v A
	handOver(b, func() { there <- v; <-back }, func() { back <- <-there })
}

// handOver times b.N round trips of ping, which pong answers.
func handOver(b *testing.B, ping, pong func()) {
	h := hdrhistogram.New(1, int64(time.Second), 3)
	duo(b, func() {
		last := time.Now()
		for range b.N {
			ping()
			now := time.Now()
			_ = h.RecordValue(max(1, now.Sub(last).Nanoseconds()/2))
			last = now
		}
	}, func() {
		for range b.N {
			pong()
		}
	})
	b.ReportMetric(float64(h.ValueAtQuantile(50)), "p50-ns")
	b.ReportMetric(float64(h.ValueAtQuantile(99)), "p99-ns")
}
