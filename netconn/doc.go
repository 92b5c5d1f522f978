// Package netconn gives ordinary goroutines the connections of package net over
// a group of shards: net.Conn and net.Listener for TCP, net.PacketConn for UDP.
// Programs written for package net, net/http among them, run unchanged.
//
// # Call order
//
//	goroutine                              shard's thread
//	Write   copy into own buffers
//	        push opWrite, wake if asleep → side.Poll → TCPConn.request
//	                                         pcb.WritePbuf, Output
//	Read    drain ← evData, credit       ← side.Poll ← TCPConn.flush ← RecvFunc
//	        copy out
//	        push opRecved (buffer, window) → pcb.Recved, Free
//
// For each shard a [Net] has a lane: a ring of requests, a ring of events, a
// ring of buffers on their way back, a pool for what is written, and a lock for
// the goroutines' side of it all. The two sides share nothing else. A connection
// lives on one shard; listeners and unconnected UDP sockets on all of them.
//
// # Waiting
//
// There is no dispatcher between a ring and a reader. Who finds nothing for
// itself drains the lane's rings into the connections they name and readies
// their goroutines, itself included (leader and followers). The last of those
// that are awake either spins on the ring for a moment, where a core is free for
// that, or sets the lane's bell and sleeps. Only then, and only if an event is
// for somebody who waits, does the shard do more than push: one that is a
// goroutine drains the lane in the sleepers' place and readies them; one with a
// thread makes a system call that wakes the lane's watcher, which does the same.
// Package files wait.go and watch.go hold the rules that keep wake-ups from
// getting lost.
//
// # Flow control
//
// Data that the application has not read stays out of the receive window, so
// that a slow reader closes it. Writers block when they are ahead of the
// acknowledgements by the stack's send buffer, or when the lane's pool is used
// up. Readers so slow that a shard's pool runs low have their data copied to the
// Go heap, where the window bounds it.
//
// # Processors
//
// Where shards and goroutines share the cores, use shard.Config.NoPin: the shards
// are goroutines then, best as many as there are cores, and a round trip is
// goroutines that ready one another, without system calls. A shard stays on the
// processor where it was readied, and so do those that it readies, as long as none
// is without work. A single connection, whose round trips have nothing that could
// run side by side, is fastest with GOMAXPROCS at 1.
//
// A shard with a thread of its own keeps one of Go's processors (P) busy while it
// polls. The group raises GOMAXPROCS for those (shard.Config.KeepProcs);
// goroutines have what is above that. Where such threads take as many cores as
// the process has, they and the goroutines have to take turns on them, and the
// kernel gives a core from one to the other, which dominates a round trip:
// goroutines do not spin there, and Adaptive shards poll for some microseconds
// only (shard.LimitSpin). Spin is not for such machines.
package netconn
