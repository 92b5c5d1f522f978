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
// Go's atomics are sequentially consistent. On amd64 their loads are plain
// loads; their stores (XCHG) and additions (LOCK XADD) wait until all earlier
// stores have reached the cache. SPSC pays for one such store a batch on each
// side, whatever the size of the batch. What is left is cache lines that travel
// between cores: a slot's line there and back, and an index's line each time one
// side has to look at how far the other is. So each side keeps the other's index
// as it last saw it and looks again only when that is not enough.
//
// One by one is the worst case: both lines travel for each element. Push in
// batches, and pop with a large dst. Nearly as bad is a side that looks again at
// once when it has found too little: PausePush and PausePop are for those that have
// nothing else to do.
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
