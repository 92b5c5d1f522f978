// Package tap is a port over a Linux TAP device: the other end of the wire is
// the kernel of a network namespace, with its own stack, its addresses, and all
// programs in it.
//
//	p, err := tap.New(tap.Config{
//		Netns:  "lab",
//		Up:     true,
//		Addrs:  []netip.Prefix{netip.MustParsePrefix("198.18.0.1/24")},
//	})
//
// Each queue is a file of a multi-queue device; a system call moves a frame. In
// front of each is a virtio header, where the kernel has them, by which both
// sides leave checksums to the other, and move TCP in segments of up to 64 KiB
// and UDP in packets of several datagrams; Info's Caps say what the kernel took.
// A frame in memory of this machine can't be damaged, so that a checksum that
// nobody made needs nobody who verifies it: the packet is RxL4CsumGood, and
// RxL4Partial for whoever sends it on.
//
// With several queues the kernel picks the receive queue as a card with RSS does,
// by an eBPF program (TUNSETSTEERINGEBPF, Linux 4.16): the Toeplitz hash of the
// frame looked up in a RETA, both of which Info reports. Where it can't be had,
// Config.Steering says what happens; the kernel then picks the queue on which the
// flow was last sent, else one by a hash of its own, and Info reports no RSS.
//
// Making a device needs CAP_NET_ADMIN in its namespace, and entering a
// namespace CAP_SYS_ADMIN. The device goes when the port is closed.
package tap

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// Config describes a TAP device and the kernel's end of it.
type Config struct {
	// Name of the device, at most 15 characters; "%d" in it is replaced by a
	// number that is free. Default "tap%d".
	Name string
	// Netns is the network namespace of the device: a name as `ip netns` knows
	// it, or a path. Default the caller's.
	Netns string
	// Queues, 1 to MaxQueues. Default 1.
	Queues int
	// MTU of both ends in bytes, MinMTU to MaxMTU. Default DefaultMTU.
	MTU int
	// MAC of the port, which Info reports. Default a random one that is locally
	// administered.
	MAC header.MAC

	// KernelMAC is the MAC of the kernel's end. Default what the kernel chooses.
	KernelMAC header.MAC
	// Addrs are the addresses of the kernel's end, with their networks.
	Addrs []netip.Prefix
	// Up brings the kernel's end up at Start. Default it is left as it is: down,
	// if the device is new.
	Up bool
	// Steering says how the kernel picks the receive queue. Default SteerAuto.
	Steering Steering
	// RSSKey of SteerAuto and SteerEBPF. Default rss.DefaultKey.
	RSSKey rss.Key
	// QueueLen is how many frames wait in the kernel for each of the port's
	// queues; it drops more. Default what the kernel chooses, 500 or 1000.
	QueueLen int

	// NoVnetHdr does without virtio headers: checksums are done by both sides
	// and frames are at most an MTU long.
	NoVnetHdr bool
	// UDPLRO lets the kernel pass on several datagrams in one packet, if a
	// program of its own sent them so (UDP_SEGMENT) or it joined them itself.
	// Who reads the port has to know RxLRO of UDP. New returns an error that
	// matches port.ErrNotSupported if the kernel can't (Linux 6.2 can).
	UDPLRO bool
}

// Steering says how the kernel picks the queue of a frame.
type Steering uint8

const (
	// SteerAuto is SteerEBPF with more than one queue and a kernel that can,
	// else SteerKernel; Port.SteeringError tells why not.
	SteerAuto Steering = iota
	// SteerEBPF hashes as RSS does; New fails if the kernel can't.
	SteerEBPF
	// SteerKernel leaves it to the kernel.
	SteerKernel
)

// Limits and defaults of Config.
const (
	DefaultMTU = 1500
	MinMTU     = header.IPv4MinMTU
	MaxMTU     = 65535 - header.EthernetLen
	MaxQueues  = 256

	maxName     = 15
	maxQueueLen = 1 << 20
)

// maxFrame is the longest frame: two VLAN tags come on top of the MTU.
func (c *Config) maxFrame() int { return c.MTU + header.EthernetLen + 2*header.VLANLen }

// Validate returns an error that matches port.ErrConfig if c contradicts itself.
func (c Config) Validate() error {
	c = c.withDefaults()
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: tap %q: %s", port.ErrConfig, c.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case len(c.Name) > maxName || strings.ContainsAny(c.Name, "/: \t\n") || c.Name == "." || c.Name == "..":
		return bad("not the name of a device")
	case c.Queues < 1 || c.Queues > MaxQueues:
		return bad("%d queues, not 1 to %d", c.Queues, MaxQueues)
	case c.MTU < MinMTU || c.MTU > MaxMTU:
		return bad("MTU %d is not in [%d, %d]", c.MTU, MinMTU, MaxMTU)
	case c.Steering > SteerKernel:
		return bad("steering %d", c.Steering)
	case c.Steering == SteerKernel && !c.RSSKey.IsZero():
		return bad("an RSS key, and the kernel steers")
	case c.QueueLen < 0 || c.QueueLen > maxQueueLen:
		return bad("QueueLen %d is not in [0, %d]", c.QueueLen, maxQueueLen)
	case c.MAC.IsMulticast() || c.KernelMAC.IsMulticast():
		return bad("a MAC is a group's")
	case c.UDPLRO && c.NoVnetHdr:
		return bad("UDPLRO without virtio headers")
	case c.MAC == c.KernelMAC:
		return bad("both ends have the MAC %v", c.MAC)
	}
	for _, a := range c.Addrs {
		if !a.IsValid() || a.Addr().IsUnspecified() || a.Addr().IsMulticast() || a.Addr().Is4In6() {
			return bad("address %v", a)
		}
	}
	return nil
}

// withDefaults returns c with its defaults filled in.
func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "tap%d"
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	for c.MAC.IsZero() {
		r := rand.Uint64()
		c.MAC = header.MAC{2, byte(r), byte(r >> 8), byte(r >> 16), byte(r >> 24), byte(r >> 32)}
	}
	return c
}
