// Package shard runs stacks: one a CPU core, each on a pinned thread of its
// own with its own pool and its own queue of every port. A [Group] is all of
// them; a [Shard] is one. Where shards and the application share the cores, a
// shard can be a goroutine instead (Config.NoPin).
//
// # A round
//
//	now := clock                 once
//	ports: RxBurst, steer        what belongs to another shard goes to the mesh
//	stack.Input                  → callbacks
//	mesh, mailbox, pollers       what other threads sent
//	stack.Poll                   → timers
//	stack.Flush                  → TxBurst
//	mesh out, buffers home       a batch a ring, a doorbell a sleeper
//	nothing done for a while     arm the bell, look once more, sleep
//
// # Threads
//
// The stack, the pool, the interfaces and the pollers of a shard belong to its
// thread. Before Start and after Stop they belong to whoever holds the Group;
// in between, other threads reach them by message: [Shard.Do], [Shard.Call],
// [Group.Do]. Methods that any thread may call say so. With Config.Manual there
// are no threads: [Group.Step] runs a round of each shard on the caller's, at
// whatever time it says.
//
// # Goroutines
//
// With Config.NoPin, shards need no thread. A shard with a core of its own polls
// it, and when it sleeps it does so in ppoll(2), from which it is woken by an
// eventfd: a system call and a change of threads each way, microseconds, spent
// while another core works. Where there is no other core, these are the cost of
// every message. There a shard is an ordinary goroutine, and "thread" in this
// package means that goroutine. It sleeps in Go's scheduler as soon as a round
// finds nothing, is put in line by whoever wakes it, and yields after each round
// with work, so that those run whom it has given some: a chain of changes of
// goroutines, of some hundred nanoseconds each, on one processor or several.
// While a port is full it yields for a millisecond before it sleeps.
//
// What it may not do is the same: what blocks it keeps its connections waiting.
// As it moves from thread to thread, pools aren't bound to one (pbuf.BindThread);
// the race detector finds who else uses them.
//
// # The mesh
//
// Each ordered pair of shards has three SPSC rings: packets that one received
// and the other owns (or is to send), buffers on their way home, and
// neighbours learned. Everything is staged during a round and pushed once at
// its end. A shard that is full loses packets, never neighbours or buffers.
package shard
