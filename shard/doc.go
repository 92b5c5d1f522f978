// Package shard runs stacks: one a CPU core, each on a pinned thread of its
// own with its own pool and its own queue of every port. A [Group] is all of
// them; a [Shard] is one.
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
// # The mesh
//
// Each ordered pair of shards has three SPSC rings: packets that one received
// and the other owns (or is to send), buffers on their way home, and
// neighbours learned. Everything is staged during a round and pushed once at
// its end. A shard that is full loses packets, never neighbours or buffers.
package shard
