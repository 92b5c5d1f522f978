//go:build cgo

package pbuf

import "runtime/cgo"

// notInHeap marks a type whose values never lie in Go's heap, which is true of
// buffers: pools map their memory. The compiler then leaves out the write
// barrier where a *Pbuf is stored, and the collector does not look at it. The
// language has no word for that, but the type that cgo gives to incomplete C
// types means just this; no C is called. Where cgo is off (notinheap.go)
// everything works alike, a few nanoseconds a packet slower.
type notInHeap = cgo.Incomplete
