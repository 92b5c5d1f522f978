package netconn_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/shard"
)

// A server and a client of net/http, each over a stack of its own, at the two
// ends of a wire.
func Example() {
	a, b, err := mem.New(mem.Config{})
	if err != nil {
		panic(err)
	}
	start := func(p port.Port, addr string) (*shard.Group, *netconn.Net) {
		g, err := shard.NewGroup(shard.Config{
			NoPin: true,
			Ports: []shard.PortConfig{{Port: p, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}},
		})
		if err != nil {
			panic(err)
		}
		if err := g.Start(); err != nil {
			panic(err)
		}
		n, err := netconn.New(g, netconn.Config{})
		if err != nil {
			panic(err)
		}
		return g, n
	}
	serverGroup, server := start(a, "10.0.0.1/24")
	clientGroup, client := start(b, "10.0.0.2/24")

	ln, err := server.Listen("tcp", ":80")
	if err != nil {
		panic(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s", r.Host)
	})}
	go srv.Serve(ln)

	hc := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	resp, err := hc.Get("http://10.0.0.1/")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	fmt.Println(string(body))

	// In this order: connections, Nets, groups.
	hc.CloseIdleConnections()
	fmt.Println(srv.Shutdown(context.Background()), client.Close(), server.Close(), clientGroup.Stop(), serverGroup.Stop())
	// Output:
	// hello from 10.0.0.1
	// <nil> <nil> <nil> <nil> <nil>
}
