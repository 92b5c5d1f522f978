//go:build !amd64 && !arm64

package stack

import "github.com/shardstack/shardstack/pbuf"

func prefetchPCB(*TCP)              {}
func prefetchPCBs([]*TCP)           {}
func prefetchTimers(*TCP)           {}
func prefetchSlots([]*flowSlot)     {}
func prefetchSegments([]*pbuf.Pbuf) {}
func prefetchArg(any)               {}
