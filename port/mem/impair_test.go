package mem_test

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
)

// oneWay is a wire whose direction from a to b is impaired.
func oneWay(t testing.TB, im mem.Impairment) *testWire {
	t.Helper()
	return newWire(t, mem.Config{AtoB: im, B: mem.EndConfig{QueueLen: 2048}})
}

// event is what came out of the wire when.
type event struct {
	time int64
	seq  uint64
	sum  uint64
}

// simulate sends n frames, one each step nanoseconds, and receives whenever
// NextEvent says so, until nothing is left.
func simulate(t testing.TB, w *testWire, n int, step int64) []event {
	t.Helper()
	var out []event
	take := func(now int64) {
		for _, a := range recv(w.b, 0, now) {
			e := event{time: now}
			if len(a.bytes) >= 50 {
				e.seq = seqOf(a.bytes)
			}
			for _, c := range a.bytes {
				e.sum = e.sum*31 + uint64(c)
			}
			out = append(out, e)
		}
	}
	now := -step
	for i := range n {
		now += step
		for at := w.b.NextEvent(0); at <= now; at = w.b.NextEvent(0) {
			take(max(at, 0))
		}
		send(t, w.a, 0, now, packet(t, w.pa[0], frame(100, 1, uint64(i))))
	}
	for at := w.b.NextEvent(0); at != math.MaxInt64; at = w.b.NextEvent(0) {
		take(max(at, now))
	}
	conserved(t, w.a, w.b)
	return out
}

// The same seed gives the same frames at the same times; another one doesn't.
func TestSameSeedSameResult(t *testing.T) {
	im := mem.Impairment{
		Loss: 0.1, Duplicate: 0.1, Corrupt: 0.1, Reorder: 0.1,
		Delay: time.Millisecond, Jitter: 200 * time.Microsecond, Rate: 100e6, QueueBytes: 3000,
	}
	run := func(seed uint64) ([]event, mem.WireStats) {
		im.Seed = seed
		w := oneWay(t, im)
		return simulate(t, w, 2000, 7000), w.a.Wire()
	}
	first, stats := run(1)
	again, statsAgain := run(1)
	require.Equal(t, first, again)
	require.Equal(t, stats, statsAgain)
	for name, n := range map[string]uint64{
		"lost": stats.Lost, "duplicated": stats.Duplicated, "corrupted": stats.Corrupted,
		"reordered": stats.Reordered, "tail": stats.TailDropped,
	} {
		require.NotZero(t, n, name)
	}
	other, _ := run(2)
	require.NotEqual(t, first, other)
}

// The directions are impaired apart, and don't share random numbers.
func TestDirectionsAreApart(t *testing.T) {
	im := mem.Impairment{Loss: 0.5, Seed: 7}
	w := newWire(t, mem.Config{AtoB: im, BtoA: im})
	var ab, ba []uint64
	for i := range uint64(200) {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(60, 1, i)))
		send(t, w.b, 0, 0, packet(t, w.pb[0], frame(60, 1, i)))
		for range recv(w.b, 0, 0) {
			ab = append(ab, i)
		}
		for range recv(w.a, 0, 0) {
			ba = append(ba, i)
		}
	}
	require.NotEqual(t, ab, ba)
	require.Equal(t, w.a.Wire().Lost, uint64(200-len(ab)))
	require.Equal(t, w.b.Wire().Lost, uint64(200-len(ba)))
}

func TestLossIsAboutItsProbability(t *testing.T) {
	for _, p := range []float64{0, 0.01, 0.5, 1} {
		w := oneWay(t, mem.Impairment{Loss: p})
		got := simulate(t, w, 5000, 0)
		// Five standard deviations.
		dev := 5*math.Sqrt(5000*p*(1-p)) + 0.5
		require.InDelta(t, 5000*(1-p), len(got), dev)
		require.EqualValues(t, 5000-len(got), w.a.Wire().Lost)
	}
}

func TestDuplicate(t *testing.T) {
	w := oneWay(t, mem.Impairment{Duplicate: 1})
	got := simulate(t, w, 100, 1)
	require.Len(t, got, 200)
	for i, e := range got {
		require.EqualValues(t, i/2, e.seq)
		require.Equal(t, got[i/2*2].sum, e.sum)
	}
}

// A corrupted frame differs from what was sent in exactly one bit, anywhere.
func TestCorruptFlipsOneBit(t *testing.T) {
	cfg := mem.EndConfig{MTU: 9000}
	w := newWireWith(t, mem.Config{A: cfg, B: cfg, AtoB: mem.Impairment{Corrupt: 1}}, pbuf.Config{DataRoom: 1024})
	for _, size := range []int{60, 1024, 5000} {
		hit := map[int]bool{}
		for i := range 300 {
			sent := frame(size, 1, uint64(i))
			p := packet(t, w.pa[0], sent)
			p.Ref()
			send(t, w.a, 0, 0, p)
			require.Equal(t, sent, content(p), "what the sender keeps is whole")
			p.Free()
			got := recv(w.b, 0, 0)
			require.Len(t, got, 1)
			flipped := 0
			for j := range sent {
				if d := sent[j] ^ got[0].bytes[j]; d != 0 {
					flipped += bits.OnesCount8(d)
					hit[j*4/size] = true
				}
			}
			require.Equal(t, 1, flipped)
		}
		require.Len(t, hit, 4, "in each quarter of the frame")
	}
	require.EqualValues(t, 900, w.a.Wire().Corrupted)
	conserved(t, w.a, w.b)
}

// A frame arrives Delay after it was sent: not a nanosecond before, and with all
// of those that were sent at its time, in order.
func TestDelayIsExact(t *testing.T) {
	w := oneWay(t, mem.Impairment{Delay: 10 * time.Millisecond})
	for i := range 100 {
		send(t, w.a, 0, int64(i/10), packet(t, w.pa[0], frame(60, 1, uint64(i))))
	}
	for i := range int64(10) {
		due := i + 10_000_000
		require.Equal(t, due, w.b.NextEvent(0))
		require.Empty(t, recv(w.b, 0, due-1))
		got := recv(w.b, 0, due)
		require.Len(t, got, 10)
		for j, a := range got {
			require.EqualValues(t, i*10+int64(j), seqOf(a.bytes))
		}
	}
	require.EqualValues(t, math.MaxInt64, w.b.NextEvent(0))
	conserved(t, w.a, w.b)
}

func TestJitterSpreadsAndOvertakes(t *testing.T) {
	const delay, jitter = 1_000_000, 500_000
	w := oneWay(t, mem.Impairment{Delay: delay, Jitter: jitter})
	got := simulate(t, w, 1000, 1000)
	require.Len(t, got, 1000)
	late, overtaken := map[int64]bool{}, 0
	for i, e := range got {
		d := e.time - int64(e.seq)*1000 - delay
		require.GreaterOrEqual(t, d, int64(0))
		require.LessOrEqual(t, d, int64(jitter))
		late[d*8/(jitter+1)] = true
		if i > 0 && e.seq < got[i-1].seq {
			overtaken++
		}
	}
	require.Len(t, late, 8, "spread over the range")
	require.Greater(t, overtaken, 100)
	require.True(t, slices.IsSortedFunc(got, func(a, b event) int { return int(a.time - b.time) }))
}

// Reorder holds frames up by ReorderBy, and no others.
func TestReorderHoldsUp(t *testing.T) {
	w := oneWay(t, mem.Impairment{Reorder: 0.2, ReorderBy: 5 * time.Microsecond})
	got := simulate(t, w, 1000, 1000)
	held := uint64(0)
	for _, e := range got {
		switch d := e.time - int64(e.seq)*1000; d {
		case 0:
		case 5000:
			held++
		default:
			t.Fatalf("frame %d is %d ns late", e.seq, d)
		}
	}
	require.Equal(t, w.a.Wire().Reordered, held)
	require.InDelta(t, 200, held, 65)
}

// The line sends one frame after the other, at its rate, to the nanosecond over
// many frames.
func TestRateIsExact(t *testing.T) {
	w := oneWay(t, mem.Impairment{Rate: 3e9, QueueBytes: 1 << 20, Delay: 1000})
	// 100 bytes at 3 Gbit/s are 266⅔ ns.
	for i := range 999 {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 1, uint64(i))))
	}
	for i := range int64(999) {
		require.Equal(t, (i+1)*800/3+1000, w.b.NextEvent(0))
		require.Len(t, recv(w.b, 0, w.b.NextEvent(0)), 1)
	}
	// After a pause it starts anew.
	send(t, w.a, 0, 1e9, packet(t, w.pa[0], frame(100, 1, 0)))
	require.EqualValues(t, 1e9+266+1000, w.b.NextEvent(0))
	require.Len(t, recv(w.b, 0, 2e9), 1)
	conserved(t, w.a, w.b)
}

// QueueBytes may wait; what is beyond is dropped, and what has left makes room.
func TestQueueDropsItsTail(t *testing.T) {
	w := oneWay(t, mem.Impairment{Rate: 8e6, QueueBytes: 1000}) // a byte each microsecond
	for i := range 15 {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 1, uint64(i))))
	}
	require.EqualValues(t, 5, w.a.Wire().TailDropped, "ten fit")
	send(t, w.a, 0, 99_000, packet(t, w.pa[0], frame(100, 1, 15)))
	require.EqualValues(t, 6, w.a.Wire().TailDropped)
	send(t, w.a, 0, 100_000, packet(t, w.pa[0], frame(100, 1, 16)))
	require.EqualValues(t, 6, w.a.Wire().TailDropped, "one has left")
	send(t, w.a, 0, 10e9, packet(t, w.pa[0], frame(1500, 1, 17)))
	require.EqualValues(t, 6, w.a.Wire().TailDropped, "an idle line takes any frame")
	require.Len(t, recv(w.b, 0, 20e9), 12)
	conserved(t, w.a, w.b)
}

// A rate far from the clock's and a queue far behind don't overflow.
func TestExtremeRates(t *testing.T) {
	for _, rate := range []uint64{1, 7, 1e9, 1e15, math.MaxUint64} {
		w := oneWay(t, mem.Impairment{Rate: rate, QueueBytes: 1 << 30})
		for i := range 100 {
			send(t, w.a, 0, 0, packet(t, w.pa[0], frame(1500, 1, uint64(i))))
		}
		last := int64(0)
		for range 100 {
			at := w.b.NextEvent(0)
			require.GreaterOrEqual(t, at, last)
			last = at
			require.NotEmpty(t, recv(w.b, 0, at))
			if w.b.NextEvent(0) == math.MaxInt64 {
				break
			}
		}
		want := 100 * 1500 * 8 * 1e9 / float64(rate)
		require.InDelta(t, want, float64(last), want*1e-6+2)
		conserved(t, w.a, w.b)
	}
}

// Senders on queues of their own share the rate.
func TestRateIsShared(t *testing.T) {
	w := newWire(t, mem.Config{A: mem.EndConfig{Queues: 4}, AtoB: mem.Impairment{Rate: 4e9}})
	for q := range 4 {
		for i := range 100 {
			send(t, w.a, q, 0, packet(t, w.pa[q], frame(100, uint16(q), uint64(i))))
		}
	}
	require.Len(t, recv(w.b, 0, 400*200), 400)
	require.Equal(t, port.Stats{RxPackets: 400, RxBytes: 40000}, w.b.Stats(0))
}

// More frames than Limit are not held: memory is bounded.
func TestLimitOfDelayedFrames(t *testing.T) {
	w := oneWay(t, mem.Impairment{Delay: time.Second, Limit: 100})
	for i := range 150 {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(60, 1, uint64(i))))
	}
	require.Empty(t, recv(w.b, 0, 0))
	require.EqualValues(t, 50, w.a.Wire().Overflowed)
	require.Zero(t, w.b.Wire().Overflowed, "that is the other direction")
	require.Len(t, recv(w.b, 0, 1e9), 100)
	conserved(t, w.a, w.b)
}

// Whatever is impaired, and whatever sizes and bursts are used, each frame is
// accounted for and each buffer comes home.
func TestConservation(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for range 20 {
		some := func(x float64) float64 { return x * float64(rng.IntN(2)) }
		im := mem.Impairment{
			Seed: rng.Uint64(), Loss: some(0.2), Duplicate: some(0.5), Corrupt: some(0.3), Reorder: some(0.3),
			Delay: time.Duration(some(1e5)), Jitter: time.Duration(some(1e4)), Rate: uint64(some(1e9)),
		}
		if im.Delay > 0 {
			im.Limit = 50
		}
		cfg := mem.EndConfig{Queues: 1 + rng.IntN(3), MTU: 4000, QueueLen: 64 + rng.IntN(200)}
		w := newWire(t, mem.Config{A: cfg, B: cfg, AtoB: im, BtoA: im})
		now := int64(0)
		for range 100 {
			now += rng.Int64N(20000)
			for q := range cfg.Queues {
				for _, x := range []struct {
					e     *mem.End
					pools []*pbuf.Pool
				}{{w.a, w.pa}, {w.b, w.pb}} {
					var ps []*pbuf.Pbuf
					for range rng.IntN(8) {
						ps = append(ps, chained(t, x.pools[q], frame(50+rng.IntN(4000), uint16(rng.Uint32()), 1), rng, 5000))
					}
					require.Equal(t, len(ps), x.e.TxBurst(q, now, ps))
					if rng.IntN(3) == 0 {
						recv(x.e, q, now)
					}
				}
			}
		}
		for q := range cfg.Queues {
			recv(w.a, q, math.MaxInt64-1)
			recv(w.b, q, math.MaxInt64-1)
		}
		conserved(t, w.a, w.b)
		conserved(t, w.b, w.a)
	}
}
