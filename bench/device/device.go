// Package device gives the devices that programs name on their command lines:
//
//	mem        a wire in memory, both ends of which are the program's own
//	tap:NAME   a TAP device, made if need be (package port/tap)
//	dpdk:DEV   a device of DPDK's (package port/dpdk): a PCI address, or a virtual
//	           device as net_tap0,iface=gen0
//	dpdk:pair  a wire between two devices of DPDK's in memory, both ends of which
//	           are the program's own
package device

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/tap"
)

// ErrName: a name is none that Parse knows.
var ErrName = errors.New("no such device")

// Name is a device. The zero Name is the wire in memory.
type Name struct{ tap, dpdk string }

// Parse reads what a --port flag says. An error matches ErrName and says what
// would do.
func Parse(text string) (Name, error) {
	kind, name, _ := strings.Cut(text, ":")
	switch {
	case text == "mem":
		return Name{}, nil
	case kind == "tap" && name != "":
		return Name{tap: name}, nil
	case kind == "tap":
		return Name{}, fmt.Errorf("%w: tap needs a name, as tap:gen0", ErrName)
	case kind == "dpdk" && name != "":
		return Name{dpdk: name}, nil
	case kind == "dpdk":
		return Name{}, fmt.Errorf("%w: dpdk needs a device, as dpdk:0000:01:00.0", ErrName)
	}
	return Name{}, fmt.Errorf("%w: %q is neither mem nor tap:NAME nor dpdk:DEVICE", ErrName, text)
}

// InMemory reports whether it is a wire in memory, which Open does not open: it
// has two ends.
func (n Name) InMemory() bool { return n.tap == "" && (n.dpdk == "" || n.Pair()) }

// Pair reports whether it is a wire that OpenPair opens.
func (n Name) Pair() bool { return n.dpdk == "pair" }

// DPDK reports whether it is a device of DPDK's.
func (n Name) DPDK() bool { return n.dpdk != "" }

// Kernel reports whether its other end is the kernel's, made with it.
func (n Name) Kernel() bool { return n.tap != "" }

// String is what Parse has read.
func (n Name) String() string {
	switch {
	case n.dpdk != "":
		return "dpdk:" + n.dpdk
	case n.tap != "":
		return "tap:" + n.tap
	}
	return "mem"
}

// Config says how a device is opened. The zero value of each field is its
// documented default.
type Config struct {
	// Netns is the network namespace of the device, as `ip netns` knows it.
	// Default: the process's.
	Netns string
	// Queues of the device. Default 1.
	Queues int
	// MTU in bytes. Default 1500.
	MTU int
	// QueueLen is how many frames wait for each queue. Default: the system's.
	QueueLen int
	// KernelAddrs are addresses of the kernel's end. Default: none.
	KernelAddrs []netip.Prefix
	// NoOffload keeps the device from checksums and segmentation, to compare
	// with. Default: all that it can do.
	NoOffload bool
}

// Open opens a device that is not in memory, and brings the kernel's end up.
// Errors match port.ErrConfig if the configuration contradicts itself,
// os.ErrPermission if the process may not.
func (n Name) Open(cfg Config) (port.Port, error) {
	if n.InMemory() {
		return nil, fmt.Errorf("%w: a wire in memory has two ends", port.ErrConfig)
	}
	if n.DPDK() {
		return n.openDPDK(cfg)
	}
	p, err := tap.New(tap.Config{
		Name: n.tap, Netns: cfg.Netns, Queues: cfg.Queues, MTU: cfg.MTU, Addrs: cfg.KernelAddrs, Up: true,
		QueueLen: cfg.QueueLen, NoVnetHdr: cfg.NoOffload,
	})
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w (TAP devices need root, or CAP_NET_ADMIN)", err)
	}
	return nil, err
}
