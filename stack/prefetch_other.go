//go:build !amd64 && !arm64

package stack

import "github.com/shardstack/shardstack/pbuf"

func prefetchPCB(*TCP)           {}
func prefetchTimers(*TCP)        {}
func prefetchSlot(*flowSlot)     {}
func prefetchSegment(*pbuf.Pbuf) {}
func prefetchArg(any)            {}
