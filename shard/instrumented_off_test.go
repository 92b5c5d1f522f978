//go:build !race && !pbufdebug

package shard

// instrumented: the race detector or the checks of buffers make all this some
// ten times slower.
const instrumented = false
