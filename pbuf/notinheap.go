//go:build !cgo

package pbuf

// notInHeap: see notinheap_cgo.go.
type notInHeap struct{}
