package sim_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/stack/sim"
)

// Two hosts, and a megabyte over a link that is slow, loses frames and queues
// them by flow.
func Example() {
	n, err := sim.New(sim.Config{Seed: 1})
	check(err)
	a, err := n.AddHost(sim.HostConfig{Name: "a"})
	check(err)
	b, err := n.AddHost(sim.HostConfig{Name: "b"})
	check(err)
	_, err = n.Connect(sim.LinkConfig{
		A:  sim.End{Node: a, Addrs: []netip.Prefix{netip.MustParsePrefix("198.18.0.1/24")}},
		B:  sim.End{Node: b, Addrs: []netip.Prefix{netip.MustParsePrefix("198.18.0.2/24")}},
		AB: netem.Config{Rate: 10e6, Delay: 20 * time.Millisecond, Loss: 0.01, Queue: netem.Queue{Kind: netem.FQCoDel}},
		BA: netem.Config{Delay: 20 * time.Millisecond},
	})
	check(err)
	f, err := n.AddFlow(sim.FlowConfig{From: a, To: b, Port: 80, Bytes: 1 << 20})
	check(err)
	fmt.Println(n.Until(time.Minute, f.Ended), f.Received(), f.Err())
	check(n.Close())
	// Output: true 1048576 <nil>
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
