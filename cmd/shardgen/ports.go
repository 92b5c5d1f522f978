package main

import (
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
)

// openPorts opens the device of o for so many shards; far is the other end of
// an in-memory wire, nil for a TAP device.
func openPorts(c *command, o *options, shards, farShards int) (near, far port.Port, err error) {
	if o.queues != 0 {
		shards = o.queues
	}
	if !o.device.InMemory() {
		near, err = openDevice(c, o, shards)
		return near, nil, err
	}
	if o.device.Pair() {
		return openPair(c, o, shards, farShards)
	}
	a, b, err := mem.New(mem.Config{A: wireEnd("client", c, o, shards), B: wireEnd("server", c, o, farShards)})
	if err != nil {
		return nil, nil, err
	}
	return a, b, nil
}

// wireEnd describes an end of the in-memory wire. The wire keeps frames whole,
// so it claims to do checksums, as cards do; with a capture, whose reader wants
// to see them, they are computed.
func wireEnd(name string, c *command, o *options, queues int) mem.EndConfig {
	cfg := mem.EndConfig{
		Name: name, Queues: queues, MTU: o.mtu, QueueLen: sizing(c, o, queues).queue,
		Caps: offload.TxCsum | offload.RxCsum | offload.RSSHash,
	}
	if o.pcap != "" || o.noOffload {
		cfg.Caps = offload.RSSHash
	}
	return cfg
}
