package shard

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkIdleCPU is the CPU time that two shards without work take, in per cent
// of a core, by idle policy. How long they take to wake is BenchmarkRoundTrip.
func BenchmarkIdleCPU(b *testing.B) {
	used := func() time.Duration {
		var r unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	for _, policy := range []IdlePolicy{Spin, Adaptive, Park} {
		b.Run(policy.String(), func(b *testing.B) {
			bd := newBed(b, bedConfig{threads: true, edit: func(c *Config, _ byte) { c.Idle = policy }})
			bd.start(b)
			time.Sleep(50 * time.Millisecond) // announcements are sent
			const window = 300 * time.Millisecond
			before := used()
			time.Sleep(window)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(100*float64(used()-before)/float64(window), "%cpu")
		})
	}
}
