// Package ring is what two threads of shardstack share: everything else of a
// shard belongs to one thread. All atomics of the data path are in here.
//
//   - SPSC: a bounded queue from one thread to one other, in batches.
//   - Bell: wakes a consumer that went to sleep, once per sleep.
//   - Snapshot: statistics that one thread publishes and any thread reads.
//   - Flag, State, Counter: a stop flag, a word of state, a count.
//
// # Cost
//
// Go's atomics are sequentially consistent. Their loads are plain loads on
// amd64, their stores are XCHG and their additions LOCK XADD, some 20 cycles
// each. SPSC pays one such store for a batch, whatever its size, on each side.
// What is left is cache lines that travel between cores: a slot's line once
// there and once back, and an index line each time one side has to look at how
// far the other is. Each side therefore keeps the other's index as it last saw
// it and looks again only when that is not enough.
//
// # False sharing
//
// Words written by different threads lie at least PadSize bytes apart: two
// cache lines, as the adjacent-line prefetcher of Intel's and AMD's cores
// fetches lines in pairs.
//
// # Memory order
//
// What a thread did before a Push, a Publish or a Set is seen by the thread
// that got the element, the copy or the flag, as with a Go channel: these are
// synchronizing operations of the Go memory model, and the race detector knows
// them as such.
package ring
