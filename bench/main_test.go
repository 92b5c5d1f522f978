package bench

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/device"
	"github.com/shardstack/shardstack/port"
)

// The command line; doc.go says what the flags mean.
var (
	coreMask    affinity.MaskFlag
	layout      = flag.String("layout", "pairs", "pairs or split")
	meter       = flag.Bool("meter", false, "count all that TCP_INFO has")
	connsList   = flag.String("conns", "", "numbers of connections to run, comma-separated (default: each benchmark's own)")
	portName    = flag.String("port", "mem", "mem, tap:NAME, dpdk:DEVICE or dpdk:pair")
	ealArgs     = flag.String("eal", "", "more arguments for DPDK's environment, separated by blanks")
	to          = flag.String("to", "", "address of the servers, with a port that is not mem")
	netnsName   = flag.String("netns", "", "network namespace of the TAP device")
	addrs       []netip.Prefix
	kernelAddrs []netip.Prefix
	gateway     netip.Addr
)

// far is what -port and -to make of the above; its network is nil for mem.
var far struct {
	network *Outside
	addr    netip.Addr
	wire    func(queues, queueLen int) (client, server port.Port, err error) // nil: the default one
}

func TestMain(m *testing.M) {
	flag.Var(&coreMask, "coremask", "cores to use, as a mask (default: all allowed)")
	flag.Func("addr", "address of the clients with its prefix length; may be given several times", prefixFlag(&addrs))
	flag.Func("kernel-addr", "address of the kernel's end of the TAP device with its prefix length", prefixFlag(&kernelAddrs))
	flag.TextVar(&gateway, "gateway", netip.Addr{}, "where to send what is not on the network of an -addr")
	flag.Parse()
	if err := parseFar(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// benchMB is what DPDK may use where there are no huge pages: the pools for a million
// connections, at both ends.
const benchMB = 12 << 10

// prefixFlag appends to list.
func prefixFlag(list *[]netip.Prefix) func(text string) error {
	return func(text string) error {
		p, err := netip.ParsePrefix(text)
		*list = append(*list, p)
		return err
	}
}

// parseFar reads -port and what goes with it.
func parseFar() error {
	name, err := device.Parse(*portName)
	switch {
	case err != nil:
		return fmt.Errorf("-port: %w", err)
	case name.InMemory() && (*to != "" || len(addrs)+len(kernelAddrs) != 0 || gateway.IsValid() || *netnsName != ""):
		return fmt.Errorf("-to, -addr, -kernel-addr, -gateway and -netns go with -port tap:NAME")
	case name.Pair():
		far.wire = func(queues, queueLen int) (port.Port, port.Port, error) {
			if err := name.InitDPDK(affinity.Set(coreMask), benchMB, strings.Fields(*ealArgs)); err != nil {
				return nil, nil, err
			}
			return name.OpenPair(device.Config{Queues: queues, QueueLen: queueLen})
		}
		return nil
	case name.InMemory():
		return nil
	case len(addrs) == 0:
		return fmt.Errorf("-port %v needs an -addr", name)
	}
	if far.addr, err = netip.ParseAddr(*to); err != nil {
		return fmt.Errorf("-to: %w", err)
	}
	far.network = &Outside{Addrs: addrs, Gateway: gateway, Open: func(queues, queueLen int) (port.Port, error) {
		if err := name.InitDPDK(affinity.Set(coreMask), benchMB, strings.Fields(*ealArgs)); err != nil {
			return nil, err
		}
		return name.Open(device.Config{Netns: *netnsName, Queues: queues, QueueLen: queueLen, KernelAddrs: kernelAddrs})
	}}
	return nil
}

// target is a service of the servers under test.
func target(service uint16) netip.AddrPort {
	if far.network != nil {
		return netip.AddrPortFrom(far.addr, service)
	}
	return server(service)
}

// server is a service at the server's end of a wire.
func server(service uint16) netip.AddrPort { return netip.AddrPortFrom(serverNet.Addr(), service) }

// options are the testbed that the command line asks for.
func options(b *testing.B, conns int) Options {
	b.Helper()
	o := Options{Conns: conns, Cores: cores(b), Outside: far.network, Wire: far.wire}
	switch *layout {
	case "pairs":
	case "split":
		o.Layout = Split
	default:
		b.Fatalf("-layout %q is neither pairs nor split", *layout)
	}
	Tune(&o)
	o.Stack.TCP.Meter = *meter
	return o
}

// cores are those of -coremask.
func cores(b *testing.B) affinity.Set {
	b.Helper()
	set := affinity.Set(coreMask)
	if !set.IsEmpty() {
		return set
	}
	set, err := affinity.Allowed()
	if err != nil {
		b.Fatal(err)
	}
	return set
}

// forConns runs fn for each number of connections.
func forConns(b *testing.B, def []int, fn func(b *testing.B, conns int)) {
	b.Helper()
	if *connsList != "" {
		def = nil
		for _, s := range strings.Split(*connsList, ",") {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 {
				b.Fatalf("-conns %q: want numbers of 1 or more", *connsList)
			}
			def = append(def, n)
		}
	}
	for _, n := range def {
		b.Run(fmt.Sprintf("conns=%d", n), func(b *testing.B) { fn(b, n) })
	}
}

// clientAddrs are the local addresses for n connections to one server port:
// one for each 16,384, or none if the stack's choice will do.
func clientAddrs(n int) (list []netip.Addr) {
	if far.network != nil && len(addrs) == 1 {
		return nil
	}
	if far.network != nil {
		for _, p := range addrs {
			list = append(list, p.Addr())
		}
		return list
	}
	for a := clientNet.Addr(); n > 16384; n, a = n-16384, a.Next() {
		list = append(list, a)
	}
	if list == nil {
		return nil
	}
	return append(list, list[len(list)-1].Next())
}
