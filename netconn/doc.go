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
// for somebody who waits, does the shard make a system call: it wakes the lane's
// watcher, which drains in the sleepers' place. Package files wait.go and
// watch.go hold the rules that keep wake-ups from getting lost.
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
// A shard that polls keeps one of Go's processors (P) busy for good. The group
// raises GOMAXPROCS for its shards (shard.Config.KeepProcs); goroutines have
// what is above that. Where the shards of all Nets take as many cores as the
// process has, shards and goroutines have to take turns on them, and the kernel
// gives a core from one to the other: goroutines do not spin there, and
// Adaptive shards poll for some microseconds only (shard.LimitSpin). Spin is
// not for such machines. A round trip is dominated by those turns then; many
// connections at a time share them.
package netconn
