package main

import (
	"errors"

	"github.com/shardstack/shardstack/bench/device"
	"github.com/shardstack/shardstack/port"
)

// openDevice opens the device of o, with so many queues. They hold what all
// connections can have under way. A capture shows frames as they would be on a
// wire: without offloads.
func openDevice(c *command, o *options, queues int) (port.Port, error) {
	p, err := o.device.Open(device.Config{
		Netns: o.netns, Queues: queues, MTU: o.mtu, KernelAddrs: o.kernelAddr, QueueLen: sizing(c, o, queues).queue,
		NoOffload: o.noOffload || o.pcap != "",
	})
	if errors.Is(err, port.ErrConfig) {
		return nil, usagef("%w", err)
	}
	return p, err
}
