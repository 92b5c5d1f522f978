package shard

import (
	"fmt"
	"testing"
	"time"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/pbuf"
)

// BenchmarkIdleRound is what a round costs in which nothing happens.
func BenchmarkIdleRound(b *testing.B) {
	for _, shards := range []int{1, 4, 32} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			bd := newBed(b, bedConfig{wire: wireConfig(shards, 1), shardsA: shards})
			for range 100 {
				bd.step(b)
				bd.now += 1e6
			}
			s := bd.a.shards[0]
			b.ReportAllocs()
			for b.Loop() {
				s.round(Now())
			}
		})
	}
}

// BenchmarkHandOver passes packets to another shard and their buffers back; the
// figure is for one packet, both shards' work together on one core.
func BenchmarkHandOver(b *testing.B) {
	p := newFakePort(1)
	g := newGroup(b, manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	now := int64(1e9)
	if err := g.begin(now); err != nil {
		b.Fatal(err)
	}
	from, to := g.shards[0], g.shards[1]
	arp := arpFrame(header.ARPReply, "10.0.0.1", "10.0.0.9") // dropped early
	const batch = 32
	b.ReportAllocs()
	for i := 0; i < b.N; i += batch {
		for range batch {
			p := from.pool.Alloc(pbuf.LayerLink, len(arp), pbuf.KindPool)
			p.Netif = 1
			from.hand(&from.lanes[0], p, meshInput, CauseNoRSS)
		}
		now += 1000
		from.round(now)
		to.round(now)
	}
}

// BenchmarkRoundTrip is a message of 64 bytes there and back over TCP between
// two shards, each on a core of its own, by idle policy.
func BenchmarkRoundTrip(b *testing.B) {
	cores := testenv.Cores(b, 2)
	for _, policy := range []IdlePolicy{Spin, Adaptive, Park} {
		b.Run(policy.String(), func(b *testing.B) {
			bd := newBed(b, bedConfig{threads: true, edit: func(c *Config, side byte) {
				c.Idle, c.NoPin, c.Shards = policy, false, 0
				c.Cores, _ = affinity.Of(cores[side-'a'])
			}})
			bd.start(b)
			b.ResetTimer()
			cs := bd.serve(b, 1, b.N, 64)
			for cs[0].finished.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			b.StopTimer()
		})
	}
}

// BenchmarkWakeUp has a shard that sleeps run a function, and waits for it: two
// hand-overs.
func BenchmarkWakeUp(b *testing.B) {
	for _, own := range []bool{false, true} {
		b.Run(map[bool]string{false: "goroutine", true: "thread"}[own], func(b *testing.B) {
			cfg := config(1)
			cfg.OwnThread, cfg.Idle = own, Park
			s := start(b, cfg).Shards()[0]
			done := make(chan bool, 1)
			fn := func(*Shard) { done <- true }
			for b.Loop() {
				if err := s.Do(fn); err != nil {
					b.Fatal(err)
				}
				<-done
			}
		})
	}
}
