package shard

import (
	"math"
	"math/bits"
	"time"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/stack"
)

// snapshotEvery is how often a polling shard publishes its statistics, in ns.
// One that falls asleep does so before.
const snapshotEvery = int64(10 * time.Millisecond)

// snapshotFresh is the age up to which they are good enough for a shard that
// falls asleep, which then does not sleep on without publishing newer ones.
const snapshotFresh = int64(time.Millisecond)

// Loop counts what a shard's loop does. All but MaxGap only grow.
type Loop struct {
	Rounds, BusyRounds  uint64
	RxBursts, RxPackets uint64            // taken from ports
	TxBursts, TxPackets uint64            // given to ports, or to a shard that has a queue
	TxRefused           uint64            // frames that a port or ring did not take at once
	HandedOut, HandedIn uint64            // packets given to, got from other shards
	HandedFor           [NumCauses]uint64 // given, by cause; those lost included
	GROFrames           uint64            // frames that software looked at to join them
	GROJoined           uint64            // of these, joined to another
	GROPackets          uint64            // packets of several frames made
	HashWrong           uint64            // hashes of ports found wrong, see Group.Warnings
	MeshFull            uint64            // packets lost: the other shard's ring was full
	MeshNoBuf           uint64            // packets lost: they needed a copy, and no buffer
	MeshCopies          uint64            // packets copied because the stack keeps them
	RelayedOut          uint64            // frames sent through the queue of another shard
	RelayedIn           uint64            // frames of other shards sent
	RelayFull           uint64            // frames of other shards lost: the port is full
	HomeOut, HomeIn     uint64            // freed buffers sent home, come home
	LearnedOut          uint64            // neighbours told
	LearnedIn           uint64            // neighbours that others told
	LearnedLost         uint64            // neighbours not told: far too many at once
	Calls               uint64            // functions run by Do and Call
	Sleeps, Wakeups     uint64            // of the sleeps, those that a doorbell ended
	BusyNanos           uint64            // in rounds that had work
	SleepNanos          uint64
	MaxGapNanos         uint64 // longest time from round to round, sleeps left out
	MaxGapSnapshotNanos uint64 // the same since the snapshot before
	Snapshots           uint64
	Stalls              uint64 // found by the watchdog, see Config.Watchdog
	// Gaps are the times from round to round, sleeps left out, by bucket: number
	// 0 those below 1,024 ns, number i those from 2^(i+9) ns to below 2^(i+10),
	// the last all that are longer. See GapQuantile.
	Gaps [GapBuckets]uint64
}

// GapBuckets is the number of buckets of Loop.Gaps: the last begins at 0.27 s.
const GapBuckets = 20

// gapBucket is the bucket of a gap in ns.
func gapBucket(d int64) int { return min(bits.Len64(uint64(max(d, 0))>>10), GapBuckets-1) }

// GapQuantile is a bound on the shortest time that a share q (0 … 1) of the gaps
// do not exceed: the upper end of the bucket that it falls into, or MaxGapNanos
// if that is less. 0: there were no gaps.
func (l *Loop) GapQuantile(q float64) time.Duration {
	var total, n uint64
	for _, c := range l.Gaps {
		total += c
	}
	want := uint64(math.Ceil(q * float64(total)))
	for i, c := range l.Gaps {
		if n += c; n >= max(want, 1) && total > 0 {
			if i < GapBuckets-1 {
				return time.Duration(min(uint64(1)<<(i+10), l.MaxGapNanos))
			}
			break
		}
	}
	if total == 0 {
		return 0
	}
	return time.Duration(l.MaxGapNanos)
}

// counters are the live ones, with what only the loop needs.
type counters struct {
	Loop
	homeWait int // rounds since buffers were sent home
}

// add adds o's counters to l; the gaps become the longest.
func (l *Loop) add(o *Loop) {
	gap := max(l.MaxGapNanos, o.MaxGapNanos)
	gapSnap := max(l.MaxGapSnapshotNanos, o.MaxGapSnapshotNanos)
	a, b := l.words(), o.words()
	for i := range a {
		a[i] += b[i]
	}
	l.MaxGapNanos, l.MaxGapSnapshotNanos = gap, gapSnap
}

// Snapshot is a copy of a shard's statistics, all of one moment.
type Snapshot struct {
	Shard int   // ID, or -1 in a total
	At    int64 // when, on the clock of the shards
	Stack stack.Stats
	Pool  pbuf.Stats
	Loop  Loop
}

// publish lets other threads see the counters.
func (s *Shard) publish(now int64) {
	s.n.Snapshots++
	s.n.MaxGapNanos = max(s.n.MaxGapNanos, uint64(s.gap))
	s.n.MaxGapSnapshotNanos = uint64(s.gap)
	s.gap = 0
	s.snapAt = now
	if s.gro != nil {
		st := s.gro.gro.Stats()
		s.n.GROFrames, s.n.GROJoined, s.n.GROPackets = st.Frames, st.Joined, st.Packets
	}
	v := &s.snapNext
	v.Shard, v.At = s.id, now
	v.Stack, v.Pool, v.Loop = *s.stack.Stats(), s.pool.Stats(), s.n.Loop
	s.snap.Publish(v)
}

// Snapshot is the shard's statistics as it last published them: at most 10 ms
// ago while it polls, and no more than 1 ms before it fell asleep if it sleeps.
// Any thread; of a Manual group, the thread that steps it, and then it is of
// now.
func (s *Shard) Snapshot() (v Snapshot) {
	if s.g.cfg.Manual {
		s.publish(s.now)
	}
	s.snap.Load(&v)
	v.Loop.Stalls = s.stalls.Load()
	return v
}

// Stats are the statistics of a group.
type Stats struct {
	Shards []Snapshot
	Total  Snapshot // sums, At being the oldest
	Ports  []port.Stats
}

// Stats collects the snapshots of all shards and the counters of the ports. Any
// thread.
func (g *Group) Stats() Stats {
	st := Stats{Total: Snapshot{Shard: -1}}
	for i, s := range g.shards {
		v := s.Snapshot()
		st.Shards = append(st.Shards, v)
		t := &st.Total
		if i == 0 || v.At < t.At {
			t.At = v.At
		}
		t.Stack.Add(&v.Stack)
		t.Loop.add(&v.Loop)
		addPool(&t.Pool, &v.Pool)
	}
	for i := range g.numPorts() {
		st.Ports = append(st.Ports, port.Total(g.port(i).cfg.Port))
	}
	return st
}

func addPool(t, o *pbuf.Stats) {
	for i := range t.Class {
		a, b := &t.Class[i], &o.Class[i]
		a.Cap += b.Cap
		a.Avail += b.Avail
		a.Allocs += b.Allocs
		a.Frees += b.Frees
		a.Failures += b.Failures
		a.Fallbacks += b.Fallbacks
	}
	t.ForeignFrees += o.ForeignFrees
	t.ForeignHeld += o.ForeignHeld
	t.Returned += o.Returned
}
