package rss_test

import (
	"fmt"
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/rss"
)

// Choose a local port for a connection to 192.0.2.1:443 such that the server's
// frames arrive on queue 3.
func ExampleSolver() {
	hasher := rss.NewHasher(rss.DefaultKey)
	reta, err := rss.NewRETA(128, 8)
	if err != nil {
		panic(err)
	}
	solver, err := rss.NewSolver(hasher, reta, 3, 49152, 65535)
	if err != nil {
		panic(err)
	}

	remote := header.FromNetip(netip.MustParseAddr("192.0.2.1"))
	local := header.FromNetip(netip.MustParseAddr("198.51.100.7"))
	inUse := func(port uint16) bool { return port%2 == 0 }
	offset := uint32(0x9e3779b9) // a keyed hash of the flow, plus a counter

	ports := solver.Ports(remote, local, 443)
	n := ports.Count()
	start := offset % max(n, 1)
	for i := range n {
		port := ports.Port(start + i)
		if inUse(port) {
			continue
		}
		hash := hasher.HashTuple(remote, local, 443, port)
		fmt.Println(n, "ports, the first free one leads to queue", reta.Queue(hash))
		break
	}
	// Output: 2048 ports, the first free one leads to queue 3
}
