// Dpdk is an echo server (RFC 862) on a device of DPDK's, with as many shards and
// queues as it is given cores. Build it with the tag dpdk and run it as root:
//
//	go run -tags dpdk ./examples/dpdk --device 0000:01:00.0 --addr 198.18.0.1/24 --coremask 0x6
//
// or, without a card, over a TAP device that DPDK makes:
//
//	go run -tags dpdk ./examples/dpdk --device net_tap0,iface=echo0 --addr 198.18.0.1/24 --corelist 0 &
//	ip addr add 198.18.0.2/24 dev echo0; nc 198.18.0.1 7
package main

import (
	"errors"
	"log"
	"net/netip"
	"os"
	"os/signal"

	"github.com/spf13/pflag"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/dpdk"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// echo is called with what the peer sent; nil: the peer has closed.
func echo(_ any, c *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil {
		return c.Close()
	}
	n := p.TotLen()
	if err := c.WritePbuf(p, 0); err != nil { // owns p when it returns nil
		return err // the stack keeps p and offers it again
	}
	c.Recved(n)
	return nil
}

// listen runs on each shard's thread before its first round.
func listen(s *shard.Shard) error {
	l := s.Stack().NewTCP()
	l.SetAccept(func(_ any, c *stack.TCP, _ error) error { c.SetRecv(echo); return nil })
	return errors.Join(l.Bind(netip.MustParseAddrPort("0.0.0.0:7")), l.Listen(0))
}

func main() {
	cores, err := affinity.Allowed()
	check(err)
	pflag.Var((*affinity.MaskFlag)(&cores), "coremask", "cores, one shard each, as a mask: 0xf is 0 to 3")
	pflag.Var((*affinity.ListFlag)(&cores), "corelist", "cores, one shard each, as a list: 0-3,8")
	device := pflag.String("device", "net_tap0,iface=echo0", "PCI address, or a virtual device of DPDK's")
	addr := pflag.String("addr", "198.18.0.1/24", "our address with its prefix length")
	pflag.Parse()
	ours, err := netip.ParsePrefix(*addr)
	check(err)

	// The environment's arguments are made of the cores. A program that wants
	// others sets EAL.Args.
	check(dpdk.Init(dpdk.EAL{Cores: cores}))
	dev, err := dpdk.Open(dpdk.Config{Device: *device, Queues: cores.Len()})
	check(err)
	g, err := shard.NewGroup(shard.Config{
		Cores: cores,
		Ports: []shard.PortConfig{{Port: dev, Addrs: []netip.Prefix{ours}}},
		Init:  listen,
	})
	check(err)
	check(g.Start())
	log.Printf("echo server on %v, port 7, device %s (%s)", ours.Addr(), dev.Info().Name, dev.Info().Caps)
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	<-interrupt
	check(g.Stop())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
