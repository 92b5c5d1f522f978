package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/shardstack/shardstack/bench/device"
	"github.com/shardstack/shardstack/port"
)

// initDPDK starts DPDK for the cores of o, if the port is a device of its.
func initDPDK(o *options) error {
	err := o.device.InitDPDK(o.cores, 0, strings.Fields(o.eal))
	switch {
	case errors.Is(err, port.ErrNotSupported):
		return fmt.Errorf("--port %v: %w", o.device, err)
	case errors.Is(err, port.ErrConfig):
		return usagef("%w", err)
	}
	return err
}

// openPair opens both ends of a wire in memory that is DPDK's. Queue i of one end
// leads to queue i of the other, so both have the same number.
func openPair(c *command, o *options, shards, farShards int) (near, far port.Port, err error) {
	if err := initDPDK(o); err != nil {
		return nil, nil, err
	}
	return o.device.OpenPair(device.Config{
		Queues: max(shards, farShards), MTU: o.mtu, QueueLen: min(sizing(c, o, shards).queue, maxPairQueue),
	})
}

// maxPairQueue is how many frames are under way on a wire of DPDK's at most: it
// loses none, as the sender waits.
const maxPairQueue = 4096

// openDevice opens the device of o, with so many queues. They hold what all
// connections can have under way. A capture shows frames as they would be on a
// wire: without offloads.
func openDevice(c *command, o *options, queues int) (port.Port, error) {
	if err := initDPDK(o); err != nil {
		return nil, err
	}
	p, err := o.device.Open(device.Config{
		Netns: o.netns, Queues: queues, MTU: o.mtu, KernelAddrs: o.kernelAddr, QueueLen: sizing(c, o, queues).queue,
		NoOffload: o.noOffload || o.pcap != "",
	})
	if errors.Is(err, port.ErrConfig) {
		return nil, usagef("%w", err)
	}
	return p, err
}
