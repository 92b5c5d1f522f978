// Package device gives the devices that programs name on their command lines:
//
//	mem       a wire in memory, both ends of which are the program's own
//	tap:NAME  a TAP device, made if need be (package port/tap)
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
type Name struct{ tap string }

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
	}
	return Name{}, fmt.Errorf("%w: %q is neither mem nor tap:NAME", ErrName, text)
}

// InMemory reports whether it is the wire in memory, which Open does not open:
// it has two ends.
func (n Name) InMemory() bool { return n.tap == "" }

// String is what Parse has read.
func (n Name) String() string {
	if n.InMemory() {
		return "mem"
	}
	return "tap:" + n.tap
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
