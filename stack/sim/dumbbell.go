package sim

import (
	"fmt"
	"net/netip"

	"github.com/shardstack/shardstack/netem"
)

// DumbbellConfig describes hosts on two sides of a bottleneck.
//
//	left0 ──┐                          ┌── right0
//	left1 ──┤ switch ── Forth ──► switch ├── right1
//	  …     │         ◄── Back ──        │     …
type DumbbellConfig struct {
	// Pairs of hosts, 1 to 1000. Default 1.
	Pairs int
	// Forth and Back are the directions of the bottleneck, from left to right and
	// from right to left.
	Forth, Back netem.Config
	// Access is both directions of every host's own link. Each has random
	// numbers of its own.
	Access netem.Config
	// LeaveSums is that of the hosts' ends.
	LeaveSums bool
	// Host sets up a host. Default: the zero HostConfig. The name is the
	// dumbbell's to choose if it is "".
	Host func(i int, left bool) HostConfig
}

// Dumbbell is a network with hosts on two sides of a bottleneck. Left hosts have
// addresses 198.18.x.y, right ones 198.19.x.y, all on one network.
type Dumbbell struct {
	Left, Right []*Host
	Bottleneck  *Link // A is on the left
}

// AddDumbbell adds a dumbbell's hosts, switches and links.
func (n *Network) AddDumbbell(cfg DumbbellConfig) (*Dumbbell, error) {
	def(&cfg.Pairs, 1)
	if cfg.Pairs < 1 || cfg.Pairs > 1000 {
		return nil, bad("Dumbbell: %d pairs are not in 1 … 1000", cfg.Pairs)
	}
	d := &Dumbbell{}
	west, east := n.AddSwitch("west"), n.AddSwitch("east")
	var err error
	d.Bottleneck, err = n.Connect(LinkConfig{A: End{Node: west}, B: End{Node: east}, AB: cfg.Forth, BA: cfg.Back})
	if err != nil {
		return nil, err
	}
	for i := range cfg.Pairs {
		l, err := n.addLeaf(&cfg, west, i, true)
		if err != nil {
			return nil, err
		}
		r, err := n.addLeaf(&cfg, east, i, false)
		if err != nil {
			return nil, err
		}
		d.Left, d.Right = append(d.Left, l), append(d.Right, r)
	}
	return d, nil
}

// addLeaf adds a host and its link to a switch.
func (n *Network) addLeaf(cfg *DumbbellConfig, at *Switch, i int, left bool) (*Host, error) {
	var hc HostConfig
	if cfg.Host != nil {
		hc = cfg.Host(i, left)
	}
	name, net := "right", byte(19)
	if left {
		name, net = "left", 18
	}
	def(&hc.Name, fmt.Sprint(name, i))
	h, err := n.AddHost(hc)
	if err != nil {
		return nil, err
	}
	addr := netip.AddrFrom4([4]byte{198, net, byte((i + 1) >> 8), byte(i + 1)})
	_, err = n.Connect(LinkConfig{
		A: End{Node: h, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 15)}, LeaveSums: cfg.LeaveSums}, B: End{Node: at},
		AB: cfg.Access, BA: cfg.Access,
	})
	return h, err
}
