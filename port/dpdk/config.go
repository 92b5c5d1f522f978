package dpdk

import (
	"fmt"
	"strings"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// Config describes a device and how it is used. The zero value of each field but
// Device is its documented default.
type Config struct {
	// Device is a PCI address (0000:01:00.0), the name of a device that DPDK has
	// already, or a devargs string that makes a virtual one, as
	// "net_tap0,iface=gen0" or "net_af_packet0,iface=eth1,qpairs=2".
	Device string
	// Netns is the network namespace in which virtual devices of the kernel's are
	// made: a name as `ip netns` knows it, or a path. Default the process's.
	Netns string
	// Queues, 1 to MaxQueues. Default 1.
	Queues int
	// MTU of IP packets in bytes, MinMTU to MaxMTU. Default DefaultMTU.
	MTU int
	// RxDesc and TxDesc are how many frames wait in each queue of the device.
	// They are fitted to what it takes. Default DefaultDesc.
	RxDesc, TxDesc int
	// RSSKey, of the device's length or of 40 bytes, which longer ones repeat.
	// Default rss.DefaultKey.
	RSSKey rss.Key
	// Without are offloads that are not to be used. Default: all that the device
	// has are.
	Without offload.Caps
	// FastFree has the device free sent buffers without a look at them
	// (MBUF_FAST_FREE). That is right only for buffers of one mempool that nobody
	// else holds: all else is copied, which is every segment of TCP. For
	// generators of UDP.
	FastFree bool
	// Promiscuous takes all unicast frames.
	Promiscuous bool
	// Polled does without interrupts, so that shards never sleep longer than
	// shard.Config.MaxSleep.
	Polled bool
}

// Limits and defaults of Config.
const (
	DefaultMTU  = 1500
	DefaultDesc = 1024
	MinMTU      = header.IPv4MinMTU
	MaxMTU      = 65535 - header.EthernetLen - 2*header.VLANLen
	MaxQueues   = 256

	maxDesc = 1 << 15
)

// withDefaults returns c with its defaults filled in.
func (c Config) withDefaults() Config {
	c.Queues = or(c.Queues, 1)
	c.MTU = or(c.MTU, DefaultMTU)
	c.RxDesc = or(c.RxDesc, DefaultDesc)
	c.TxDesc = or(c.TxDesc, DefaultDesc)
	if c.RSSKey.IsZero() {
		c.RSSKey = rss.DefaultKey
	}
	return c
}

// Validate returns an error that matches port.ErrConfig if c contradicts itself.
func (c Config) Validate() error {
	d := c.withDefaults()
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: dpdk %q: %s", port.ErrConfig, c.Device, fmt.Sprintf(format, args...))
	}
	name, _, _ := strings.Cut(c.Device, ",")
	switch {
	case name == "" || len(name) > 63 || strings.ContainsAny(c.Device, " \t\n\x00"):
		return bad("not the name of a device")
	case d.Queues < 1 || d.Queues > MaxQueues:
		return bad("%d queues, not 1 to %d", d.Queues, MaxQueues)
	case d.MTU < MinMTU || d.MTU > MaxMTU:
		return bad("MTU %d is not in [%d, %d]", d.MTU, MinMTU, MaxMTU)
	case d.RxDesc < 32 || d.RxDesc > maxDesc || d.TxDesc < 32 || d.TxDesc > maxDesc:
		return bad("%d and %d descriptors, not 32 to %d", d.RxDesc, d.TxDesc, maxDesc)
	case c.Without&^offload.All != 0:
		return bad("no such offloads as %v", c.Without)
	}
	return nil
}

// PairConfig describes a wire between two ports in this process.
type PairConfig struct {
	// Name of the ports, with 0 and 1 behind. Default "pair" and a number.
	Name string
	// Queues, MTU and TxDesc as in Config; the latter is how many frames are
	// under way to each queue at most.
	Queues, MTU, TxDesc int
}

// XStat is one of a device's own counters.
type XStat struct {
	Name  string // at most 63 bytes
	Value uint64
}

// Counters tell how packets crossed.
type Counters struct {
	RxCopied   uint64 // received in mbufs without room for a header, and copied
	TxCopied   uint64 // sent as copies
	TxHeld     uint64 // sent while others held them too
	TxExternal uint64 // sent as external segments
	Misses     uint64 // crossings of pools, for want of a reserve
}

// or returns v, or def if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Mempool is the address of a struct rte_mempool of packet buffers, for Wrap.
type Mempool uintptr
