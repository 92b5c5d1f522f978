//go:build dpdk

// Dpdkown shows how a program that has set up DPDK itself, its environment, a
// device and a mempool, gives the device to shards: it answers pings. All of its
// arguments are DPDK's. As root:
//
//	go run -tags dpdk ./examples/dpdkown -l 0 --no-huge --vdev net_tap0,iface=own0 &
//	ip addr add 198.18.0.2/24 dev own0; ping 198.18.0.1
package main

import (
	"log"
	"net/netip"
	"os"
	"os/signal"

	"github.com/shardstack/shardstack/port/dpdk"
	"github.com/shardstack/shardstack/shard"
)

func main() {
	id, mp, err := setup(os.Args)
	check(err)
	check(dpdk.UseRunning())
	// The device is as the program has set it up: with one queue here. Its frames
	// are received in the program's mempool, whose private area has room for the
	// headers of packets, so nothing is copied.
	dev, err := dpdk.Wrap(id, mp, dpdk.Config{})
	check(err)
	ours := netip.MustParsePrefix("198.18.0.1/24")
	g, err := shard.NewGroup(shard.Config{
		NoPin: true, OwnThread: true,
		Ports: []shard.PortConfig{{Port: dev, Addrs: []netip.Prefix{ours}}},
	})
	check(err)
	check(g.Start())
	log.Printf("%s answers pings to %v", dev.Info().Name, ours.Addr())
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	<-interrupt
	check(g.Stop()) // the device runs on; the program may use it again
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
