package shard

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// Loop.words takes a Loop for an array of uint64.
func TestLoopIsWords(t *testing.T) {
	typ := reflect.TypeFor[Loop]()
	words := 0
	for i := range typ.NumField() {
		f := typ.Field(i).Type
		n := 1
		if f.Kind() == reflect.Array {
			f, n = f.Elem(), f.Len()
		}
		require.Equal(t, reflect.Uint64, f.Kind(), typ.Field(i).Name)
		words += n
	}
	var l Loop
	w := l.words()
	require.Len(t, w, words)
	w[len(w)-1] = 7
	require.EqualValues(t, 7, l.Gaps[GapBuckets-1])
}

func TestGapQuantile(t *testing.T) {
	require.Zero(t, (&Loop{}).GapQuantile(0.99))
	var l Loop
	for _, d := range []int64{0, 1023} {
		require.Zero(t, gapBucket(d))
	}
	require.Equal(t, 1, gapBucket(1024))
	require.Equal(t, 10, gapBucket(1<<20-1))
	require.Equal(t, GapBuckets-1, gapBucket(1<<40))
	require.Zero(t, gapBucket(-5), "the clock of a test may stand still")
	for range 990 {
		l.Gaps[gapBucket(700)]++
	}
	for range 9 {
		l.Gaps[gapBucket(50_000)]++
	}
	l.Gaps[gapBucket(9e8)]++
	l.MaxGapNanos = 9e8
	require.Equal(t, 1024*time.Nanosecond, l.GapQuantile(0.5))
	require.Equal(t, 1024*time.Nanosecond, l.GapQuantile(0.99))
	require.Equal(t, 65536*time.Nanosecond, l.GapQuantile(0.995))
	require.Equal(t, 900*time.Millisecond, l.GapQuantile(1))
	l = Loop{MaxGapNanos: 700, Gaps: [GapBuckets]uint64{5}}
	require.Equal(t, 700*time.Nanosecond, l.GapQuantile(1), "no longer than the longest")
}

func TestLoopAddKeepsTheLongestGap(t *testing.T) {
	a := Loop{Rounds: 1, RxPackets: 10, MaxGapNanos: 5, MaxGapSnapshotNanos: 4}
	a.add(&Loop{Rounds: 2, RxPackets: 20, MaxGapNanos: 3, MaxGapSnapshotNanos: 9})
	require.Equal(t, Loop{Rounds: 3, RxPackets: 30, MaxGapNanos: 5, MaxGapSnapshotNanos: 9}, a)
}

func TestPoolStatsAddUp(t *testing.T) {
	var sum, one pbuf.Stats
	v := reflect.ValueOf(&one).Elem()
	fill(v)
	addPool(&sum, &one)
	addPool(&sum, &one)
	twice(t, v, reflect.ValueOf(sum), "Stats")
}

// fill sets every number to 3.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Int:
		v.SetInt(3)
	case reflect.Uint64:
		v.SetUint(3)
	}
}

// twice checks that every number of sum is twice that of one.
func twice(t *testing.T, one, sum reflect.Value, name string) {
	t.Helper()
	switch one.Kind() {
	case reflect.Struct:
		for i := range one.NumField() {
			twice(t, one.Field(i), sum.Field(i), name+"."+one.Type().Field(i).Name)
		}
	case reflect.Array:
		for i := range one.Len() {
			twice(t, one.Index(i), sum.Index(i), name)
		}
	case reflect.Int:
		require.Equal(t, 2*one.Int(), sum.Int(), name)
	case reflect.Uint64:
		require.Equal(t, 2*one.Uint(), sum.Uint(), name)
	default:
		require.Fail(t, "not added up", "%s is a %v", name, one.Kind())
	}
}

func TestSnapshotsArePublishedWhileItPolls(t *testing.T) {
	cfg := config(2)
	cfg.Idle = Spin
	g := start(t, cfg)
	for _, s := range g.Shards() {
		var last Snapshot
		for range 5 {
			eventually(t, func() bool { return s.Snapshot().Loop.Snapshots > last.Loop.Snapshots }, "it publishes")
			v := s.Snapshot()
			require.Equal(t, s.ID(), v.Shard)
			require.Greater(t, v.At, last.At)
			require.Greater(t, v.Loop.Rounds, last.Loop.Rounds)
			require.Equal(t, testPool.Buffers, v.Pool.Class[pbuf.ClassStandard].Avail)
			last = v
		}
		require.Positive(t, last.Loop.MaxGapNanos)
	}
}

func TestASleepingShardHasPublished(t *testing.T) {
	cfg := config(1)
	cfg.Idle, cfg.MaxSleep = Park, forever
	g := start(t, cfg)
	s := g.Shards()[0]
	require.NoError(t, s.Call(func(s *Shard) error { return nil }))
	eventually(t, func() bool { return s.Snapshot().Loop.Calls == 1 }, "the call is in the statistics")
}

func TestGapIsTheTimeBetweenRounds(t *testing.T) {
	g := start(t, config(1))
	s := g.Shards()[0]
	require.NoError(t, s.Call(func(s *Shard) error {
		for until := Now() + int64(5*time.Millisecond); Now() < until; {
		}
		return nil
	}))
	eventually(t, func() bool {
		return s.Snapshot().Loop.MaxGapNanos >= uint64(5*time.Millisecond)
	}, "a callback that takes long is seen")
	require.GreaterOrEqual(t, s.Snapshot().Loop.BusyNanos, uint64(5*time.Millisecond))
}

func TestStatsTotal(t *testing.T) {
	p := newFakePort(2)
	g := newGroup(t, manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	step(t, g, 5)
	st := g.Stats()
	require.Len(t, st.Shards, 2)
	require.Equal(t, -1, st.Total.Shard)
	require.EqualValues(t, 10, st.Total.Loop.Rounds)
	require.EqualValues(t, 2, st.Total.Stack.ARP.OutRequests, "an announcement each")
	require.EqualValues(t, 2, st.Total.Loop.TxPackets)
	require.Len(t, st.Ports, 1)
	require.Equal(t, 2*testPool.Small, st.Total.Pool.Class[pbuf.ClassSmall].Cap)
}
