// Echo is an echo server (RFC 862) on as many shards as it is given cores,
// behind a TAP device that it makes. As root:
//
//	go run ./examples/echo --cores 0,1 &
//	nc 10.9.0.1 7
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

func echo(_ any, c *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil { // the peer closed
		return c.Close()
	}
	n := p.TotLen()
	if err := c.WritePbuf(p, 0); err != nil { // owns p when it returns nil
		return err // p stays with the stack and is offered again
	}
	c.Recved(n)
	return c.Output()
}

func accept(_ any, c *stack.TCP, _ error) error { c.SetRecv(echo); return nil }

// listen runs on each shard's thread before its first round.
func listen(s *shard.Shard) error {
	l := s.Stack().NewTCP()
	l.SetAccept(accept)
	return errors.Join(l.Bind(netip.MustParseAddrPort("0.0.0.0:7")), l.Listen(0))
}

func main() {
	cores, err := affinity.Allowed()
	if err != nil {
		log.Fatal(err)
	}
	pflag.Var((*affinity.MaskFlag)(&cores), "coremask", "cores, one shard each, as a mask: 0xf is 0 to 3")
	pflag.Var((*affinity.ListFlag)(&cores), "cores", "cores, one shard each, as a list: 0-3,8")
	pflag.Parse()
	if err := serve(cores); err != nil {
		log.Fatal(err)
	}
}

// serve serves until Ctrl-C.
func serve(cores affinity.Set) error {
	dev, err := tap.New(tap.Config{Name: "echo0", Queues: cores.Len(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24")}, Up: true})
	if err != nil {
		return err
	}
	g, err := shard.NewGroup(shard.Config{
		Cores: cores,
		Ports: []shard.PortConfig{{Port: dev, Addrs: []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}}},
		Init:  listen,
	})
	if err != nil {
		return err
	}
	if err := g.Start(); err != nil {
		return err
	}
	log.Printf("echo server on 10.9.0.1, port 7, %d shard(s)", cores.Len())
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	<-interrupt
	return g.Stop()
}
