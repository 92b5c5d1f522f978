//go:build gc

package shard

import _ "unsafe" // for go:linkname

// goyield lets those goroutines run that wait for the processor (Go's P) that the
// caller runs on, and then the caller again. runtime.Gosched puts the caller into
// the queue of all processors, from which the one that is through first takes it:
// shards would change cores with nearly every round, and PCBs, buffers and what
// goroutines have just copied would travel from cache to cache behind them. A
// processor without work still takes over what waits for another.
//
// The runtime keeps it for others than itself (go.dev/issue/67401).
//
//go:linkname goyield runtime.goyield
func goyield()
