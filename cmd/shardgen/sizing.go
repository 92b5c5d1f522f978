package main

import (
	"math/bits"
	"strings"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/stack"
)

// The sizes of buffers where none are given.
const (
	minBuffers = 8192    // a pool's, in packets of 2 KiB
	maxBuffers = 1 << 18 // 600 MiB if all are used
	maxWindow  = 256 << 10
	minWindow  = 16 << 10
	segment    = 1448 // payload of a packet, about
	maxQueue   = 1 << 16
)

// sizes are what a shard needs for its share of the connections.
type sizes struct {
	pool  pbuf.Config
	tcp   stack.TCPConfig
	queue int // frames that can be under way to a queue of the port
}

// fillsWindows reports whether connections have windows full of data under way,
// rather than a request or its answer.
func (c *command) fillsWindows(o *options) bool {
	return c.windows || strings.HasPrefix(o.path, "/bytes/")
}

// sizing chooses sizes so that what all connections can have under way finds
// room: in a closed loop it all waits in one queue, that of whoever is slower.
func sizing(c *command, o *options, shards int) sizes {
	conns := (o.conns + shards - 1) / shards
	window := int(o.window)
	full := c.fillsWindows(o)
	if window == 0 {
		window = maxWindow
		for full && window > minWindow && conns*(window/segment+1) > maxQueue/4 {
			window /= 2
		}
	}
	flight := 2 + int(min(int64(o.size), int64(window)))/segment // frames a connection, ACK included
	if full {
		flight = window/segment + 1
	}
	s := sizes{queue: min(max(ceilPow2(conns*flight), mem.DefaultQueueLen), maxQueue)}
	s.pool = pbuf.Config{Buffers: o.buffers, Small: minBuffers + 4*conns, Prefault: true}
	if s.pool.Buffers == 0 {
		// Half at most may be posted on the wire; then sent, and received.
		s.pool.Buffers = min(max(minBuffers, 2*s.queue+2*conns*flight), maxBuffers)
	}
	if o.gsoMax > offload.MaxTSO { // segments of up to 8 jumbo buffers
		s.pool.Jumbo = pbuf.DefaultJumbo + 8*min(conns, 256)
	}
	s.tcp = stack.TCPConfig{SendBuf: window, RecvBuf: window, MaxConns: max(2*conns+1024, 1<<16)}
	if int64(window) < int64(o.size) && !full {
		s.tcp.SendBuf = int(min(int64(o.size), 1<<30)) // a request is one write
	}
	return s
}

// ceilPow2 is the least power of two that is not below n > 0.
func ceilPow2(n int) int { return 1 << bits.Len(uint(n-1)) }
