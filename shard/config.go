package shard

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/stack"
)

// Defaults and bounds of Config.
const (
	DefaultBurst     = 32
	DefaultIdleSpin  = 50 * time.Microsecond
	DefaultMeshDepth = 1024
	DefaultWatchdog  = time.Second
	MaxBurst         = 512
	MaxShards        = 250 // each has a pool, and a process has 255

	maxPorts = 255 // pbuf.Meta.Netif counts them from 1

	defaultMaxSleep  = 100 * time.Millisecond
	defaultPollSleep = time.Millisecond // with a port that must be polled
)

// IdlePolicy says what a shard without work does. It is about shards with a
// thread of their own. One that is a goroutine (see Config.NoPin) sleeps at once,
// whether Adaptive or Park: being woken costs it some hundred nanoseconds, and to
// poll on is to keep those from running that would wake it.
type IdlePolicy uint8

const (
	// Adaptive polls on for Config.IdleSpin and then sleeps.
	Adaptive IdlePolicy = iota
	// Spin never sleeps.
	Spin
	// Park sleeps at once.
	Park
)

var idleNames = [...]string{"adaptive", "spin", "park"}

// String is "adaptive", "spin" or "park".
func (p IdlePolicy) String() string {
	if int(p) < len(idleNames) {
		return idleNames[p]
	}
	return "invalid"
}

// ParseIdlePolicy reads what String prints; ErrConfig for anything else.
func ParseIdlePolicy(s string) (IdlePolicy, error) {
	for i, name := range idleNames {
		if s == name {
			return IdlePolicy(i), nil
		}
	}
	return 0, fmt.Errorf("%w: idle policy %q is not adaptive, spin or park", ErrConfig, s)
}

// Config describes a Group. The zero value of each field is its documented
// default.
type Config struct {
	// Cores gives one shard to each core, pinned. Default: all that the
	// process may use (affinity.Allowed).
	Cores affinity.Set
	// NoPin is for shards that share the cores with the application; there are
	// then Shards of them. They are goroutines among others, which the
	// application's goroutines, other shards and ports wake without a system call
	// and which yield after each round. Their timers may be late by a millisecond,
	// as all of the Go runtime's. A shard gets a thread of its own all the same if
	// OwnThread is set, if Idle is Spin, or if a port that it has a queue of can
	// wake only threads (it is no port.Notifier).
	NoPin bool
	// OwnThread gives each shard an OS thread of its own also with NoPin, so that
	// it polls and sleeps as Idle says: for more cores than shards, and for timers
	// that are exact. Pinned shards always have one.
	OwnThread bool
	// Shards is how many shards there are with NoPin or Manual. Default 1, at
	// most MaxShards.
	Shards int
	// Ports are the group's network ports: a netif each on every shard, in
	// this order.
	Ports []PortConfig
	// Pool describes the pool of each shard. Its NUMANode, if AnyNode, is that
	// of the shard's core.
	Pool pbuf.Config
	// Stack is the template of each shard's stack. Pool must be nil. Seed is
	// the group's: each shard gets its own, derived from it; if zero, it comes
	// from the operating system. Hasher, if nil, has the key of the first port
	// with RSS; a single shard without such a port has none. Hooks are kept:
	// NeighborLearned is called and then the other shards are told; TCPPort,
	// UDPPort, PingID and Steer are set if nil.
	Stack stack.Config
	// Idle is what a shard does without work. Default Adaptive.
	Idle IdlePolicy
	// IdleSpin is how long Adaptive polls on. Default DefaultIdleSpin.
	IdleSpin time.Duration
	// MaxSleep bounds a sleep. Default 100 ms, and 1 ms if one of the ports
	// has no Waiter and must be polled.
	MaxSleep time.Duration
	// GRO says when segments are joined in software before the stack sees them.
	// Default GROAuto.
	GRO GROPolicy
	// GROMax is how many bytes an IP packet of joined TCP segments may have, IPv6
	// header not counted, up to offload.MaxBig. Default offload.MaxTSO.
	GROMax int
	// GROUDP joins datagrams too, for UDP PCBs that take them so
	// (stack.UDP.SetJoined); others are given them one by one.
	GROUDP bool
	// Burst is the most packets that are taken from a queue in a round. Default
	// DefaultBurst, at most MaxBurst.
	Burst int
	// MeshDepth is how many packets may wait between one shard and another, a
	// power of two. Default DefaultMeshDepth.
	MeshDepth int
	// Init is called for each shard on its thread or goroutine, before its first round. An
	// error stops the group and is what Start returns.
	Init func(*Shard) error
	// OnFatal is told once when a panic or Shard.Fail stops the group, on the
	// thread where that happens, before the shards have ended. It must not
	// block.
	OnFatal func(error)
	// OnWarning is told of what works, but not as it should; see Warning. On any
	// thread, the shards' among them: it must not block. Group.Warnings has the
	// first warnings, whether it is set or not.
	OnWarning func(Warning)
	// Watchdog is how long a shard may take to come round, sleeps left out,
	// before that is counted and warned of. The others go on, and so does it, if
	// it ever comes round. Default DefaultWatchdog; negative: nobody looks.
	Watchdog time.Duration
	// Manual makes a group without threads: Step runs it.
	Manual bool
	// KeepProcs leaves GOMAXPROCS alone. By default Start raises it to one more
	// than the shards that run on threads of their own, so that those, which poll
	// without end, do not keep the application's goroutines waiting; Stop sets it
	// back.
	KeepProcs bool
}

// PortConfig is a port and the interface that each shard has on it. A group
// owns its ports from NewGroup on and closes them in Stop.
type PortConfig struct {
	// Port is the driver. Shard i of n polls the queues i, i+n, i+2n … of it; if
	// it has fewer than n, shard i sends through that of shard i mod queues.
	Port port.Port
	// Name of the interface. Default: the port's.
	Name string
	// MTU in bytes. Default: the port's.
	MTU int
	// Addrs are the interface's addresses, the same on all shards.
	Addrs []netip.Prefix
	// Autoconf has the interface get IPv6 addresses and routers from the link
	// (stack.Netif.SetAutoconfig).
	Autoconf bool
	// Routes that leave through the interface.
	Routes []RouteConfig
	// Neighbors that need no resolution.
	Neighbors []NeighborConfig
	// VLAN id of the interface, 1 … 4094. Default 0: untagged.
	VLAN uint16
	// Promiscuous takes unicast frames for any MAC.
	Promiscuous bool
	// TxQueue is how many frames may wait for a full port, on each shard.
	// Default: that of stack.NetifConfig.
	TxQueue int
	// Rehash computes every packet's hash anew. For cards whose hash is not
	// that of their reported key, or leaves out the ports of UDP.
	Rehash bool
}

// RouteConfig is a route; an invalid Gateway means that the network is on link.
type RouteConfig struct {
	Prefix  netip.Prefix
	Gateway netip.Addr
}

// NeighborConfig is a neighbour that is known.
type NeighborConfig struct {
	Addr netip.Addr
	MAC  header.MAC
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) setDefaults() {
	def(&c.IdleSpin, DefaultIdleSpin)
	def(&c.Burst, DefaultBurst)
	def(&c.MeshDepth, DefaultMeshDepth)
	def(&c.Watchdog, DefaultWatchdog)
	if c.Manual {
		c.NoPin = true
	}
	if c.NoPin {
		def(&c.Shards, 1)
	}
}

// Validate reports the first contradiction in c as an error that matches
// ErrConfig. It neither asks the machine for cores nor touches the ports.
func (c *Config) Validate() error {
	d := *c
	d.setDefaults()
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, a...)...)
	}
	switch {
	case d.NoPin && !c.Cores.IsEmpty():
		return bad("Cores %v without pinning (NoPin, Manual)", c.Cores)
	case !d.NoPin && c.Shards != 0:
		return bad("Shards %d with pinning: the number of Cores decides", c.Shards)
	case d.Manual && d.OwnThread:
		return bad("OwnThread in a manual group, which has no threads")
	case d.Shards < 0 || d.Shards > MaxShards:
		return bad("Shards %d outside 1 … %d", d.Shards, MaxShards)
	case d.Idle > Park:
		return bad("Idle %d", d.Idle)
	case d.GRO > GRONever:
		return bad("GRO %d", d.GRO)
	case d.GROMax != 0 && (d.GROMax < offload.MaxTSO || d.GROMax > offload.MaxBig):
		return bad("GROMax %d outside %d … %d", d.GROMax, offload.MaxTSO, offload.MaxBig)
	case d.IdleSpin < 0:
		return bad("IdleSpin %v", d.IdleSpin)
	case d.MaxSleep < 0:
		return bad("MaxSleep %v", d.MaxSleep)
	case d.Burst < 1 || d.Burst > MaxBurst:
		return bad("Burst %d outside 1 … %d", d.Burst, MaxBurst)
	case d.MeshDepth < 2 || bits.OnesCount(uint(d.MeshDepth)) != 1 || d.MeshDepth > 1<<20:
		return bad("MeshDepth %d is no power of two from 2 to 2^20", d.MeshDepth)
	case c.Stack.Pool != nil:
		return bad("Stack.Pool is set: each shard makes its own")
	case len(c.Ports) > maxPorts:
		return bad("%d ports, over %d", len(c.Ports), maxPorts)
	}
	for i := range c.Ports {
		if err := c.Ports[i].validate(c.Ports[:i]); err != nil {
			return bad("port %d: %w", i, err)
		}
	}
	if err := c.Pool.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	st := c.Stack
	st.Pool = new(pbuf.Pool) // Validate asks only whether there is one
	if err := st.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// validate checks a port that comes after others.
func (c *PortConfig) validate(others []PortConfig) error {
	if c.Port == nil {
		return errors.New("its Port is nil")
	}
	for i := range others {
		if others[i].Port == c.Port {
			return fmt.Errorf("the same as port %d", i)
		}
	}
	for _, p := range c.Addrs {
		if !p.IsValid() {
			return errors.New("address is not valid")
		}
	}
	for _, r := range c.Routes {
		if !r.Prefix.IsValid() {
			return errors.New("route's prefix is not valid")
		}
	}
	for _, n := range c.Neighbors {
		if !n.Addr.IsValid() {
			return errors.New("neighbour's address is not valid")
		}
	}
	switch {
	case c.MTU < 0 || c.MTU > 65535:
		return fmt.Errorf("MTU %d", c.MTU)
	case c.VLAN > 4094:
		return fmt.Errorf("VLAN %d outside 0 … 4094", c.VLAN)
	case c.TxQueue < 0:
		return fmt.Errorf("TxQueue %d", c.TxQueue)
	}
	return nil
}
