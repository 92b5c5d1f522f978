package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/device"
	"github.com/shardstack/shardstack/offload"
)

// options are what the command line says.
type options struct {
	// Cores.
	cores  affinity.Set
	idle   idleValue
	events coreEvents

	// Port.
	port       string
	addrs      prefixes
	kernelAddr prefixes
	gateway    addrValue
	family     int
	autoconf   bool
	netns      string
	eal        string
	queues     int
	mtu        int
	noOffload  bool
	gso        gsoValue
	gro        groValue
	gsoMax     bytesValue
	groMax     bytesValue

	// Load.
	to       string
	conns    int
	duration time.Duration
	size     bytesValue
	rate     rateValue
	count    countValue
	path     string
	echo     bool
	body     bytesValue

	// Stack.
	timeWait time.Duration
	fastOpen bool
	window   bytesValue
	buffers  int
	seed     seedValue

	// Output.
	json     bool
	interval time.Duration
	pcap     string
	profile  string // of the CPU

	// Made of the above by check.
	device device.Name    // of port
	target netip.AddrPort // of to
}

// errUsage marks errors of the command line.
var errUsage = errors.New("usage")

func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUsage}, args...)...)
}

// The addresses where none are given. On the in-memory wire the server has
// the first; on a TAP device the stack has it and the kernel the second.
var (
	firstAddr  = netip.MustParsePrefix("10.9.0.1/24")
	secondAddr = netip.MustParsePrefix("10.9.0.2/24")
)

// The same with --family 6 (RFC 3849).
var (
	firstAddr6  = netip.MustParsePrefix("2001:db8:9::1/64")
	secondAddr6 = netip.MustParsePrefix("2001:db8:9::2/64")
)

// ends are the two addresses of the family that is asked for.
func (o *options) ends() (first, second netip.Prefix) {
	if o.family == 6 {
		return firstAddr6, secondAddr6
	}
	return firstAddr, secondAddr
}

// flagGroup is a part of the help text.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// flagGroups declares the flags that command c has, with its defaults.
func (o *options) flagGroups(c *command) []flagGroup {
	group := func(title string, fill func(f *pflag.FlagSet)) flagGroup {
		f := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
		f.SortFlags = false
		fill(f)
		return flagGroup{title, f}
	}
	return []flagGroup{
		group("Load", func(f *pflag.FlagSet) { o.loadFlags(f, c) }),
		group("Cores", o.coreFlags),
		group("Port", func(f *pflag.FlagSet) { o.portFlags(f, c) }),
		group("Stack", o.stackFlags),
		group("Output", o.outputFlags),
	}
}

func (o *options) loadFlags(f *pflag.FlagSet, c *command) {
	d := c.defaults
	o.size, o.rate, o.conns = bytesValue(d.size), rateValue(d.rate), d.conns
	if c.has(flagTo) {
		f.StringVar(&o.to, "to", "", fmt.Sprintf("the server, address or address:port (default port %d); with --port mem its own", d.port))
	}
	if c.has(flagConns) {
		f.IntVar(&o.conns, "conns", d.conns, "how many run at a time, over all shards")
	}
	if c.has(flagDuration) {
		f.DurationVar(&o.duration, "duration", d.duration, "how long; 0: until --count or Ctrl-C")
	}
	if c.has(flagSize) {
		f.Var(&o.size, "size", d.sizeHelp)
	}
	if c.has(flagRate) {
		f.Var(&o.rate, "rate", "most operations a second, over all shards; 0: as many as go")
	}
	if c.has(flagCount) {
		f.Var(&o.count, "count", "end after so many operations; 0: no end")
	}
	if c.has(flagPath) {
		f.StringVar(&o.path, "path", "/", "what to ask the server for")
	}
	if c.has(flagEcho) {
		f.BoolVar(&o.echo, "echo", false, "send to port 7, which returns datagrams: latency, and loss of the round trip")
	}
	if c.has(flagBody) {
		o.body = 64
		f.Var(&o.body, "body", "bytes of the HTTP answer to \"/\"")
	}
}

func (o *options) coreFlags(f *pflag.FlagSet) {
	f.Var((*affinity.MaskFlag)(&o.cores), "coremask", "cores, one shard each, as a hex mask: 0xf is 0 to 3 (default all allowed)")
	f.Var((*affinity.ListFlag)(&o.cores), "corelist", "cores, one shard each, as a list: 0-3,8; --cores is the same")
	f.Var(&o.idle, "idle", "what a shard does without work: spin (never sleeps), adaptive (polls a while, then sleeps), park (sleeps at once)")
	f.Var(coreFlag{&o.events, false}, "drain-core", "give the core's new connections to the others at a time after the start, as 1@5s; its old ones stay until they end; may be given several times")
	f.Var(coreFlag{&o.events, true}, "add-core", "add a core that was drained back at a time, as 1@10s")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "cores" {
			name = "corelist"
		}
		return pflag.NormalizedName(name)
	})
}

func (o *options) portFlags(f *pflag.FlagSet, c *command) {
	f.StringVar(&o.port, "port", c.defaults.device, "mem: an in-memory wire with a server of our own at its other end; tap:NAME: a TAP device, made if need be; dpdk:DEVICE: a PCI address or virtual device of DPDK's, dpdk:pair: as mem, but over DPDK's rings (build with -tags dpdk)")
	f.Var(&o.addrs, "addr", "address of the stack, with its prefix length; may be given several times (default "+secondAddr.String()+" with mem, "+firstAddr.String()+" with tap)")
	f.BoolVar(&o.autoconf, "autoconf", false, "get IPv6 addresses and routers from the link, too")
	f.IntVar(&o.family, "family", 4, "IP version of the addresses where none are given: 4, or 6 for "+firstAddr6.String()+" and "+secondAddr6.String())
	f.Var(&o.kernelAddr, "kernel-addr", "address of the kernel's end of a TAP device (default "+secondAddr.String()+" if --addr is not given either)")
	f.Var(&o.gso, "gso", "TCP segments of up to 64 KiB: auto (if the port cuts them), always (cut in software else), never")
	f.Var(&o.gro, "gro", "join arriving segments in software where the port doesn't: auto (while it pays), always, never")
	f.Var(&o.gsoMax, "gso-max", "longest TCP segment that --gso sends, 64K to 512K: more than 64K is BIG TCP, in jumbograms with --family 6 (default 64K)")
	f.Var(&o.groMax, "gro-max", "longest packet that --gro makes of TCP segments, 64K to 512K (default 64K)")
	f.Var(&o.gateway, "gateway", "where to send what is not on the network of an --addr")
	f.StringVar(&o.netns, "netns", "", "network namespace of the TAP device, as ip netns knows it")
	f.StringVar(&o.eal, "eal", "", "more arguments for DPDK's environment, separated by blanks, as '--iova-mode=pa -m 2048'")
	f.IntVar(&o.queues, "queues", 0, "queues of the port (default one a shard)")
	f.IntVar(&o.mtu, "mtu", 1500, "largest IP packet in bytes, 576 to 65535")
	f.BoolVar(&o.noOffload, "no-offload", false, "no checksums and no segmentation by the port, to compare with: a TAP device without virtio headers")
	f.StringVar(&o.pcap, "pcap", "", "write all frames to this file, for Wireshark")
}

func (o *options) stackFlags(f *pflag.FlagSet) {
	f.DurationVar(&o.timeWait, "time-wait", 0, "how long a connection that we closed first keeps its port. The default of none suits a generator but not RFC 9293 3.6.1, which wants 4 minutes")
	f.BoolVar(&o.fastOpen, "fast-open", false, "TCP Fast Open (RFC 7413): servers take data of SYNs, and cps sends its request with the SYN once it has a cookie")
	f.Var(&o.window, "window", "send and receive buffer of a connection (default 256K, less with many connections)")
	f.IntVar(&o.buffers, "buffers", 0, "packet buffers of 2 KiB a shard (default by the number of connections)")
	f.Var(&o.seed, "seed", "seed of ports and sequence numbers (default a new one each run; the report says which)")
}

func (o *options) outputFlags(f *pflag.FlagSet) {
	f.DurationVar(&o.interval, "interval", time.Second, "how often the live line comes, on standard error; 0: never")
	f.BoolVar(&o.json, "json", false, "print the report as one JSON object")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the run to this file, for go tool pprof")
}

// parse reads and checks the flags of c.
func (o *options) parse(c *command, args []string) error {
	all := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	all.Usage = func() {}
	for _, g := range o.flagGroups(c) {
		if n := g.flags.GetNormalizeFunc(); n != nil {
			all.SetNormalizeFunc(n)
		}
		all.AddFlagSet(g.flags)
	}
	if err := all.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		return usagef("%w", err)
	}
	if all.NArg() > 0 {
		return usagef("%s takes flags only, not %q", c.name, all.Arg(0))
	}
	if o.seed.set && o.seed.n == 0 {
		return usagef("--seed 0 is no seed")
	}
	return o.check(c)
}

// check finds contradictions and fills in what follows from others.
func (o *options) check(c *command) error {
	switch {
	case o.conns < 1 || o.conns > 10_000_000:
		return usagef("--conns %d is outside 1 … 10000000", o.conns)
	case o.duration < 0 || o.interval < 0 || o.timeWait < 0:
		return usagef("a negative duration")
	case o.size > 1<<40:
		return usagef("--size %v is over 1024G", &o.size)
	case o.size == 0 && c.has(flagSize):
		return usagef("--size 0")
	case o.mtu < 576 || o.mtu > 65535:
		return usagef("--mtu %d is outside 576 … 65535", o.mtu)
	case o.queues < 0 || o.queues > 256:
		return usagef("--queues %d is outside 0 … 256", o.queues)
	case badBig(o.gsoMax):
		return usagef("--gso-max %v is outside 64K … 512K", &o.gsoMax)
	case badBig(o.groMax):
		return usagef("--gro-max %v is outside 64K … 512K", &o.groMax)
	case o.buffers < 0:
		return usagef("--buffers %d", o.buffers)
	case o.window != 0 && (o.window < 2048 || o.window > 1<<30):
		return usagef("--window %v is outside 2K … 1G", &o.window)
	case c.has(flagPath) && (!strings.HasPrefix(o.path, "/") || strings.ContainsAny(o.path, " \r\n")):
		return usagef("--path %q: want a path that begins with / and has no blanks", o.path)
	}
	if err := o.checkPort(c); err != nil {
		return err
	}
	if err := o.checkTarget(c); err != nil {
		return err
	}
	if err := o.checkCores(); err != nil {
		return err
	}
	return o.checkEvents(c)
}

// badBig reports whether n is not 0, for the default, and no length of segments.
func badBig(n bytesValue) bool { return n != 0 && (n < offload.MaxTSO || n > offload.MaxBig) }

// checkCores takes the cores that are given, or all that the process may use.
func (o *options) checkCores() error {
	if o.cores.IsEmpty() {
		all, err := affinity.Allowed()
		if err != nil {
			return err
		}
		o.cores = all
		return nil
	}
	if err := o.cores.Validate(); err != nil {
		return usagef("%w", err)
	}
	return nil
}

// checkPort reads --port and what goes with it.
func (o *options) checkPort(c *command) error {
	if o.port == "" && (c.name == "ports" || c.name == "doctor") {
		return nil // all of them, or none
	}
	if o.port == "" {
		return usagef("%s needs a --port, as tap:gen0", c.name)
	}
	var err error
	if o.device, err = device.Parse(o.port); err != nil {
		return usagef("--port: %w", err)
	}
	if o.device.InMemory() && c.name == "serve" {
		return usagef("serve waits for others to come, and nobody comes over --port %v; use tap:NAME", o.device)
	}
	if o.device.InMemory() {
		for name, given := range map[string]bool{
			"--netns": o.netns != "", "--kernel-addr": len(o.kernelAddr) != 0, "--gateway": o.gateway != addrValue{},
		} {
			if given {
				return usagef("%s goes with --port tap:NAME only", name)
			}
		}
	}
	if o.eal != "" && !o.device.DPDK() {
		return usagef("--eal goes with --port dpdk:DEVICE only")
	}
	if len(o.kernelAddr) != 0 && !o.device.Kernel() {
		return usagef("--kernel-addr goes with --port tap:NAME only")
	}
	return o.defaultAddrs()
}

// defaultAddrs fills in addresses that are not given.
func (o *options) defaultAddrs() error {
	if o.family != 4 && o.family != 6 {
		return usagef("--family %d is neither 4 nor 6", o.family)
	}
	first, second := o.ends()
	switch {
	case o.device.InMemory() && len(o.addrs) == 0:
		o.addrs = prefixes{second}
	case !o.device.InMemory() && len(o.addrs) == 0:
		if len(o.kernelAddr) != 0 {
			return usagef("--kernel-addr without --addr")
		}
		o.addrs = prefixes{first}
		if o.device.Kernel() {
			o.kernelAddr = prefixes{second}
		}
	}
	for _, p := range o.addrs {
		if o.device.InMemory() && !p.Contains(first.Addr()) {
			return usagef("--addr %v: the server on the in-memory wire is %v", p, first.Addr())
		}
		if o.device.InMemory() && p.Addr() == first.Addr() {
			return usagef("--addr %v is that of the server on the in-memory wire", p)
		}
	}
	return nil
}

// checkTarget reads --to.
func (o *options) checkTarget(c *command) error {
	if !c.has(flagTo) {
		return nil
	}
	port := c.defaults.port
	if o.echo {
		port = c.defaults.echoPort
	}
	switch {
	case o.to == "" && o.device.InMemory():
		first, _ := o.ends()
		o.target = netip.AddrPortFrom(first.Addr(), port)
		return nil
	case o.to == "" && len(o.kernelAddr) != 0:
		o.target = netip.AddrPortFrom(o.kernelAddr[0].Addr(), port)
		return nil
	case o.to == "":
		return usagef("%s needs --to", c.name)
	}
	if a, err := netip.ParseAddr(o.to); err == nil {
		o.target = netip.AddrPortFrom(a, port)
	} else if o.target, err = netip.ParseAddrPort(o.to); err != nil {
		return usagef("--to %q is neither an address nor address:port", o.to)
	}
	return nil
}
