package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/tap"
)

// openTAP makes the TAP device of o, with so many queues, and brings the
// kernel's end up. Its queues hold what all connections can have under way.
func openTAP(c *command, o *options, queues int) (port.Port, error) {
	p, err := tap.New(tap.Config{
		Name: o.tap, Netns: o.netns, Queues: queues, MTU: o.mtu, Addrs: o.kernelAddr, Up: true,
		QueueLen: sizing(c, o, queues).queue,
	})
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, port.ErrConfig):
		return nil, usagef("%w", err)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w (TAP devices need root, or CAP_NET_ADMIN)", err)
	}
	return nil, err
}
