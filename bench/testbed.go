package bench

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// Layout says how client and server shards share the cores.
type Layout int

const (
	// Pairs: each core has a wire of its own with a client shard at one end
	// and a server shard at the other, stepped in turn. No packet leaves its
	// core: what N cores do is N times what one does, caches aside.
	Pairs Layout = iota
	// Split: one wire; the first half of the cores run the clients' group, the
	// second half the servers'. Each packet goes from core to core.
	Split
)

// Offload says who cuts and joins segments on the in-memory wire, and who sums.
type Offload int

const (
	// OffloadNone: nobody; every packet fits the MTU as TCP made it, and both
	// ends sum in software.
	OffloadNone Offload = iota
	// OffloadSoft: package offload, before the wire and behind it, and it sums.
	OffloadSoft
	// OffloadPort: the wire, as cards do; between two ends that both can, packets
	// stay whole and are not summed.
	OffloadPort
)

// caps are those of the wire's ends.
func (o Offload) caps() offload.Caps {
	if o == OffloadPort {
		return offload.TxCsum | offload.RxCsum | offload.TSO | offload.USO | offload.LRO | offload.UDPLRO
	}
	return 0
}

// Addresses of the two ends of every wire.
var (
	clientNet = netip.MustParsePrefix("198.18.0.1/15")
	serverNet = netip.MustParsePrefix("198.19.0.1/15")

	clientNet6 = netip.MustParsePrefix("2001:db8::1/64")
	serverNet6 = netip.MustParsePrefix("2001:db8::ffff:1/64")
)

// Options describe a Testbed.
type Options struct {
	Cores  affinity.Set
	Layout Layout
	Conns  int // in all; sizes pools and rings
	MTU    int // default 1500
	// Offload of the in-memory wire. A real port does what it can.
	Offload Offload
	// GSOMax, with OffloadPort, is stack.TCPConfig.GSOMax; the wire takes such
	// packets whole (BIG TCP).
	GSOMax int
	// GROMax, with OffloadSoft, is shard.Config.GROMax.
	GROMax int
	// Bulk says that all connections send as much as they can, for Tune.
	Bulk bool
	// HandOver is mem.Config.HandOver: frames go by reference, as over Linux's veth
	// and gVisor's pipe.
	HandOver int
	// Burst is shard.Config.Burst.
	Burst int
	// Write and InFlight are Size and InFlight of load.Config, for loads of bulk.
	Write, InFlight int
	// IPv6 gives both ends of the wire IPv6 addresses, too.
	IPv6 bool
	// Backlog of each listener of a server shard. Default 65536.
	Backlog int
	Stack   stack.Config
	// Outside has the clients use a real port, with the servers elsewhere.
	// Layout does not apply then.
	Outside *Outside
	// Wire makes the wire between client and server, each end with so many queues
	// of so many frames. Default: package port/mem's, which pauses.
	Wire func(queues, queueLen int) (client, server port.Port, err error)
	// Client makes the load of one client shard, conns being its part of
	// Conns.
	Client func(s *stack.Stack, conns int) load.Client
}

// Testbed is a set of running client and server shards.
type Testbed struct {
	opt    Options
	cores  []int
	groups []*shard.Group // each wire's client group, then its server group
	ports  []port.Port
	mu     sync.Mutex // of ends while the shards start
	ends   []*end
	stop   ring.Flag
	warm   ring.Flag    // see Warm
	cold   atomic.Int64 // clients that have not seen it
	wg     sync.WaitGroup
	err    atomic.Error
	procs  int // GOMAXPROCS before
}

// Totals are counters of shards, read while they run.
type Totals struct {
	Client, Server load.Counters
	Stack          stack.Stats // of both ends
}

// Add adds o to t.
func (t *Totals) Add(o *Totals) {
	t.Client.Add(&o.Client)
	t.Server.Add(&o.Server)
	t.Stack.Add(&o.Stack)
}

// end is the load of one shard: a client or a server. As the shard's Poller it
// publishes the counters now and then.
type end struct {
	s      *shard.Shard
	client load.Client
	server *load.Server
	tb     *Testbed
	warm   bool // the client's latencies are those since Testbed.Warm
	rounds int
	now    Totals
	snap   ring.Snapshot[Totals]
}

const publishEvery = 64 // rounds

// Poll drives the client.
func (e *end) Poll(now int64) (n int) {
	if e.client != nil {
		n = e.client.Poll(now)
	}
	if e.rounds++; e.rounds%publishEvery == 0 {
		e.publish()
	}
	return n
}

// Next: the shards spin.
func (e *end) Next() int64 { return 0 }

func (e *end) publish() {
	if e.client != nil {
		e.now.Client = *e.client.Counters()
		if !e.warm && e.tb.warm.IsSet() {
			e.warm = true
			e.client.Latency().Reset()
			e.tb.cold.Dec()
		}
	} else {
		e.now.Server = *e.server.Counters()
	}
	e.now.Stack = *e.s.Stack().Stats()
	e.snap.Publish(&e.now)
}

// New builds a testbed and starts it; the clients begin to connect.
func New(opt Options) (*Testbed, error) {
	if opt.MTU == 0 {
		opt.MTU = 1500
	}
	if opt.Backlog == 0 {
		opt.Backlog = 1 << 16
	}
	n := opt.Cores.Len()
	if n == 0 || opt.Layout == Split && opt.Outside == nil && n < 2 {
		return nil, fmt.Errorf("bench: %d cores are too few", n)
	}
	tb := &Testbed{opt: opt, cores: opt.Cores.Cores()}
	// The pinned threads never yield: this goroutine needs a P of its own.
	tb.procs = runtime.GOMAXPROCS(n + 1)
	start := tb.startPairs
	switch {
	case opt.Outside != nil:
		start = tb.startOutside
	case opt.Layout == Split:
		start = tb.startSplit
	}
	if err := start(); err != nil {
		_ = tb.Close()
		return nil, err
	}
	return tb, nil
}

// wire makes the two groups at the ends of a wire. conns is the number of
// connections of each client shard.
func (tb *Testbed) wire(queues int, c, s shard.Config, conns func(id int) int) (cg, sg *shard.Group, err error) {
	// Deep rings would cycle through more buffers than the second-level cache
	// holds; pausing makes shallow ones lose nothing. Between two cores they
	// have to be deeper, to bridge what the other one does meanwhile.
	depth := 128
	if tb.opt.Layout == Split {
		depth = 2048
	} else if tb.opt.Burst > 64 {
		depth = 2 * tb.opt.Burst
	}
	if tb.opt.GSOMax != 0 {
		depth = max(depth, 1024) // a packet is a few hundred buffers
	}
	a, b, err := tb.openWire(queues, depth)
	if err != nil {
		return nil, nil, err
	}
	tb.ports = append(tb.ports, a, b)
	for _, x := range []*shard.Config{&c, &s} {
		n := conns(0)
		x.Pool = pbuf.Config{Small: 32768 + 4*n, Buffers: 16384 + min(n*64, 1<<16), Jumbo: 8}
		x.Stack = tb.opt.Stack
		switch tb.opt.Offload {
		case OffloadNone:
			x.GRO, x.Stack.TCP.GSO = shard.GRONever, stack.GSONever
		case OffloadSoft:
			x.GRO, x.Stack.TCP.GSO = shard.GROAlways, stack.GSOAlways
			x.GROMax = tb.opt.GROMax
		}
		if tb.opt.Offload != OffloadNone {
			x.Pool.Jumbo = 64 + 8*min(n, 256)
		}
		x.Stack.TCP.GSOMax = tb.opt.GSOMax
		x.Idle = shard.Spin
		x.KeepProcs = true
		x.Burst = tb.opt.Burst
	}
	c.Ports = []shard.PortConfig{{Port: a, Addrs: clientPrefixes(), TxQueue: 8192}}
	s.Ports = []shard.PortConfig{{Port: b, Addrs: []netip.Prefix{serverNet}, TxQueue: 8192}}
	if tb.opt.IPv6 {
		c.Stack.IPv6.DADTransmits, s.Stack.IPv6.DADTransmits = -1, -1
		c.Ports[0].Addrs = append(c.Ports[0].Addrs, clientNet6)
		s.Ports[0].Addrs = append(s.Ports[0].Addrs, serverNet6)
	}
	c.Init = func(s *shard.Shard) error { return tb.initClient(s, conns(s.ID())) }
	s.Init = tb.initServer
	if cg, err = shard.NewGroup(c); err != nil {
		return nil, nil, err
	}
	tb.groups = append(tb.groups, cg)
	if sg, err = shard.NewGroup(s); err != nil {
		return nil, nil, err
	}
	tb.groups = append(tb.groups, sg)
	return cg, sg, nil
}

// openWire makes the wire itself.
func (tb *Testbed) openWire(queues, depth int) (client, server port.Port, err error) {
	if tb.opt.Wire != nil {
		return tb.opt.Wire(queues, depth)
	}
	caps := tb.opt.Offload.caps()
	if tb.opt.GSOMax != 0 {
		caps |= offload.BigTCP
	}
	a, b, err := mem.New(mem.Config{Pause: true, HandOver: tb.opt.HandOver,
		A: mem.EndConfig{Name: "client", MAC: header.MAC{2, 0, 0, 0, 0, 1}, Queues: queues, MTU: tb.opt.MTU, QueueLen: depth, Caps: caps},
		B: mem.EndConfig{Name: "server", MAC: header.MAC{2, 0, 0, 0, 0, 2}, Queues: queues, MTU: tb.opt.MTU, QueueLen: depth, Caps: caps},
	})
	if err != nil {
		return nil, nil, err
	}
	return a, b, nil
}

func (tb *Testbed) initClient(s *shard.Shard, conns int) error {
	e := &end{s: s, tb: tb, client: tb.opt.Client(s.Stack(), conns)}
	tb.cold.Inc()
	tb.addEnd(e)
	return e.client.Start()
}

func (tb *Testbed) initServer(s *shard.Shard) (err error) {
	e := &end{s: s}
	if e.server, err = load.NewServer(s.Stack(), load.ServerConfig{Backlog: tb.opt.Backlog}); err != nil {
		return err
	}
	tb.addEnd(e)
	return nil
}

// addEnd adds the load of a shard, on its thread.
func (tb *Testbed) addEnd(e *end) {
	e.s.AddPoller(e)
	tb.mu.Lock()
	tb.ends = append(tb.ends, e)
	tb.mu.Unlock()
}

// clientPrefixes are the addresses that client shards may use: a connection to
// one server port needs a (local address, port) of its own.
func clientPrefixes() (list []netip.Prefix) {
	for a := clientNet.Addr(); len(list) < 64; a = a.Next() {
		list = append(list, netip.PrefixFrom(a, clientNet.Bits()))
	}
	return list
}

// share is part i of n of the connections.
func share(conns, n, i int) int {
	k := conns / n
	if i < conns%n {
		k++
	}
	return max(k, 1)
}

// startPairs gives each core its own wire and steps both ends in turn.
func (tb *Testbed) startPairs() error {
	one := shard.Config{Manual: true, Shards: 1}
	for i, core := range tb.cores {
		c, s, err := tb.wire(1, one, one, func(int) int { return share(tb.opt.Conns, len(tb.cores), i) })
		if err != nil {
			return err
		}
		ready := make(chan error)
		tb.wg.Add(1)
		go tb.runPair(core, c, s, ready)
		if err := <-ready; err != nil {
			return err
		}
	}
	return nil
}

// runPair is a core's thread.
func (tb *Testbed) runPair(core int, c, s *shard.Group, ready chan<- error) {
	defer tb.wg.Done()
	runtime.LockOSThread() // never unlocked: the pinned thread ends with us
	err := affinity.Pin(core)
	if err == nil {
		_, err = s.Step(shard.Now()) // the server is there first
	}
	if err == nil {
		_, err = c.Step(shard.Now())
	}
	ready <- err
	for err == nil && !tb.stop.IsSet() {
		if _, err = c.Step(shard.Now()); err == nil {
			_, err = s.Step(shard.Now())
		}
	}
	if err != nil {
		tb.err.Store(err)
	}
}

// startSplit runs the clients on the first half of the cores, the servers on
// the other half.
func (tb *Testbed) startSplit() error {
	half := len(tb.cores) / 2
	first := tb.opt.Cores.First(half)
	c := shard.Config{Cores: first}
	s := shard.Config{Cores: tb.opt.Cores.Minus(first).First(half)}
	cg, sg, err := tb.wire(half, c, s, func(id int) int { return share(tb.opt.Conns, half, id) })
	if err != nil {
		return err
	}
	if err := sg.Start(); err != nil {
		return err
	}
	return cg.Start()
}

// Cores is how many cores work, of ours.
func (tb *Testbed) Cores() int {
	if tb.opt.Layout == Split && tb.opt.Outside == nil {
		return len(tb.cores) / 2 * 2
	}
	return len(tb.cores)
}

// Totals sums up what the shards have published.
func (tb *Testbed) Totals() (t Totals) {
	var one Totals
	for _, e := range tb.ends {
		e.snap.Load(&one)
		t.Add(&one)
	}
	return t
}

// Until waits until done says so about the totals, a shard fails, or the time
// is over.
func (tb *Testbed) Until(limit time.Duration, done func(t *Totals) bool) error {
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Microsecond) {
		t := tb.Totals()
		if done(&t) {
			return nil
		}
		if err := tb.failure(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("bench: not done after %v: clients %+v, servers %+v", limit, t.Client, t.Server)
		}
	}
}

func (tb *Testbed) failure() error {
	if err := tb.err.Load(); err != nil {
		return err
	}
	for _, g := range tb.groups {
		if err := g.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Warm ends the warm-up: latencies that were measured before don't count.
func (tb *Testbed) Warm() error {
	tb.warm.Set()
	return tb.Until(10*time.Second, func(*Totals) bool { return tb.cold.Load() == 0 })
}

// Latency is that of all clients since Warm. Only after Close.
func (tb *Testbed) Latency() *hdrhistogram.Histogram {
	var sum *hdrhistogram.Histogram
	for _, e := range tb.ends {
		switch {
		case e.client == nil:
		case sum == nil:
			sum = e.client.Latency()
		default:
			sum.Merge(e.client.Latency())
		}
	}
	return sum
}

// Close stops everything; an error says that something leaked or failed.
func (tb *Testbed) Close() error {
	tb.stop.Set()
	tb.wg.Wait()
	err := tb.failure()
	for i := len(tb.groups) - 1; i >= 0; i-- {
		if e := tb.groups[i].Stop(); err == nil {
			err = e
		}
	}
	runtime.GOMAXPROCS(tb.procs)
	return err
}
