package netem

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// rig is a path with a pool; frames carry their number.
type rig struct {
	*Path
	t    testing.TB
	pool *pbuf.Pool
	n    uint32
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 4096, Buffers: 4096})
	p, err := New(cfg, 1)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return &rig{Path: p, t: t, pool: pool}
}

// frame makes a frame of n bytes that is not IP, with its number in the
// first four.
func (r *rig) frame(n int) *pbuf.Pbuf {
	f := r.pool.Alloc(pbuf.LayerLink, n, pbuf.KindPool)
	require.NotNil(r.t, f)
	b := f.Payload()
	clear(b)
	binary.BigEndian.PutUint32(b, r.n)
	r.n++
	return f
}

// arrival is a frame that came out, and when.
type arrival struct {
	at int64
	id uint32
}

// drain has everything arrive until a time, jumping from event to event.
func (r *rig) drain(end int64) (list []arrival) {
	for at := r.Next(); at <= end; at = r.Next() {
		list = append(list, r.take(at)...)
	}
	return list
}

// take receives what is there at a time.
func (r *rig) take(now int64) (list []arrival) {
	var ps [8]*pbuf.Pbuf
	for n := r.Receive(now, ps[:]); n > 0; n = r.Receive(now, ps[:]) {
		for _, f := range ps[:n] {
			list = append(list, arrival{now, binary.BigEndian.Uint32(f.Payload())})
			f.Free()
		}
	}
	return list
}

func ids(list []arrival) (l []uint32) {
	for _, a := range list {
		l = append(l, a.id)
	}
	return l
}

const ms = int64(time.Millisecond)

func TestZeroConfigPassesAllOn(t *testing.T) {
	r := newRig(t, Config{})
	for range 10 {
		r.Send(5, r.frame(100))
	}
	require.Equal(t, int64(5), r.Next())
	require.Equal(t, []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, ids(r.take(5)))
	require.Equal(t, int64(Forever), r.Next())
	require.Equal(t, Stats{Offered: 10, Delivered: 10, DeliveredBytes: 1000}, r.Stats())
}

func TestBernoulliLoss(t *testing.T) {
	r := newRig(t, Config{Loss: 0.1, Seed: 3})
	const n = 50_000
	for i := range int64(n) {
		r.Send(i, r.frame(60))
		r.take(i)
	}
	st := r.Stats()
	require.InDelta(t, 0.1, float64(st.Lost)/n, 0.005)
	require.Equal(t, uint64(n), st.Lost+st.Delivered)
}

// TestGilbertElliott: part of time in the bad state, and how long a burst is.
func TestGilbertElliott(t *testing.T) {
	r := newRig(t, Config{Burst: GilbertElliott{ToBad: 0.01, ToGood: 0.2}, Seed: 4})
	const n = 100_000
	bursts, lost, was := 0, 0, uint64(0)
	inBurst := false
	for i := range int64(n) {
		r.Send(i, r.frame(60))
		r.take(i)
		now := r.Stats().Lost
		if now != was {
			lost++
			if !inBurst {
				bursts++
			}
		}
		inBurst, was = now != was, now
	}
	require.InDelta(t, 0.01/0.21, float64(lost)/n, 0.004)
	require.InDelta(t, 5, float64(lost)/float64(bursts), 0.3, "mean burst")
}

func TestGilbertElliottLossInBothStates(t *testing.T) {
	r := newRig(t, Config{Burst: GilbertElliott{ToBad: 0.5, ToGood: 0.5, LossGood: 0.1, LossBad: 0.3}, Seed: 5})
	const n = 50_000
	for i := range int64(n) {
		r.Send(i, r.frame(60))
		r.take(i)
	}
	require.InDelta(t, 0.2, float64(r.Stats().Lost)/n, 0.01)
}

func TestDuplicate(t *testing.T) {
	r := newRig(t, Config{Duplicate: 0.25, Seed: 1})
	const n = 4000
	got := 0
	for i := range int64(n) {
		f := r.frame(60)
		f.Payload()[50] = byte(i)
		r.Send(i, f)
		var ps [4]*pbuf.Pbuf
		k := r.Receive(i, ps[:])
		for _, f := range ps[:k] {
			require.Equal(t, byte(i), f.Payload()[50])
			require.Equal(t, uint32(i), binary.BigEndian.Uint32(f.Payload()))
			f.Free()
		}
		got += k
	}
	st := r.Stats()
	require.InDelta(t, 0.25, float64(st.Duplicated)/n, 0.03)
	require.Equal(t, n+int(st.Duplicated), got)
}

func TestCorruptFlipsOneBit(t *testing.T) {
	r := newRig(t, Config{Corrupt: 1})
	seen := map[int]bool{}
	for i := range int64(500) {
		f := r.frame(3000) // a chain
		for j := range 3000 {
			f.PutAt(j, 0)
		}
		f.Flags = pbuf.RxIPCsumGood | pbuf.RxL4CsumGood | pbuf.RxHash
		r.Send(i, f)
		var ps [1]*pbuf.Pbuf
		require.Equal(t, 1, r.Receive(i, ps[:]))
		require.Equal(t, pbuf.RxHash, ps[0].Flags, "nobody vouches for it any more")
		b := make([]byte, 3000)
		ps[0].CopyPartial(b, 0)
		ps[0].Free()
		ones := 0
		for at, v := range b {
			for ; v != 0; v &= v - 1 {
				ones++
				seen[at/300] = true
			}
		}
		require.Equal(t, 1, ones)
	}
	require.Len(t, seen, 10, "all parts of a frame are hit")
	require.Equal(t, uint64(500), r.Stats().Corrupted)
}

func TestDelayAndJitter(t *testing.T) {
	r := newRig(t, Config{Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond, Seed: 1})
	var low, high int64 = 1 << 60, 0
	for i := range int64(2000) {
		r.Send(i*100*ms, r.frame(60))
		for _, a := range r.drain((i + 1) * 100 * ms) {
			low, high = min(low, a.at-i*100*ms), max(high, a.at-i*100*ms)
		}
	}
	require.InDelta(t, 10*ms, low, 1e4)
	require.InDelta(t, 12*ms, high, 1e4)
}

// TestJitterOvertakes: frames come out by time of arrival, each once.
func TestJitterOvertakes(t *testing.T) {
	r := newRig(t, Config{Delay: time.Millisecond, Jitter: time.Millisecond, Seed: 1})
	for i := range int64(1000) {
		r.Send(i*1000, r.frame(60))
	}
	list := r.drain(Forever - 1)
	require.Len(t, list, 1000)
	order, seen := 0, map[uint32]bool{}
	for i, a := range list {
		seen[a.id] = true
		require.False(t, i > 0 && list[i-1].at > a.at)
		if i > 0 && list[i-1].id > a.id {
			order++
		}
	}
	require.Len(t, seen, 1000)
	require.Greater(t, order, 100)
}

func TestReorder(t *testing.T) {
	r := newRig(t, Config{Reorder: 0.1, ReorderBy: 5 * time.Millisecond, Seed: 1})
	late := 0
	for i := range int64(1000) {
		at := i * 10 * ms
		r.Send(at, r.frame(60))
		for _, a := range r.drain(at + 9*ms) {
			if a.at != at {
				require.Equal(t, at+5*ms, a.at)
				late++
			}
		}
	}
	require.Equal(t, late, int(r.Stats().Reordered))
	require.InDelta(t, 100, late, 30)
}

// TestRateToTheNanosecond: the line has no gaps, and fractions of a nanosecond
// don't get lost.
func TestRateToTheNanosecond(t *testing.T) {
	r := newRig(t, Config{Rate: 3_000_000_000, Delay: time.Microsecond})
	for range 300 {
		r.Send(7, r.frame(100)) // 266 2/3 ns each
	}
	list := r.drain(Forever - 1)
	require.Len(t, list, 300)
	for i, a := range list {
		require.Equal(t, 7+1000+int64(i+1)*800/3, a.at)
	}
}

// TestLateCallsChangeNothing: a path that is looked at seldom sends at the same
// times.
func TestLateCallsChangeNothing(t *testing.T) {
	run := func(every int64) (list []arrival) {
		r := newRig(t, Config{Rate: 8_000_000, Delay: 3 * time.Millisecond, Queue: Queue{Packets: 20}, Seed: 2, Loss: 0.05})
		for i := range int64(400) {
			now := i * ms / 2
			r.Send(now, r.frame(1000))
			if i%every == 0 {
				list = append(list, r.take(now)...)
			}
		}
		return append(list, r.drain(Forever-1)...)
	}
	often, seldom := run(1), run(50)
	require.Equal(t, ids(often), ids(seldom))
	require.Greater(t, len(often), 150)
}

func TestDropTail(t *testing.T) {
	bytes := newRig(t, Config{Rate: 8000, Queue: Queue{Bytes: 2500}})
	for range 6 {
		bytes.Send(0, bytes.frame(1000))
	}
	// One is on the line, two fit.
	require.Equal(t, uint64(3), bytes.Stats().QueueFull)
	require.Equal(t, 2000, bytes.Queued())
	require.Equal(t, 3, bytes.Len())
	require.Equal(t, []uint32{0, 1, 2}, ids(bytes.drain(Forever-1)))

	packets := newRig(t, Config{Rate: 8000, Queue: Queue{Packets: 3}})
	for range 6 {
		packets.Send(0, packets.frame(1000))
	}
	require.Equal(t, uint64(2), packets.Stats().QueueFull)

	huge := newRig(t, Config{Rate: 8000, Queue: Queue{Bytes: 10}})
	huge.Send(0, huge.frame(1000))
	huge.Send(0, huge.frame(1000))
	require.Zero(t, huge.Stats().QueueFull, "a queue that is empty takes any frame")
}

func TestLimit(t *testing.T) {
	r := newRig(t, Config{Delay: time.Second, Limit: 5})
	for range 8 {
		r.Send(0, r.frame(60))
	}
	require.Equal(t, uint64(3), r.Stats().Overflowed)
	require.Len(t, r.drain(Forever-1), 5)
}

// TestEveryFrameIsAccountedFor: random paths, random traffic.
func TestEveryFrameIsAccountedFor(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg := Config{Seed: seed, Loss: 0.1, Duplicate: 0.1, Corrupt: 0.1, Reorder: 0.1, Delay: time.Millisecond,
			Jitter: time.Millisecond, Burst: GilbertElliott{ToBad: 0.05, ToGood: 0.5}}
		if rng.IntN(4) > 0 {
			cfg.Rate = 1_000_000 * (1 + rng.Uint64N(200))
			cfg.Queue = Queue{Kind: QueueKind(seed % uint64(numQueueKinds)), Packets: 1 + rng.IntN(200)}
			cfg.Queue.ECN = cfg.Queue.Kind != DropTail && seed%8 > 3
		}
		r := newRig(t, cfg)
		now := int64(0)
		for range 2000 {
			now += rng.Int64N(ms / 5)
			r.Send(now, r.frame(60+rng.IntN(1400)))
			if rng.IntN(3) == 0 {
				r.take(now)
			}
		}
		check := func() {
			st := r.Stats()
			require.Equal(t, st.Offered+st.Duplicated,
				st.Delivered+st.Lost+st.QueueFull+st.EarlyDropped+st.Overflowed+uint64(r.Len()), "seed %d: %+v", seed, st)
		}
		check()
		if seed%2 == 0 {
			r.drain(Forever - 1)
			require.Zero(t, r.Len())
			require.Zero(t, r.Queued())
			check()
		}
	}
}

func TestSameSeedSameFate(t *testing.T) {
	run := func(seed uint64) (list []arrival) {
		r := newRig(t, Config{Seed: seed, Loss: 0.05, Duplicate: 0.05, Reorder: 0.1, Jitter: time.Millisecond, Rate: 10_000_000,
			Queue: Queue{Kind: RED, Bytes: 20_000}})
		for i := range int64(2000) {
			r.Send(i*ms/2, r.frame(700))
		}
		return r.drain(Forever - 1)
	}
	require.Equal(t, run(1), run(1))
	require.NotEqual(t, run(1), run(2))
}

func TestValidate(t *testing.T) {
	require.NoError(t, Config{}.Validate())
	require.NoError(t, Config{Rate: 1, Queue: Queue{Kind: FQCoDel, ECN: true}}.Validate())
	for name, c := range map[string]Config{
		"loss":         {Loss: 1.1},
		"negative":     {Duplicate: -0.1},
		"burst":        {Burst: GilbertElliott{ToBad: 2}},
		"delay":        {Delay: -1},
		"long delay":   {Jitter: 2 * time.Hour},
		"rate":         {Rate: 1e16},
		"limit":        {Limit: -1},
		"queue":        {Queue: Queue{Bytes: 1}},
		"kind":         {Rate: 1, Queue: Queue{Kind: 77}},
		"bytes":        {Rate: 1, Queue: Queue{Bytes: -1}},
		"marks of RED": {Rate: 1, Queue: Queue{Kind: RED, MarkBytes: 3}},
		"ECN":          {Rate: 1, Queue: Queue{ECN: true}},
		"thresholds":   {Rate: 1, Queue: Queue{Kind: RED, MinBytes: 10, MaxBytes: 5}},
		"interval":     {Rate: 1, Queue: Queue{Kind: CoDel, Target: time.Second, Interval: time.Millisecond}},
		"flows":        {Rate: 1, Queue: Queue{Kind: FQCoDel, Flows: -1}},
	} {
		require.ErrorIs(t, c.Validate(), ErrConfig, name)
		_, err := New(c, 0)
		require.ErrorIs(t, err, ErrConfig, name)
	}
}
