// Echo is an echo server (RFC 862) on as many shards as it is given cores,
// behind a TAP device that it makes. As root:
//
//	ip netns add demo
//	go run ./examples/echo --netns demo --coremask 0x3 &
//	ip netns exec demo nc 198.18.0.2 7
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
	"github.com/shardstack/shardstack/port/tap"
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
	netns := pflag.String("netns", "", "network namespace of the device")
	pflag.Parse()

	kernel, ours := netip.MustParsePrefix("198.18.0.1/24"), netip.MustParsePrefix("198.18.0.2/24")
	dev, err := tap.New(tap.Config{Name: "echo0", Netns: *netns, Queues: cores.Len(), Up: true, Addrs: []netip.Prefix{kernel}})
	check(err)
	g, err := shard.NewGroup(shard.Config{
		Cores: cores,
		Ports: []shard.PortConfig{{Port: dev, Addrs: []netip.Prefix{ours}}},
		Init:  listen,
	})
	check(err)
	check(g.Start())
	log.Printf("echo server on %v, port 7", ours.Addr())
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
